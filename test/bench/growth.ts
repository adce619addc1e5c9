// Memory of Tollgate's process, and of the pass-through's as the yardstick, over many calls: JSON and streams, from one user
// and from many. Sampled at rest, when every event is in Postgres. Linux only.

import { END_OF_ANSWER, type Mode } from './chat.ts'
import { beyondGrowth, type Growth, growthOf } from './flatness.ts'
import { run } from './load.ts'
import { type Memory, memoryOf } from './processes.ts'
import { grid, YARDSTICK } from './report.ts'
import { openStage, type Stage, type Target } from './targets.ts'

const SAMPLES = 30
/** V8 collects late: even the bare pass-through's process grows by some 350 MiB over its first 25,000 calls, then stays. */
const WARM_UP_CALLS = 30_000
const CONCURRENCY = 16

interface Row {
  calls: number
  passThrough: Memory
  tollgate: Memory
}

/** Prints as it goes. True where Tollgate's memory is within the limits and the books balance. */
export async function measureGrowth(options: { calls: number; memory: boolean }): Promise<boolean> {
  const stage = await openStage(options)
  try {
    const rows = await sampleAll(stage, options.calls)
    const cells = rows.map(({ calls, passThrough, tollgate }) =>
      [calls, passThrough.rss_mib, passThrough.pss_mib, tollgate.rss_mib, tollgate.pss_mib, tollgate.peak_mib].map(
        (value) => value.toFixed(0),
      ),
    )
    const head = ['calls', `${YARDSTICK} RSS MiB`, 'PSS MiB', 'Tollgate RSS MiB', 'PSS MiB', 'peak RSS MiB']
    console.log(`${grid(head, cells, [])}\n`)
    const growth = (of: 'passThrough' | 'tollgate') =>
      growthOf(rows.map((row) => ({ calls: row.calls, rss_mib: row[of].rss_mib })))
    console.log(inWords(YARDSTICK, growth('passThrough')))
    console.log(inWords('Tollgate', growth('tollgate')))
    const wrong = beyondGrowth(growth('tollgate'))
    console.log(wrong.length === 0 ? 'Within the limits.' : `BEYOND THE LIMITS: ${wrong.join('; ')}.`)
    return wrong.length === 0
  } finally {
    await stage.close()
  }
}

async function sampleAll({ targets }: Stage, calls: number): Promise<Row[]> {
  const yardstick = targets.filter(({ name }) => name === YARDSTICK)
  const tollgate = targets.filter(({ books }) => books !== null)
  const sample = (at: number): Row => ({ calls: at, passThrough: memory(yardstick), tollgate: memory(tollgate) })
  const callBoth = async (count: number) => {
    for (const some of [yardstick, tollgate]) await callAll(some, count)
  }
  await callBoth(WARM_UP_CALLS)
  const rows = [sample(0)]
  for (let index = 1; index <= SAMPLES; index++) {
    const [before, at] = [rows.at(-1)?.calls ?? 0, Math.round((calls * index) / SAMPLES)]
    await callBoth(at - before)
    rows.push(sample(at))
  }
  await tollgate[0]?.books?.balance()
  return rows
}

const MODES: Mode[] = ['json', 'stream']

/** Shares the calls between the targets and the modes. */
async function callAll(targets: Target[], calls: number): Promise<void> {
  const parts = targets.flatMap((target) => MODES.map((mode) => ({ target, mode })))
  for (const [index, { target, mode }] of parts.entries()) {
    const most_calls = Math.floor((calls + index) / parts.length)
    const load = { concurrency: CONCURRENCY, duration_ms: Number.POSITIVE_INFINITY, most_calls }
    const { url, requests } = target
    const measured = await run({ url, requests: requests[mode], mark: END_OF_ANSWER[mode], ...load })
    target.books?.expect(measured.calls)
  }
  await targets[0]?.books?.landed()
}

function memory([target]: Target[]): Memory {
  const memory = target?.worker_pid ? memoryOf(target.worker_pid) : null
  if (!memory) throw new Error("a process's memory can only be told on Linux")
  return memory
}

const inWords = (name: string, { growth_mib, drift_mib }: Growth) =>
  `${name}: at most ${growth_mib.toFixed(0)} MiB more in the first 10,000 calls, ${drift_mib.toFixed(1)} MiB of drift in the last third`
