// `npm run bench [-- --quick] [--memory] [--out FILE]`: the built worker against a bare pass-through worker, in interleaved
// rounds of one run. Exit code 1 where an answer is not a whole 200 or the books do not balance. See README.md.

import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { END_OF_ANSWER, MODES, type Mode } from './chat.ts'
import { ledgerCost } from './ledger-cost.ts'
import { type Load, type Measured, run } from './load.ts'
import { cpuMs } from './processes.ts'
import { type Cell, median, summarize, table } from './report.ts'
import { measureStartup } from './startup.ts'
import { openStage, type Target } from './targets.ts'

const CONCURRENCIES = [1, 16, 64]
const PLANS = {
  full: { rounds: 5, duration_ms: 900, most_calls: 20_000, startups: 3, ledger_calls: 20_000 },
  quick: { rounds: 2, duration_ms: 350, most_calls: 5_000, startups: 1, ledger_calls: 5_000 },
}
const WARM_UP = { concurrency: 16, duration_ms: 1_000, most_calls: 2_000 }

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, memory: { type: 'boolean' }, out: { type: 'string' } },
})
const plan = options.quick ? PLANS.quick : PLANS.full
const started = new Date()

const startups = Array.from({ length: plan.startups }, measureStartup)
const ledgerCosts = Array.from({ length: plan.rounds }, () => ledgerCost(plan.ledger_calls))
const stage = await openStage({ memory: options.memory ?? false })
const cells = await measureAll(stage.targets).finally(stage.close)

const machine = {
  date: started.toISOString(),
  cpu: `${availableParallelism()} x ${cpus()[0]?.model.trim()}`,
  memory_gib: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  postgres: stage.postgres_version,
  ledgers: options.memory ? 'in memory' : 'on disk',
}
const worker = {
  bundle: startups[0]?.bundle,
  startup_cpu_ms: median(startups.map(({ active_ms }) => active_ms)),
  ledger_cpu_us_per_call: median(ledgerCosts),
}
const lines = summarize(cells)
for (const [name, value] of Object.entries({ ...machine, ...worker })) console.log(`${name.padEnd(24)}${value}`)
console.log(`\n${table(lines)}\n`)
const events = lines.reduce((sum, { calls, landed_ms }) => sum + (landed_ms === null ? 0 : calls), 0)
console.log(
  `The books balance: ${events} measured calls through Tollgate, one event each in Postgres, sums as the ledgers'.`,
)
console.log(`${((Date.now() - started.getTime()) / 1000).toFixed(0)} s in all.`)
if (options.out) writeFileSync(options.out, `${JSON.stringify({ machine, worker, lines, cells }, null, 2)}\n`)

/** A few rounds over everything, each target at another place in each round. */
async function measureAll(targets: Target[]): Promise<Cell[]> {
  const { rounds, duration_ms, most_calls } = plan
  for (const target of targets) for (const mode of MODES) await measure(target, mode, WARM_UP)
  const loads = MODES.flatMap((mode) => CONCURRENCIES.map((concurrency) => ({ mode, concurrency })))
  const cells: Cell[] = []
  for (let round = 0; round < rounds; round++) {
    for (const { mode, concurrency } of loads) {
      for (const target of rotated(targets, round)) {
        const measured = await measure(target, mode, { concurrency, duration_ms, most_calls })
        cells.push({ round, mode, concurrency, target: target.name, ...measured })
      }
    }
  }
  // In the order of the table, whatever the order of the rounds was.
  return loads.flatMap(({ mode, concurrency }) =>
    targets.flatMap(({ name }) =>
      cells.filter((it) => it.mode === mode && it.concurrency === concurrency && it.target === name),
    ),
  )
}

async function measure(
  target: Target,
  mode: Mode,
  load: Pick<Load, 'concurrency' | 'duration_ms' | 'most_calls'>,
): Promise<Measured & Pick<Cell, 'worker_cpu_us' | 'landed_ms'>> {
  const cpu = () => (target.worker_pid === null ? null : cpuMs(target.worker_pid))
  const before = cpu()
  const measured = await run({ url: target.url, requests: target.requests[mode], mark: END_OF_ANSWER[mode], ...load })
  target.books?.expect(measured.calls)
  // What is still to be written to Postgres is part of the calls' price.
  const landed_ms = (await target.books?.landed()) ?? null
  const after = cpu()
  await target.books?.balance()
  const worker_cpu_us = before === null || after === null ? null : ((after - before) * 1000) / measured.calls
  return { ...measured, worker_cpu_us, landed_ms }
}

function rotated<T>(items: T[], by: number): T[] {
  const at = by % items.length
  return [...items.slice(at), ...items.slice(0, at)]
}
