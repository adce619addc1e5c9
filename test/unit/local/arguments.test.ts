// The scripts that npm runs, each as a process of its own, with arguments that they do not take.

import { expect, it } from 'vitest'
import { wholeNumber } from '../../../src/local/arguments.ts'
import { runScript } from './run-script.ts'

it.concurrent.each<[script: string, ...wrong: string[]]>([
  ['test/matrix/run.ts', '--nonsense', '--only', '--only nonsense'],
  ['test/chaos/run.ts', '--nonsense', 'kill', '--only kill --only nonsense'],
  ['test/fuzz/run.ts', '--nonsense', '--requests abc', '--requests='],
  [
    'test/bench/run.ts',
    ...[
      '--nonsense',
      'quick',
      '--runs 0',
      '--growth many',
      '--growth --compare package.json',
      '--growth --runs 3',
      '--growth 1 2',
      '--compare package.json',
      '--compare no-such-file.json',
    ],
  ],
  ['src/local/migrate.ts'],
])(
  '%s says in one line what may be given: asked with --help, and at once where it is given anything else',
  async (script, ...wrong) => {
    const helped = await runScript(script, ['--help'])
    expect(helped).toEqual({ code: 0, stdout: expect.stringMatching(/^Usage: npm run .*\n$/), stderr: '' })
    for (const args of wrong) {
      const stderr = expect.stringMatching(/^[^\n]+\. Usage: npm run [^\n]+\n$/)
      expect(await runScript(script, args.split(' ')), args).toEqual({ code: 1, stdout: '', stderr })
    }
  },
  90_000,
)

it('takes the least number that it may be', () => {
  expect([wholeNumber('Usage', 'down', '1', 1), wholeNumber('Usage', 'down', '0')]).toEqual([1, 0])
})
