// What `npm start` keeps of wrangler's output.

import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { keepLog } from '../../../src/local/wrangler-dev.ts'
import { removeFolder, temporaryFolder } from '../../support/temporary.ts'

/** Ends well only if all that it writes is read. */
const TALK = `for (let i = 0; i < 3; i++) process.stdout.write('x'.repeat(1 << 20)); process.stderr.write('bye')`
const talk = () => spawn(process.execPath, ['-e', TALK])

test('all of it is in the log once it has ended', async () => {
  const folder = temporaryFolder('tollgate-log-')
  onTestFinished(() => removeFolder(folder))
  const file = join(folder, 'wrangler.log')
  await keepLog(talk(), file)
  expect(await readFile(file, 'utf8')).toHaveLength(3 * (1 << 20) + 3)
})

test.skipIf(process.platform !== 'linux')('a full disk is told once, and costs lines of the log alone', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  onTestFinished(() => error.mockRestore())
  const child = talk()
  await keepLog(child, '/dev/full')
  expect(child.exitCode).toBe(0)
  expect(error.mock.calls.flat()).toEqual([expect.stringMatching(/^\/dev\/full cannot be written: ENOSPC/)])
})

test('a log that cannot be opened is a fault at once, which the start ends with', () => {
  const folder = temporaryFolder('tollgate-log-')
  onTestFinished(() => removeFolder(folder))
  const child = talk()
  onTestFinished(() => void child.kill())
  expect(() => keepLog(child, join(folder, 'gone', 'wrangler.log'))).toThrow('ENOENT')
})
