// Where admins' prices are kept for all workers: in a KV namespace.

import type { PriceStore } from './overrides.ts'

/** The part of a `KVNamespace` that this needs. */
interface Namespace {
  get(key: string, options: { cacheTtl: number }): Promise<string | null>
  put(key: string, value: string): Promise<void>
}

/** Workers that read this key know a new value within a minute. */
const PRICES_KEY = 'overrides'

/** Null where no namespace is bound. */
export const pricesIn = (prices: Namespace | undefined): PriceStore | null =>
  prices ? { get: () => prices.get(PRICES_KEY, { cacheTtl: 30 }), put: (value) => prices.put(PRICES_KEY, value) } : null
