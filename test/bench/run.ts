// `npm run bench [-- OPTIONS]`: the built worker against a bare pass-through worker, in interleaved rounds of one run. Exit
// code 1 where an answer is not a whole 200, the books do not balance or a limit is passed. See README.md.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { readArguments, refuseArguments, wholeNumber } from '../../src/local/arguments.ts'
import { parseJsonOrUndefined } from '../../src/providers/answer.ts'
import { endWellOnSignals } from '../support/temporary.ts'
import {
  type Comparison,
  compare,
  comparisonTable,
  differences,
  fallenInAll,
  type Machine,
  MOST_FALL,
  ratiosOf,
  type Stored,
} from './compare.ts'
import { addedTable, type Cell, type Commit, median, summarize, table } from './report.ts'
import { measureAll, medians } from './rounds.ts'
import { beyondLimits, GZIP_LIMIT_KIB, weigh } from './startup.ts'

const PLANS = {
  full: {
    rounds: 5,
    concurrencies: [1, 16, 64],
    duration_ms: 900,
    most_calls: 20_000,
    startups: 5,
    ledger_calls: 20_000,
  },
  quick: { rounds: 3, concurrencies: [1, 16], duration_ms: 350, most_calls: 5_000, startups: 3, ledger_calls: 5_000 },
}
const BASELINE = `${import.meta.dirname}/baseline.json`
const LAST_RUN = 'dist/bench.json'

const USAGE =
  'Usage: npm run bench -- [--quick] [--memory] [--out FILE] [--compare FILE] [--runs N] [--save-baseline], ' +
  'or --growth [CALLS] [--memory]'
const { values: options, positionals } = readArguments(USAGE, {
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    memory: { type: 'boolean', default: false },
    out: { type: 'string' },
    compare: { type: 'string' },
    runs: { type: 'string' },
    'save-baseline': { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
  },
})
endWellOnSignals()
const started = Date.now()
const isFine = options.growth ? await growth() : await bench()
console.log(`${((Date.now() - started) / 1000).toFixed(0)} s in all.`)
if (!isFine) process.exitCode = 1

async function growth(): Promise<boolean> {
  const [count = '10000', unexpected] = positionals
  if (unexpected) refuseArguments(USAGE, `Unexpected argument '${unexpected}'`)
  const { growth: _, memory, ...others } = options
  const [other] = Object.keys(others).filter((name) => others[name as keyof typeof others])
  if (other) refuseArguments(USAGE, `--growth compares nothing and stores nothing: it takes no --${other}`)
  const calls = wholeNumber(USAGE, '--growth', count, 1)
  // Loaded only now, so that `--help` and wrong arguments are answered at once.
  const { measureGrowth } = await import('./growth.ts')
  return measureGrowth({ calls, memory })
}

