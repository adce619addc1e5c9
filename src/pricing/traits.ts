// What the catalogue does not know of a provider: its name there, its tiers, its cache writes, and which entries cannot
// be right. Shapes, what holds where nothing else is known, and how they are read: pure. The data is in ./provider-traits.ts.

import type { Price } from './price.ts'

export interface ProviderTraits {
  /** The provider in genai-prices. */
  catalogue_id: string
  /** True where the catalogue prices the cache writes of every model that bills them: the others write for nothing. */
  names_cache_writes: boolean
  /** The dearest published ratio of any model: of those that `model_tiers` does not know. */
  tier_percent: ReadonlyMap<string, number>
  /** Models whose tiers cost less (or whose cheap ones cost more) than that. By the id without its date; first match wins. */
  model_tiers: readonly ModelTiers[]
  /** Models whose cached input has no discount in batches. */
  batches_without_cache: RegExp | null
  /** Models whose usage tells the tokens of images apart: no others can be charged a rate of their own for them. */
  images_apart: RegExp | null
  /** Fee of a search where no price is named. */
  web_search_usd_per_thousand: number
  /** Input tokens that each search is billed for what it finds, where no usage is known to count them. */
  tokens_of_search: readonly [models: RegExp, tokens: number] | null
  /** Models that cost more than their entry says, or may. By entry or by the name called; first match wins. */
  raised: readonly Raise[]
  /** Retired names and aliases that moved on, and the model that answers instead. */
  routed: ReadonlyMap<string, string>
  /** True for entries that would be wrong: see the comments of ./provider-traits.ts. */
  is_wrong: (entry: string, facts: EntryFacts) => boolean
}

/** Without the name, which the catalogue alone needs. */
export type Traits = Omit<ProviderTraits, 'catalogue_id'>

export type ModelTiers = readonly [models: RegExp, percent: Readonly<Record<string, number>>]

/** What a price was raised to, or was before a promotion that may be over, in percent of the entry's input and output. */
export type Raise = readonly [names: RegExp, input_percent: number, output_percent: number]

export interface EntryFacts {
  /** What was called. */
  name: string
  context_window: number | null
  has_long_context: boolean
}

/** Cache writes where no price is named, in percent of the input price: the same at every provider. */
export const CACHE_WRITE_5M_PERCENT = 125
export const CACHE_WRITE_1H_PERCENT = 200

/** The dearest rules of any provider: for one that is not known here, and where a known one says nothing else. */
export const PLAIN_TRAITS: Traits = {
  names_cache_writes: false,
  tier_percent: new Map(),
  model_tiers: [],
  batches_without_cache: null,
  images_apart: null,
  web_search_usd_per_thousand: 35,
  tokens_of_search: null,
  raised: [],
  routed: new Map(),
  is_wrong: () => false,
}

/** Input tokens that each search of a model is billed beside its usage. */
export function foundTokens({ tokens_of_search }: Traits, model: string): number {
  return tokens_of_search?.[0].test(model) ? tokens_of_search[1] : 0
}

const BATCH: ReadonlySet<string> = new Set(['batch'])

/** The tiers in which a model has no discount for cached input. */
export function uncachedTiersOf({ batches_without_cache }: Traits, model: string): Pick<Price, 'uncached_tiers'> {
  return batches_without_cache?.test(model) ? { uncached_tiers: BATCH } : {}
}

/** What each tier of a model costs, in percent of its rates. */
export function tiersOf({ tier_percent, model_tiers }: Traits, model: string): ReadonlyMap<string, number> {
  const family = model.replace(/-\d{4}-\d{2}-\d{2}$/, '')
  const own = model_tiers.find(([models]) => models.test(model) || models.test(family))?.[1]
  return own ? new Map([...tier_percent, ...Object.entries(own)]) : tier_percent
}
