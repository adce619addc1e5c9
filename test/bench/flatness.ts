// Whether a process's memory keeps growing under load. Pure.

import { median } from './report.ts'

/** How much the memory may grow in the first 10,000 calls after the warm-up. */
const MOST_GROWTH_MIB = 100
const GROWTH_CALLS = 10_000
/** How far the memory may rise in the last third: V8 leaves some garbage lying, for the pass-through as well. */
const MOST_DRIFT_MIB = 20

interface Sample {
  /** Since the warm-up. */
  calls: number
  rss_mib: number
}

export interface Growth {
  /** The highest of the first 10,000 calls over the first sample. */
  growth_mib: number
  /** The rise over the last third: its Theil-Sen slope (the median of the slopes of all pairs) times its calls. */
  drift_mib: number
}

export function growthOf(samples: Sample[]): Growth {
  const first = samples[0]?.rss_mib ?? Number.NaN
  const early = samples.filter(({ calls }) => calls <= GROWTH_CALLS).map(({ rss_mib }) => rss_mib - first)
  const last = samples.at(-1)?.calls ?? Number.NaN
  const third = samples.filter(({ calls }) => calls >= (last * 2) / 3)
  const slopes = third.flatMap((a, at) => third.slice(at + 1).map((b) => (b.rss_mib - a.rss_mib) / (b.calls - a.calls)))
  const growth_mib = early.length > 0 ? Math.max(...early) : Number.NaN
  return { growth_mib, drift_mib: median(slopes) * (last - (third[0]?.calls ?? Number.NaN)) }
}

/** What is wrong, in words. What could not be measured counts as wrong. */
export function beyondGrowth({ growth_mib, drift_mib }: Growth): string[] {
  return [
    ...(growth_mib <= MOST_GROWTH_MIB ? [] : [`memory grew by ${growth_mib.toFixed(0)} MiB in the first calls`]),
    ...(drift_mib <= MOST_DRIFT_MIB ? [] : [`memory still rose by ${drift_mib.toFixed(0)} MiB in the last third`]),
  ]
}
