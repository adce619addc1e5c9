// From the rounds of a run to its tables. Pure. Ratios and differences are taken within a round, where both sides met the
// same noise.

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

/** Medians over the rounds. `added_...` is the difference to the pass-through in the same round. */
export interface Line extends Omit<Cell, 'round' | 'calls'> {
  calls: number
  throughput_ratio: number
  added_p50_ms: number
  added_p99_ms: number
  added_first_p50_ms: number | null
  added_first_p99_ms: number | null
}

/** What one commit of a Durable Object adds to a call that writes nothing. */
export interface Commit {
  p50_ms: number
  p99_ms: number
}

type Latency = 'p50_ms' | 'p99_ms' | 'first_p50_ms' | 'first_p99_ms'

export const YARDSTICK = 'pass-through'

export const isTollgate = ({ target }: { target: string }) => target.startsWith('Tollgate')

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
    const added = (latency: Latency) =>
      medianOrNull(
        pairs.map(({ cell: { [latency]: mine }, yardstick: { [latency]: other } }) =>
          mine === null || other === null ? null : mine - other,
        ),
      )
    return {
      mode,
      concurrency,
      target,
      calls: rounds.reduce((sum, { calls }) => sum + calls, 0),
      calls_per_second: median(rounds.map((cell) => cell.calls_per_second)),
      p50_ms: median(rounds.map((cell) => cell.p50_ms)),
      p99_ms: median(rounds.map((cell) => cell.p99_ms)),
      first_p50_ms: medianOrNull(rounds.map((cell) => cell.first_p50_ms)),
      first_p99_ms: medianOrNull(rounds.map((cell) => cell.first_p99_ms)),
      throughput_ratio: median(pairs.map(({ cell, yardstick }) => cell.calls_per_second / yardstick.calls_per_second)),
      added_p50_ms: added('p50_ms') ?? Number.NaN,
      added_p99_ms: added('p99_ms') ?? Number.NaN,
      added_first_p50_ms: added('first_p50_ms'),
      added_first_p99_ms: added('first_p99_ms'),
      worker_cpu_us: medianOrNull(rounds.map((cell) => cell.worker_cpu_us)),
      landed_ms: medianOrNull(rounds.map((cell) => cell.landed_ms)),
    }
  })
}

const isSameLoad = (a: Cell, b: Cell) => a.round === b.round && a.mode === b.mode && a.concurrency === b.concurrency

const figure = (value: number | null, digits: number) => value?.toFixed(digits) ?? '-'

export function table(lines: Line[]): string {
  const head = [
    'mode',
    'at once',
    'target',
    'calls/s',
    'x pass',
    'p50 ms',
    'p99 ms',
    '+p50 ms',
    'first p50',
    'first p99',
  ]
  const rows = lines.map((line) => [
    line.mode,
    String(line.concurrency),
    line.target,
    figure(line.calls_per_second, 0),
    figure(line.throughput_ratio, 2),
    figure(line.p50_ms, 2),
    figure(line.p99_ms, 2),
    figure(line.added_p50_ms, 2),
    figure(line.first_p50_ms, 2),
    figure(line.first_p99_ms, 2),
    figure(line.added_first_p50_ms, 2),
    figure(line.worker_cpu_us, 0),
    figure(line.landed_ms, 0),
  ])
  return grid([...head, '+first p50', 'CPU us', 'landed ms'], rows, [0, 2])
}

/** What is added to calls made one after the other: all of it, and less one commit. */
export function addedTable(lines: Line[], commit: Commit): string {
  const rows = lines
    .filter(({ concurrency, target }) => concurrency === 1 && target !== YARDSTICK && target !== 'direct')
    .flatMap((line) => {
      const row = (what: string, p50: number | null, p99: number | null) => {
        if (p50 === null || p99 === null) return []
        const beyond = [p50 - commit.p50_ms, p99 - commit.p99_ms]
        return [[line.mode, line.target, what, ...[p50, p99, ...beyond].map((value) => figure(value, 2))]]
      }
      return [
        ...row('whole answer', line.added_p50_ms, line.added_p99_ms),
        ...row('first event', line.added_first_p50_ms, line.added_first_p99_ms),
      ]
    })
  const head = ['mode', 'target', 'until', '+p50 ms', '+p99 ms', '+p50 less a commit', '+p99 less a commit']
  return grid(head, rows, [0, 1, 2])
}

/** @param text columns that are aligned to the left. */
export function grid(head: string[], rows: string[][], text: number[]): string {
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((row) => row[at]?.length ?? 0)))
  return [head, ...rows]
    .map((row) =>
      row.map((cell, at) => (text.includes(at) ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))),
    )
    .map((row) => row.join('  ').trimEnd())
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
