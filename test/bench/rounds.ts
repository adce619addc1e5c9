// One run: a few rounds over everything, with the targets in another order in each round.

import { END_OF_ANSWER, MODES, type Mode } from './chat.ts'
import { type Load, type Measured, run } from './load.ts'
import { cpuMs } from './processes.ts'
import { type Cell, type Commit, median } from './report.ts'
import type { Committer, Stage, Target } from './targets.ts'

/** The one concurrency for long prompts: what they cost beyond short ones is the same for each call. */
const CONCURRENCY_OF_LONG = 16
const WARM_UP = { concurrency: 16, duration_ms: 1_000, most_calls: 2_000 }

interface Plan {
  rounds: number
  concurrencies: number[]
  /** The longest that one measurement takes. */
  duration_ms: number
  most_calls: number
}

type Weight = Pick<Load, 'concurrency' | 'duration_ms' | 'most_calls'>

export async function measureAll(
  { targets, committer }: Stage,
  { rounds, concurrencies, duration_ms, most_calls }: Plan,
): Promise<{ cells: Cell[]; commit: Commit }> {
  for (const target of targets) for (const mode of MODES) await measure(target, mode, WARM_UP)
  await measureCommit(committer, { ...WARM_UP, concurrency: 1 })
  const loads = MODES.flatMap((mode) =>
    (mode === 'long' ? [CONCURRENCY_OF_LONG] : concurrencies).map((concurrency) => ({ mode, concurrency })),
  )
  const cells: Cell[] = []
  const commits: Commit[] = []
  for (let round = 0; round < rounds; round++) {
    commits.push(await measureCommit(committer, { concurrency: 1, duration_ms, most_calls }))
    for (const { mode, concurrency } of loads) {
      for (const target of rotated(targets, round)) {
        const measured = await measure(target, mode, { concurrency, duration_ms, most_calls })
        cells.push({ round, mode, concurrency, target: target.name, ...measured })
      }
    }
  }
  // In the order of the table, whatever the order of the rounds was.
  const inOrder = loads.flatMap(({ mode, concurrency }) =>
    targets.flatMap(({ name }) =>
      cells.filter((it) => it.mode === mode && it.concurrency === concurrency && it.target === name),
    ),
  )
  return { cells: inOrder, commit: medians(commits) }
}

export const medians = (commits: Commit[]): Commit => ({
  p50_ms: median(commits.map(({ p50_ms }) => p50_ms)),
  p99_ms: median(commits.map(({ p99_ms }) => p99_ms)),
})

async function measure(
  target: Target,
  mode: Mode,
  load: Weight,
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

async function measureCommit({ url, write, nothing }: Committer, load: Weight): Promise<Commit> {
  const idle = await run({ url, requests: [nothing], mark: 'done', ...load })
  const writing = await run({ url, requests: [write], mark: 'done', ...load })
  return { p50_ms: writing.p50_ms - idle.p50_ms, p99_ms: writing.p99_ms - idle.p99_ms }
}

function rotated<T>(items: T[], by: number): T[] {
  const at = by % items.length
  return [...items.slice(at), ...items.slice(0, at)]
}