async function bench(): Promise<boolean> {
  if (positionals.length > 0) refuseArguments(USAGE, `Unexpected argument '${positionals[0]}'`)
  const most_runs = wholeNumber(USAGE, '--runs', options.runs ?? '1', 1)
  const plan = options.quick ? PLANS.quick : PLANS.full
  const machine = describeMachine()
  const stored = options.compare === undefined ? null : readStored(options.compare, machine)
  const { ledgerCost } = await import('./ledger-cost.ts')
  const { openStage } = await import('./targets.ts')
  const weight = weigh(plan.startups)
  const ledgerCosts = Array.from({ length: plan.rounds }, () => ledgerCost(plan.ledger_calls))
  const worker = {
    bundle: weight.bundle,
    startup_cpu_ms: weight.startup_ms,
    ledger_cpu_us_per_call: median(ledgerCosts),
  }

  const cells: Cell[] = []
  const commits: Commit[] = []
  const comparisons: Comparison[] = []
  for (let index = 0; index < most_runs; index++) {
    const stage = await openStage({ memory: options.memory })
    machine.postgres = stage.postgres_version
    const measured = await measureAll(stage, plan).finally(stage.close)
    cells.push(...measured.cells.map((cell) => ({ ...cell, round: index * plan.rounds + cell.round })))
    commits.push(measured.commit)
    if (stored) comparisons.push(compare(stored.lines, summarize(measured.cells)))
    // A fall that does not repeat was noise.
    if (stored && fallenInAll(comparisons).length === 0) break
  }

  const lines = summarize(cells)
  const commit = medians(commits)
  for (const [name, value] of Object.entries({ ...machine, ...worker })) console.log(`${name.padEnd(24)}${value}`)
  console.log(`\n${table(lines)}\n`)
  console.log(`What is added to one call at a time. One commit where the ledgers are takes ${inWords(commit)}.`)
  console.log(`${addedTable(lines, commit)}\n`)
  const events = lines.reduce((sum, { calls, landed_ms }) => sum + (landed_ms === null ? 0 : calls), 0)
  console.log(
    `The books balance: ${events} measured calls through Tollgate, one event each in Postgres, sums as the ledgers'.`,
  )
  const out = options.out ?? LAST_RUN
  writeFileSync(out, `${JSON.stringify({ machine, worker, commit, lines, cells }, null, 2)}\n`)
  console.log(`Every round is in ${out}.`)
  if (options['save-baseline']) {
    // One call at a time makes too few calls for a ratio: it moves by a third between runs.
    const steady = ratiosOf(lines).filter(({ concurrency }) => concurrency > 1)
    writeFileSync(BASELINE, `${JSON.stringify({ machine, lines: steady }, null, 2)}\n`)
    console.log(`Saved ${BASELINE}.`)
  }

  const beyond = beyondLimits(weight)
  console.log(
    `Startup ${weight.startup_ms.toFixed(1)} ms of CPU (least of ${weight.startups}, limit ${weight.startup_limit_ms.toFixed(0)}), ` +
      `bundle ${weight.gzip_kib} KiB gzipped (limit ${GZIP_LIMIT_KIB}): ${verdict(beyond)}`,
  )
  const fallen = stored ? reportComparisons(stored, machine, comparisons) : []
  return beyond.length === 0 && fallen.length === 0
}

/** Prints every comparison. @returns the cells that have fallen in all of them. */
function reportComparisons(stored: Stored, machine: Machine, comparisons: Comparison[]): string[] {
  console.log(`\nCompared with the run of ${stored.machine.date}: a ratio may fall by ${MOST_FALL * 100} %.`)
  for (const difference of differences(stored.machine, machine)) console.log(`Differs in ${difference}.`)
  for (const comparison of comparisons) console.log(`\n${comparisonTable(comparison)}`)
  const fallen = fallenInAll(comparisons)
  const runs = comparisons.length > 1 ? ` in each of ${comparisons.length} runs` : ''
  console.log(fallen.length === 0 ? '\nNo ratio has fallen.' : `\nFALLEN${runs}: ${fallen.join('; ')}.`)
  return fallen
}

function readStored(file: string, machine: Machine): Stored {
  const stored = existsSync(file)
    ? (parseJsonOrUndefined(readFileSync(file, 'utf8')) as Stored | null | undefined)
    : null
  if (!stored?.machine || !Array.isArray(stored.lines))
    return refuseArguments(USAGE, `${file} is not a run that the bench has stored`)
  const { ledgers } = stored.machine
  // The cost of a commit on disk would hide all other differences.
  if (ledgers !== machine.ledgers)
    refuseArguments(USAGE, `${file} was measured with the ledgers ${ledgers}, these would be ${machine.ledgers}`)
  return stored
}

function describeMachine(): Machine {
  return {
    date: new Date().toISOString(),
    cpu: `${availableParallelism()} x ${cpus()[0]?.model.trim()}`,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    ledgers: options.memory ? 'in memory' : 'on disk',
    plan: options.quick ? 'quick' : 'full',
  }
}

function verdict(wrong: string[]): string {
  return wrong.length === 0 ? 'within the limits.' : `BEYOND THE LIMITS: ${wrong.join('; ')}.`
}

function inWords({ p50_ms, p99_ms }: Commit): string {
  return `${p50_ms.toFixed(2)} ms (p50), ${p99_ms.toFixed(2)} ms (p99)`
}
