// Temporary folders. Where Ctrl-C ends a script, they are removed: nobody needs its ledgers any more, least of all where they
// are kept in memory.

import { mkdtempSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const IN_USE = new Set<string>()
/** A process that has just been killed may still have written there. */
const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }

export function temporaryFolder(prefix: string, parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, prefix))
  IN_USE.add(folder)
  return folder
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, REMOVAL)
  IN_USE.delete(folder)
}

/** For scripts. By default a signal ends a process without its `exit` listeners, which end what the process has started. */
export function endWellOnSignals(): void {
  for (const [signal, number] of Object.entries(SIGNALS))
    process.once(signal, () => {
      // Added last, because the other listeners may still write into these folders.
      process.on('exit', () => {
        for (const folder of IN_USE) rmSync(folder, REMOVAL)
      })
      process.exit(128 + number)
    })
}
