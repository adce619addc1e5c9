// Part of `npm run check`: portable code stays portable. Reads every import, then runs the portable parts on Deno,
// without files, processes or any host but this one. Says nothing where all is well.

import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { exit } from 'node:process'
import { fileURLToPath } from 'node:url'
import { faultOf, importsOf } from './imports.ts'

const ROOT = join(fileURLToPath(import.meta.url), '..', '..', '..')
const TIMEOUT_MS = 60_000
/** Neon's driver reads the defaults of Postgres clients (`USER`, `PGHOST`) when it loads; the fake provider listens. */
const PERMISSIONS = ['--no-prompt', '--allow-env', '--allow-net=127.0.0.1']

const files = globSync('{src,durable-objects}/**/*.ts', { cwd: ROOT }).map((file) => file.replaceAll('\\', '/'))
const faults = files.flatMap((file) =>
  importsOf(readFileSync(join(ROOT, file), 'utf8')).flatMap((one) => {
    const fault = faultOf(file, one)
    return fault ? [`${file} imports ${one.specifier}: ${fault}`] : []
  }),
)
if (faults.length > 0) {
  console.error(faults.join('\n'))
  exit(1)
}

const deno = spawnSync(
  process.execPath,
  [join('node_modules', 'deno', 'bin.cjs'), 'run', '--quiet', ...PERMISSIONS, '--no-remote', 'test/deno/smoke.ts'],
  { cwd: ROOT, encoding: 'utf8', timeout: TIMEOUT_MS, env: { ...process.env, DENO_NO_UPDATE_CHECK: '1' } },
)
if (deno.status !== 0) {
  console.error(`test/deno/smoke.ts failed on Deno\n${deno.stdout}${deno.stderr}${deno.error ?? ''}`)
  exit(1)
}
