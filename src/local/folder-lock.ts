// One Tollgate a folder: two would corrupt the embedded Postgres. The lock file names a port where its owner answers
// with a token, so a lock that a killed process left behind is known to be stale, whatever became of its pid.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { StartFault } from './start-fault.ts'

interface Lock {
  pid: number
  port: number
  token: string
}

/** @returns what gives the lock back. @throws where a living process has it. */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const file = `${folder}/running.json`
  const token = randomUUID()
  const server = createServer((socket) => socket.on('error', () => undefined).end(token)).unref()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const mine = `${file}.${token}`
  await writeFile(mine, JSON.stringify({ pid: process.pid, port: (server.address() as AddressInfo).port, token }))
  try {
    // A link appears whole and only where no file is yet.
    while (!(await linked(mine, file))) {
      const owner = await readLock(file)
      if (owner && (await isAlive(owner))) {
        throw new StartFault(
          `Tollgate already runs in this folder (process ${owner.pid}): dev.json there says where it answers.`,
        )
      }
      await rm(file, { force: true })
    }
  } catch (error) {
    server.close()
    throw error
  } finally {
    await rm(mine, { force: true })
  }
  return async () => {
    await rm(file, { force: true })
    server.close()
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

async function readLock(file: string): Promise<Lock | null> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Lock
  } catch {
    return null // Gone meanwhile, or not ours: to be replaced either way.
  }
}

async function isAlive({ port, token }: Lock): Promise<boolean> {
  try {
    const socket = connect(port, '127.0.0.1').setTimeout(1_000, () => socket.destroy(new Error('no answer')))
    return (await text(socket)) === token
  } catch {
    return false
  }
}
