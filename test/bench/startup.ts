// What the bundle weighs and what its start costs, in the words of `wrangler check startup` (it runs offline).

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

export interface Startup {
  /** `2723.33 KiB / gzip: 438.27 KiB` */
  bundle: string
  /** CPU until the worker can take its first request, as sampled. */
  active_ms: number
}

export function measureStartup(): Startup {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-startup-'))
  try {
    const wrangler = join(dirname(createRequire(import.meta.url).resolve('wrangler/package.json')), 'bin/wrangler.js')
    const args = [wrangler, 'check', 'startup', '--outfile', join(folder, 'startup.cpuprofile')]
    const env = { ...process.env, NO_COLOR: '1', WRANGLER_SEND_METRICS: 'false' }
    const said = stripVTControlCharacters(execFileSync(process.execPath, args, { env, encoding: 'utf8' }))
    const bundle = /Bundle: (.*)/.exec(said)?.[1]
    const active = /Active: ([\d.]+) ms/.exec(said)?.[1]
    if (!bundle || !active) throw new Error(`wrangler check startup said:\n${said}`)
    return { bundle: bundle.trim(), active_ms: Number(active) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
