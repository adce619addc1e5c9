// Whether a run's ratios have fallen against a stored run's. Pure. Only ratios to the pass-through of the same round are
// compared: they depend less on the machine than anything else.

import { grid, isTollgate, type Line } from './report.ts'

/** A ratio may fall by this share of the stored one. */
export const MOST_FALL = 0.2

/** The circumstances of a run, by name. */
export type Machine = Record<string, string | number>
export type Ratio = Pick<Line, 'mode' | 'concurrency' | 'target' | 'throughput_ratio'>

/** What `--save-baseline` writes. The results that each run writes can be read as one, too. */
export interface Stored {
  machine: Machine
  lines: Ratio[]
}

interface Compared {
  mode: string
  concurrency: number
  target: string
  stored: number
  now: number
  has_fallen: boolean
}

export interface Comparison {
  /** In the stored run's order. */
  cells: Compared[]
  /** Tollgate's cells that only one of the two runs has, as `json 64 Tollgate, 1 user`. */
  only_stored: string[]
  only_now: string[]
}

/** Circumstances that change a ratio while the code is the same. */
const CIRCUMSTANCES = ['cpu', 'node', 'postgres', 'ledgers', 'plan']

const nameOf = ({ mode, concurrency, target }: Pick<Compared, 'mode' | 'concurrency' | 'target'>) =>
  `${mode} ${concurrency} ${target}`

/** Tollgate's ratios alone. */
export function ratiosOf(lines: Ratio[]): Ratio[] {
  return lines
    .filter(isTollgate)
    .map(({ mode, concurrency, target, throughput_ratio }) => ({ mode, concurrency, target, throughput_ratio }))
}

/** @throws where a stored ratio is not positive, or the runs have no cell in common: that must not pass for "no fall". */
export function compare(stored: Ratio[], now: Ratio[]): Comparison {
  const [before, after] = [ratiosOf(stored), ratiosOf(now)]
  const current = new Map(after.map((it) => [nameOf(it), it.throughput_ratio]))
  const known = new Set(before.map(nameOf))
  const cells = before.flatMap((it): Compared[] => {
    const { mode, concurrency, target, throughput_ratio } = it
    if (!(throughput_ratio > 0)) throw new Error(`the stored ratio of ${nameOf(it)} is ${throughput_ratio}`)
    const ratio = current.get(nameOf(it))
    if (ratio === undefined) return []
    // Not `<`, so that a ratio that could not be measured (NaN) counts as fallen.
    const has_fallen = !(ratio >= throughput_ratio * (1 - MOST_FALL))
    return [{ mode, concurrency, target, stored: throughput_ratio, now: ratio, has_fallen }]
  })
  if (cells.length === 0) throw new Error('the stored run has no cell that this run has: there is nothing to compare')
  return {
    cells,
    only_stored: before.map(nameOf).filter((name) => !current.has(name)),
    only_now: after.map(nameOf).filter((name) => !known.has(name)),
  }
}

/** The cells that have fallen in all of the runs. */
export function fallenInAll(comparisons: Comparison[]): string[] {
  const fallen = comparisons.map(({ cells }) => cells.filter((it) => it.has_fallen).map(nameOf))
  return (fallen[0] ?? []).filter((name) => fallen.every((names) => names.includes(name)))
}

/** One line for each circumstance in which the two runs differ. */
export function differences(stored: Machine, now: Machine): string[] {
  return CIRCUMSTANCES.filter((name) => stored[name] !== now[name]).map(
    (name) => `${name}: stored ${stored[name] ?? 'unknown'}, here ${now[name] ?? 'unknown'}`,
  )
}

export function comparisonTable({ cells, only_stored, only_now }: Comparison): string {
  const rows = cells.map(({ mode, concurrency, target, stored, now, has_fallen }) => {
    const change = `${now >= stored ? '+' : ''}${((now / stored - 1) * 100).toFixed(0)} %`
    return [mode, String(concurrency), target, stored.toFixed(2), now.toFixed(2), change, has_fallen ? 'FALLEN' : '']
  })
  const missing = (names: string[], where: string) =>
    names.length > 0 ? [`Not compared, only in ${where}: ${names.join('; ')}.`] : []
  return [
    grid(['mode', 'at once', 'target', 'stored', 'now', 'change', ''], rows, [0, 2, 6]),
    ...missing(only_stored, 'the stored run'),
    ...missing(only_now, 'this one'),
  ].join('\n')
}
