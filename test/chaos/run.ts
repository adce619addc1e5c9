// npm run test:chaos -- [--only NAME] [--seed N]: breaks Tollgate in every way that it promises to survive, with load
// running, and checks the books after each. One line per fault; exit code 1 where a promise did not hold.

import { readArguments, refuseArguments, wholeNumber } from '../../src/local/arguments.ts'
import { endWellOnSignals } from '../support/temporary.ts'
import type { Counted } from './audit.ts'

/** Tells what each part of it has counted. */
type Fault = (tell: (part: string, counted: Counted) => void, seed: number) => Promise<void>

/** Loaded only when they are played, so that `--help` and wrong arguments are answered at once. */
const FAULTS: Record<string, () => Promise<Fault>> = {
  kill: async () => (await import('./faults/kill.ts')).killEverything,
  memory: async () => (await import('./faults/lost-memory.ts')).lostMemory,
  remnants: async () => (await import('./faults/remnants.ts')).liveRemnants,
  postgres: async () => (await import('./faults/postgres.ts')).postgresTroubles,
  upstream: async () => (await import('./faults/upstream.ts')).upstreamCuts,
  settle: async () => (await import('./faults/settle.ts')).settleTroubles,
  clock: async () => (await import('./faults/clock.ts')).clockJumps,
  backlog: async () => (await import('./faults/backlog.ts')).manyWaiting,
  stale: async () => (await import('./faults/stale.ts')).staleSnapshot,
  poison: async () => (await import('./faults/poison.ts')).poisonedEvent,
  storm: async () => (await import('./faults/storm.ts')).storm,
}
const LONGEST_MS = 10 * 60_000

const USAGE = `Usage: npm run test:chaos -- [--only NAME]... [--seed N], of ${Object.keys(FAULTS).join(', ')}; --seed repeats a storm`
const { values } = readArguments(USAGE, {
  options: { only: { type: 'string', multiple: true }, seed: { type: 'string' } },
})
const seed = wholeNumber(USAGE, '--seed', values.seed ?? String(Date.now() % 2 ** 31))
const chosen = (values.only ?? Object.keys(FAULTS)).map((name) => {
  const load = FAULTS[name]
  return load ? { name, load } : refuseArguments(USAGE, `There is no fault "${name}"`)
})
endWellOnSignals()
const { CLASSES } = await import('./match.ts')
const started = Date.now()
let failures = 0
/** Over all faults. */
const totals = new Map<string, number>()

for (const { name, load } of chosen) {
  const fault = await load()
  let since = Date.now()
  try {
    await within(
      LONGEST_MS,
      fault((part, counted) => {
        console.log(`ok    ${part}: ${told(counted)} (${seconds(since)})`)
        for (const name of CLASSES) totals.set(name, (totals.get(name) ?? 0) + Number(counted[name] ?? 0))
        since = Date.now()
      }, seed),
    )
  } catch (error) {
    failures += 1
    console.error(`FAIL  ${name} (${seconds(since)})\n${error instanceof Error ? error.stack : error}`)
  }
}
console.log('Every call, by what its client had and what is on record:')
for (const [name, count] of totals) console.log(`${count.toLocaleString('en').padStart(9)}  ${inWords(name)}`)
console.log(
  failures === 0
    ? `Every promise held (${seconds(started)}).`
    : `${failures} of ${chosen.length} FAILED (${seconds(started)})`,
)
process.exit(failures === 0 ? 0 : 1)

function told(counted: Counted): string {
  return Object.entries(counted)
    .map(([what, count]) => `${typeof count === 'number' ? count.toLocaleString('en') : count} ${inWords(what)}`)
    .join(', ')
}

/** A call that failed is no failure of the test. */
function inWords(what: string): string {
  return what.replace(/^failed,? /, 'failed as the fault means it, ')
}

function seconds(since: number): string {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not over after ${ms / 1000} s`)), ms)
  })
  await Promise.race([work, late]).finally(() => clearTimeout(timer))
}
