// The price book: the catalogue's prices, with the operator's overrides (exact ids only) on top. No I/O.

import { type Catalogue, loadCatalogue } from './catalogue.ts'
import type { Price } from './price.ts'

export interface PriceBook {
  /** The price of a model; null where none is known. */
  find(provider: string, model: string): Promise<Price | null>
}

export interface PriceBookOptions {
  /** Prices that an admin has set. Asked on every call: it may change. */
  overrides?: (provider: string, model: string) => Price | undefined
  /** Where all other prices come from. */
  catalogue?: () => Promise<Catalogue>
  now?: () => number
}

/** Callers choose the names of models: what is remembered of them must stay small. */
const MAX_ENTRIES = 500
/** Some prices change at a date or an hour. */
const MAX_AGE_MS = 10 * 60_000

export function createPriceBook({
  overrides = () => undefined,
  catalogue = loadCatalogue,
  now = Date.now,
}: PriceBookOptions = {}): PriceBook {
  const found = new Map<string, Price | null>()
  let since = now()

  return {
    async find(provider, model) {
      const override = overrides(provider, model)
      if (override) return override
      const look = await catalogue()
      if (now() - since >= MAX_AGE_MS || found.size >= MAX_ENTRIES) {
        found.clear()
        since = now()
      }
      const key = JSON.stringify([provider, model])
      let price = found.get(key)
      if (price === undefined) {
        price = look(provider, model)
        found.set(key, price)
      }
      return price
    },
  }
}
