// The operator's prices inside a worker: one JSON value in a store that all workers read (KV), looked up in memory. State
// is per isolate. A promise of one request may not be awaited by another (Workers' I/O contexts), so each request that
// finds the memory too old reads for itself; while one reads, the others go on with what is known.

import { modelKey } from './model-id.ts'
import { type Override, priceOfOverride } from './override.ts'
import type { Price } from './price.ts'

/** Where the overrides are kept for all workers. */
export interface PriceStore {
  /** Null where nothing was ever written. */
  get(): Promise<string | null>
  put(value: string): Promise<void>
}

export interface FoundOverride {
  id: string
  effective_from: number
  price: Price
}

export interface Overrides extends Pick<PriceStore, 'put'> {
  /** Brings the memory up to date where it is too old. False where nothing is known: the store never answered. */
  refresh(): Promise<boolean>
  /** What applies now; no I/O. */
  find(provider: string, model: string): FoundOverride | undefined
  /** What will apply next, where that is known. */
  next(provider: string, model: string): FoundOverride | undefined
}

/** After this long one request reads again, while others still use what is known. */
const FRESH_MS = 30_000
/** After this long every request reads first: an isolate that slept has missed changes. */
const OLD_MS = 45_000
/** A read that takes longer (its client went away, say) does not hold up the next. */
const READ_TIMEOUT_MS = 2_000
const RETRY_AFTER_MS = 1_000

/**
 * Latest instant, from when an admin's change is written, at which it is in force everywhere: KV's own minute, the
 * isolates' memory, and some reserve.
 */
export const IN_FORCE_AFTER_MS = 2 * 60_000

const FORMAT = 1

export function encodeOverrides(overrides: Override[]): string {
  return JSON.stringify({ format: FORMAT, overrides })
}

/** Null where this is not what `encodeOverrides` wrote. */
function decodeOverrides(text: string): Override[] | null {
  try {
    const { format, overrides } = JSON.parse(text)
    return format === FORMAT && Array.isArray(overrides) ? overrides : null
  } catch {
    return null
  }
}

/**
 * While the store does not answer, what was read last goes on to apply: nothing can have been set in the meantime that
 * its writer was told is in force.
 */
export function createOverrides(store: PriceStore, now: () => number = Date.now): Overrides {
  let known: Map<string, FoundOverride[]> | null = null
  let text: string | null | undefined
  /** How often something was learned, be it what was known already. */
  let learned = 0
  let read_at = Number.NEGATIVE_INFINITY
  let asked_at = Number.NEGATIVE_INFINITY
  let failed_at = Number.NEGATIVE_INFINITY

  /** `abs`: an instant ahead of a clock that was set back is not recent either. */
  const since = (instant: number) => Math.abs(now() - instant)

  async function read(): Promise<void> {
    const learned_before = learned
    asked_at = now()
    try {
      const value = await within(READ_TIMEOUT_MS, store.get())
      // What `put` has written meanwhile is newer, and what another read has found is as good.
      if (learned === learned_before) learn(value)
    } catch (error) {
      console.error(JSON.stringify({ message: 'the price overrides cannot be read', cause: String(error) }))
      failed_at = now()
    }
  }

  function learn(value: string | null): void {
    if (value !== text) {
      const overrides = value === null ? [] : decodeOverrides(value)
      if (!overrides) throw new Error('what the store has is no list of overrides')
      known = indexOf(overrides)
      text = value
    }
    learned += 1
    read_at = now()
  }

  return {
    /** The isolate that has written it need not wait for its memory to be too old. */
    async put(value) {
      await store.put(value)
      learn(value)
    },
    async refresh() {
      const age = since(read_at)
      const isBeingRead = since(asked_at) < READ_TIMEOUT_MS
      // Calls do not all ask a broken store: it has enough to do.
      const hasJustFailed = since(failed_at) < RETRY_AFTER_MS
      if (age >= FRESH_MS && !hasJustFailed && !(age < OLD_MS && isBeingRead)) await read()
      return known !== null
    },
    find: (provider, model) => versions(provider, model)?.findLast(({ effective_from }) => effective_from <= now()),
    next: (provider, model) => versions(provider, model)?.find(({ effective_from }) => effective_from > now()),
  }

  function versions(provider: string, model: string): FoundOverride[] | undefined {
    return known?.get(keyOf(provider, model))
  }
}

const keyOf = (provider: string, model: string) => JSON.stringify([provider, modelKey(provider, model)])

/** The versions of each model, the oldest first. */
function indexOf(overrides: Override[]): Map<string, FoundOverride[]> {
  const index = new Map<string, FoundOverride[]>()
  for (const override of overrides.toSorted((a, b) => a.effective_from - b.effective_from)) {
    const { id, provider, model, effective_from } = override
    const key = keyOf(provider, model)
    const found = { id, effective_from, price: priceOfOverride(override) }
    index.set(key, [...(index.get(key) ?? []), found])
  }
  return index
}

function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${ms} ms`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
