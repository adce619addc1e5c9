// The size of the bundle and the cost of its start, as `wrangler check startup` (which runs offline) reports them, and whether
// they are within the project's limits.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

const STARTUP_LIMIT_MS = 60
/** On a slow machine the limit is higher: this many times what Node takes, in the same run, to load zod. */
const MOST_LOADS_OF_ZOD = 2
export const GZIP_LIMIT_KIB = 1024
/** Where every start was above the limit, it is measured again, up to this many times in all. */
const MOST_STARTUPS = 9

interface Startup {
  /** `2723.33 KiB / gzip: 438.27 KiB` */
  bundle: string
  gzip_kib: number
  /** CPU until the worker can take its first request, as sampled. */
  active_ms: number
}

export interface Weight extends Omit<Startup, 'active_ms'> {
  /** The least: other work on the machine only ever adds to a start's time. */
  startup_ms: number
  startup_limit_ms: number
  startups: number
}

export function weigh(startups: number): Weight {
  const measured = Array.from({ length: startups }, measureStartup)
  const loads = measured.map(measureLoadOfZod)
  const startup_ms = () => Math.min(...measured.map(({ active_ms }) => active_ms))
  const startup_limit_ms = Math.max(STARTUP_LIMIT_MS, MOST_LOADS_OF_ZOD * Math.min(...loads))
  while (startup_ms() >= startup_limit_ms && measured.length < MOST_STARTUPS) measured.push(measureStartup())
  const { bundle, gzip_kib } = measured[0] ?? measureStartup()
  return { bundle, gzip_kib, startup_ms: startup_ms(), startup_limit_ms, startups: measured.length }
}

/** What is beyond a limit, in words. */
export function beyondLimits({ startup_ms, startup_limit_ms, gzip_kib }: Weight): string[] {
  return [
    ...(startup_ms < startup_limit_ms ? [] : [`startup takes ${startup_ms.toFixed(1)} ms of CPU`]),
    ...(gzip_kib < GZIP_LIMIT_KIB ? [] : [`the bundle has ${gzip_kib} KiB gzipped`]),
  ]
}

function measureStartup(): Startup {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-startup-'))
  try {
    const wrangler = join(dirname(createRequire(import.meta.url).resolve('wrangler/package.json')), 'bin/wrangler.js')
    const args = [wrangler, 'check', 'startup', '--outfile', join(folder, 'startup.cpuprofile')]
    const env = { ...process.env, NO_COLOR: '1', WRANGLER_SEND_METRICS: 'false' }
    const said = stripVTControlCharacters(execFileSync(process.execPath, args, { env, encoding: 'utf8' }))
    const [, bundle, gzip] = /Bundle: (.* gzip: ([\d.]+) KiB)/.exec(said) ?? []
    const active = /Active: ([\d.]+) ms/.exec(said)?.[1]
    if (!bundle || !active) throw new Error(`wrangler check startup said:\n${said}`)
    return { bundle: bundle.trim(), gzip_kib: Number(gzip), active_ms: Number(active) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** CPU milliseconds of a new Node process between its own start and having loaded zod, a pinned library of some size. */
function measureLoadOfZod(): number {
  const script =
    'const begun = process.cpuUsage(); require("zod"); const { user, system } = process.cpuUsage(begun); console.log(user + system)'
  return Number(execFileSync(process.execPath, ['-e', script], { cwd: import.meta.dirname, encoding: 'utf8' })) / 1000
}
