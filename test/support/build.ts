// Builds the worker exactly as a deployment would, once for all tests.

import { execFileSync } from 'node:child_process'
import { dirname } from 'node:path'

const ROOT = `${dirname(dirname(import.meta.dirname))}/`
export const BUILT_WORKER = `${ROOT}dist/worker/index.js`

/** vitest's global setup. */
export default function buildWorker(): void {
  const wrangler = `${ROOT}node_modules/wrangler/bin/wrangler.js`
  execFileSync(process.execPath, [wrangler, 'deploy', '--dry-run', '--outdir', 'dist/worker'], {
    cwd: ROOT,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
