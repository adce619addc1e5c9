// From the rounds of a run to its table. Pure. Ratios are taken within a round, where both sides met the same noise.

import type { Mode } from './chat.ts'
import type { Measured } from './load.ts'

/** One target under one load in one round. */
export interface Cell extends Measured {
  round: number
  mode: Mode
  concurrency: number
  target: string
  /** CPU time of the worker's process per call. */
  worker_cpu_us: number | null
  /** From the last answer until the last event was in Postgres. */
  landed_ms: number | null
}

/** Medians over the rounds. */
export interface Line extends Omit<Cell, 'round' | 'calls'> {
  calls: number
  throughput_ratio: number
  added_p50_ms: number
}

export const YARDSTICK = 'pass-through'

export function summarize(cells: Cell[]): Line[] {
  const groups = Map.groupBy(cells, ({ mode, concurrency, target }) => `${mode} ${concurrency} ${target}`)
  return [...groups.values()].flatMap((rounds) => {
    const [first] = rounds
    if (!first) return []
    const { mode, concurrency, target } = first
    const pairs = rounds.flatMap((cell) => {
      const yardstick = cells.find((it) => it.target === YARDSTICK && isSameLoad(it, cell))
      return yardstick ? [{ cell, yardstick }] : []
    })
    return {
      mode,
      concurrency,
      target,
      calls: rounds.reduce((sum, { calls }) => sum + calls, 0),
      calls_per_second: median(rounds.map((cell) => cell.calls_per_second)),
      p50_ms: median(rounds.map((cell) => cell.p50_ms)),
      p99_ms: median(rounds.map((cell) => cell.p99_ms)),
      throughput_ratio: median(pairs.map(({ cell, yardstick }) => cell.calls_per_second / yardstick.calls_per_second)),
      added_p50_ms: median(pairs.map(({ cell, yardstick }) => cell.p50_ms - yardstick.p50_ms)),
      worker_cpu_us: medianOrNull(rounds.map((cell) => cell.worker_cpu_us)),
      landed_ms: medianOrNull(rounds.map((cell) => cell.landed_ms)),
    }
  })
}

const isSameLoad = (a: Cell, b: Cell) => a.round === b.round && a.mode === b.mode && a.concurrency === b.concurrency

export function table(lines: Line[]): string {
  const head = ['mode', 'at once', 'target', 'calls/s', 'p50 ms', 'p99 ms', 'x pass', '+p50 ms', 'CPU us', 'landed ms']
  const rows = lines.map((line) => [
    line.mode,
    String(line.concurrency),
    line.target,
    line.calls_per_second.toFixed(0),
    line.p50_ms.toFixed(2),
    line.p99_ms.toFixed(2),
    line.throughput_ratio.toFixed(2),
    line.added_p50_ms.toFixed(2),
    line.worker_cpu_us?.toFixed(0) ?? '-',
    line.landed_ms?.toFixed(0) ?? '-',
  ])
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const isText = (at: number) => at === 0 || at === 2
  return [head, ...rows]
    .map((row) => row.map((text, at) => (isText(at) ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0))))
    .map((row) => row.join('  '))
    .join('\n')
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle) - 1] ?? Number.NaN)) / 2
}

function medianOrNull(values: (number | null)[]): number | null {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : median(known)
}
