import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'

/** Prints its folder, in which it writes until the very end, and waits. */
const SCRIPT = `
  import { writeFileSync } from 'node:fs'
  import { endWellOnSignals, temporaryFolder } from ${JSON.stringify(new URL('temporary.ts', import.meta.url).href)}
  endWellOnSignals()
  const folder = temporaryFolder('tollgate-temporary-')
  process.on('exit', () => {
    writeFileSync(folder + '/last', '')
    console.log('ended what it had started')
  })
  setInterval(() => undefined, 1_000)
  console.log(folder)`

const heard = async ({ stdout }: ChildProcess): Promise<string> => String(stdout && (await once(stdout, 'data'))).trim()

// Windows ends a process at once, whatever the signal.
test.skipIf(process.platform === 'win32').each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('a script that ends at a %s ends what it has started, and leaves no folder', async (signal, status) => {
  const script = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const folder = await heard(script)
  expect(existsSync(folder)).toBe(true)
  const [last, exited] = [heard(script), once(script, 'exit')]
  script.kill(signal)
  expect(await last).toBe('ended what it had started')
  expect(await exited).toEqual([status, null])
  expect(existsSync(folder)).toBe(false)
})
