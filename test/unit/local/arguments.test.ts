// The scripts that npm runs, each as a process of its own, with arguments that they do not take.

import { execFile } from 'node:child_process'
import { expect, it } from 'vitest'
import { wholeNumber } from '../../../src/local/arguments.ts'

function run(script: string, args: string): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) =>
    execFile(process.execPath, [script, ...args.split(' ')], { timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }),
    ),
  )
}

const SCRIPTS = ['matrix', 'chaos', 'fuzz', 'bench'].map((name) => `test/${name}/run.ts`)

it.concurrent.each([...SCRIPTS, 'src/local/migrate.ts'])(
  '%s --help says in one line what may be given',
  async (script) => {
    const helped = await run(script, '--help')
    expect(helped).toEqual({ code: 0, stdout: expect.stringMatching(/^Usage: npm run .*\n$/), stderr: '' })
  },
)

it.concurrent.each([
  ...SCRIPTS.map((script) => `${script} --nonsense`),
  'test/chaos/run.ts kill',
  'test/bench/run.ts quick',
  'test/matrix/run.ts --only',
  'test/matrix/run.ts --only nonsense',
  'test/chaos/run.ts --only kill --only nonsense',
  'test/fuzz/run.ts --requests abc',
  'test/fuzz/run.ts --requests=',
  'test/bench/run.ts --runs 0',
  'test/bench/run.ts --growth many',
  'test/bench/run.ts --compare package.json',
  'test/bench/run.ts --compare no-such-file.json',
])(
  '%s ends at once, with one line that says what is wrong and what may be given',
  async (command) => {
    const [script = '', ...args] = command.split(' ')
    const { code, stdout, stderr } = await run(script, args.join(' '))
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^[^\n]+\. Usage: npm run [^\n]+\n$/)
  },
  90_000,
)

it('takes the least number that it may be', () => {
  expect([wholeNumber('Usage', 'down', '1', 1), wholeNumber('Usage', 'down', '0')]).toEqual([1, 0])
})
