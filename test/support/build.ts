// Builds the worker exactly as a deployment would, once for all tests.

import { execFileSync } from 'node:child_process'
import { basename, dirname } from 'node:path'

const ROOT = `${dirname(dirname(import.meta.dirname))}/`
export const BUILT_WORKER = `${ROOT}dist/worker/index.js`

export default function buildWorker(): void {
  bundle('dist/worker')
}

/**
 * @param folder of the project, to build into
 * @param entry a file of the project
 * @returns where the built module is
 */
export function bundle(folder: string, entry = 'src/index.ts'): string {
  const wrangler = `${ROOT}node_modules/wrangler/bin/wrangler.js`
  execFileSync(process.execPath, [wrangler, 'deploy', entry, '--dry-run', '--outdir', folder], {
    cwd: ROOT,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return `${ROOT}${folder}/${basename(entry, '.ts')}.js`
}
