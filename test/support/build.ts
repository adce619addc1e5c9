// Builds workers for tests: the product's as a deployment would, and those that put something around it.

import { execFileSync } from 'node:child_process'
import { renameSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { buildSync } from 'esbuild'

const ROOT = `${dirname(dirname(import.meta.dirname))}/`
export const BUILT_WORKER = `${ROOT}dist/worker/index.js`

/**
 * Builds the worker exactly as a deployment would.
 *
 * @param folder of the project, to build into
 * @returns where the built module is
 */
export function buildWorker(folder = 'dist/worker'): string {
  const wrangler = `${ROOT}node_modules/wrangler/bin/wrangler.js`
  execFileSync(process.execPath, [wrangler, 'deploy', '--dry-run', '--outdir', folder], {
    cwd: ROOT,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return `${ROOT}${folder}/index.js`
}

/**
 * Bundles a worker of the tests, with wrangler's bundler: wrangler itself would take seconds for each.
 *
 * @param entry a file of the project
 * @returns where the bundled module is
 */
export function bundle(entry: string): string {
  const bundled = `${ROOT}dist/tests/${basename(entry, '.ts')}.js`
  const written = `${bundled}.${process.pid}`
  buildSync({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile: written,
    bundle: true,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'node:*'],
  })
  // At once: another process may be reading it.
  renameSync(written, bundled)
  return bundled
}
