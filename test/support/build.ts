// Builds the worker exactly as a deployment would, once for all tests.

import { execFileSync } from 'node:child_process'
import { dirname } from 'node:path'

const ROOT = `${dirname(dirname(import.meta.dirname))}/`
export const BUILT_WORKER = `${ROOT}dist/worker/index.js`

export default function buildWorker(): void {
  bundle('dist/worker')
}

/** Into a folder of the project; the entry is src/index.ts or another file of the project. */
export function bundle(folder: string, entry?: string): void {
  const wrangler = `${ROOT}node_modules/wrangler/bin/wrangler.js`
  execFileSync(process.execPath, [wrangler, 'deploy', ...(entry ? [entry] : []), '--dry-run', '--outdir', folder], {
    cwd: ROOT,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
