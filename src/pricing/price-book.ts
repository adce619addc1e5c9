// The price book: what an admin has set for the exact model comes first, then what configuration fixes, then the
// catalogue. I/O: only what `overrides` reads now and then.

import { type Catalogue, loadCatalogue } from './catalogue.ts'
import type { FoundOverride, Overrides } from './overrides.ts'
import type { Price } from './price.ts'

export interface PriceBook {
  /** The price of a model; null where it has none. @throws where that cannot be known: the overrides cannot be read. */
  find(provider: string, model: string): Promise<Price | null>
  /** What applies now, and why: overrides that cannot be read are told, not thrown. */
  explain(provider: string, model: string): Promise<Explanation>
}

/** A price, and why it is that one. */
export interface Explanation {
  price: Price | null
  source: 'override' | 'configuration' | 'catalogue' | 'none' | 'overrides_unknown'
  override: FoundOverride | null
  /** The override that will apply next. */
  next: FoundOverride | null
}

export interface PriceBookOptions {
  /** Prices that an admin has set. Left out: there are none. */
  overrides?: Overrides | null
  /** Prices that come with configuration (a fixed price per request, say). */
  configured?: (provider: string, model: string) => Price | undefined
  /** Where all other prices come from. */
  catalogue?: () => Promise<Catalogue>
  now?: () => number
}

/** Callers choose the names of models: what is remembered of them must stay small. */
const MAX_ENTRIES = 500
/** Some prices change at a date or an hour. */
const MAX_AGE_MS = 10 * 60_000

/**
 * @example
 * ```ts
 * const prices = createPriceBook({ overrides: createOverrides(store) })
 * await prices.find('openai', 'gpt-4o-mini')
 * ```
 */
export function createPriceBook({
  overrides,
  configured = () => undefined,
  catalogue = loadCatalogue,
  now = Date.now,
}: PriceBookOptions = {}): PriceBook {
  const found = new Map<string, Price | null>()
  let since = now()

  async function inCatalogue(provider: string, model: string): Promise<Price | null> {
    const look = await catalogue()
    if (Math.abs(now() - since) >= MAX_AGE_MS || found.size >= MAX_ENTRIES) {
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
  }

  /** An override may leave the window of its model to the catalogue. */
  async function withWindow(price: Price, provider: string, model: string): Promise<Price> {
    if (price.context_window !== null) return price
    const context_window = (await inCatalogue(provider, model))?.context_window ?? null
    return context_window === null ? price : { ...price, context_window }
  }

  async function explain(provider: string, model: string): Promise<Explanation> {
    // Without them a dearer price might be missed: no price is what fails closed.
    if (overrides && !(await overrides.refresh()))
      return { price: null, source: 'overrides_unknown', override: null, next: null }
    const override = overrides?.find(provider, model) ?? null
    const next = overrides?.next(provider, model) ?? null
    if (override)
      return { price: await withWindow(override.price, provider, model), source: 'override', override, next }
    const fixed = configured(provider, model)
    if (fixed) return { price: fixed, source: 'configuration', override, next }
    const price = await inCatalogue(provider, model)
    return { price, source: price ? 'catalogue' : 'none', override, next }
  }

  async function find(provider: string, model: string): Promise<Price | null> {
    const { price, source } = await explain(provider, model)
    if (source === 'overrides_unknown') throw new Error(`whether ${provider}/${model} has another price cannot be read`)
    return price
  }

  return { find, explain }
}
