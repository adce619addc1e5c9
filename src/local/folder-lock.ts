// One Tollgate per folder: two would corrupt the embedded Postgres. The lock is the operating system's, on a SQLite file, so
// it ends with the process, however that ends.

import { readFile, writeFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { StartFault } from './start-fault.ts'

const SQLITE_BUSY = 5

/** @returns a function that releases the lock. @throws {StartFault} where another process has it. */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const pid_file = `${folder}/running.pid`
  const lock = new DatabaseSync(`${folder}/running.lock`)
  try {
    lock.exec('begin exclusive')
  } catch (error) {
    lock.close()
    if (!(error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY)) throw error
    const pid = await readFile(pid_file, 'utf8').catch(() => 'just started')
    throw new StartFault(`Tollgate already runs in this folder (process ${pid}): dev.json there says where it answers.`)
  }
  // Read only for the message above, in a later process.
  await writeFile(pid_file, String(process.pid))
  return async () => lock.close()
}
