// Where admins' prices are kept for all workers: in a KV namespace.

import type { PriceStore } from './overrides.ts'

/** The part of a `KVNamespace` that this needs. */
interface Namespace {
  get(key: string, options: { cacheTtl: number }): Promise<string | null>
  put(key: string, value: string): Promise<void>
}

/** Workers that read this key know a new value within a minute. */
const PRICES_KEY = 'overrides'

export const pricesIn = (prices: Namespace): PriceStore => ({
  get: () => prices.get(PRICES_KEY, { cacheTtl: 30 }),
  put: (value) => prices.put(PRICES_KEY, value),
})
