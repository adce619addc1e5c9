// The files of `.tollgate/`: readable by this user alone, even where an older one had another mode, and never half written.

import { readFile, rename, rm, writeFile } from 'node:fs/promises'

export async function writePrivate(file: string, text: string): Promise<void> {
  const next = `${file}.new`
  await rm(next, { force: true })
  await writeFile(next, text, { mode: 0o600 })
  await rename(next, file)
}

/** Null where there is no such file. */
export async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
