// npm run test:chaos -- [--only NAME]: breaks Tollgate in every way that it promises to survive, with load running, and
// checks the books after each. A line a fault; exit code 1 where a promise did not hold.

import { parseArgs } from 'node:util'
import type { Counted } from './audit.ts'
import { manyWaiting } from './faults/backlog.ts'
import { clockJumps } from './faults/clock.ts'
import { killEverything } from './faults/kill.ts'
import { lostMemory } from './faults/lost-memory.ts'
import { poisonedEvent } from './faults/poison.ts'
import { postgresTroubles } from './faults/postgres.ts'
import { settleTroubles } from './faults/settle.ts'
import { staleSnapshot } from './faults/stale.ts'
import { upstreamCuts } from './faults/upstream.ts'
import { buildStage } from './stage.ts'

/** Tells what each part of it has counted. */
type Fault = (tell: (part: string, counted: Counted) => void) => Promise<void>

const FAULTS: Record<string, Fault> = {
  kill: killEverything,
  memory: lostMemory,
  postgres: postgresTroubles,
  upstream: upstreamCuts,
  settle: settleTroubles,
  clock: clockJumps,
  backlog: manyWaiting,
  stale: staleSnapshot,
  poison: poisonedEvent,
}
const LONGEST_MS = 5 * 60_000

const { values } = parseArgs({ options: { only: { type: 'string', multiple: true } } })
const chosen = values.only ?? Object.keys(FAULTS)
const started = Date.now()
let failures = 0

buildStage()
for (const name of chosen) {
  const fault = FAULTS[name]
  if (!fault) throw new Error(`--only ${name}: there are ${Object.keys(FAULTS).join(', ')}`)
  let since = Date.now()
  try {
    await within(
      LONGEST_MS,
      fault((part, counted) => {
        console.log(`ok    ${part}: ${told(counted)} (${seconds(since)})`)
        since = Date.now()
      }),
    )
  } catch (error) {
    failures += 1
    console.error(`FAIL  ${name} (${seconds(since)})\n${error instanceof Error ? error.stack : error}`)
  }
}
console.log(
  failures === 0
    ? `Every promise held (${seconds(started)}).`
    : `${failures} of ${chosen.length} FAILED (${seconds(started)})`,
)
process.exit(failures === 0 ? 0 : 1)

function told(counted: Counted): string {
  return Object.entries(counted)
    .map(([what, count]) => `${typeof count === 'number' ? count.toLocaleString('en') : count} ${what}`)
    .join(', ')
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
