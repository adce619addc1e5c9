// The words of prices. Pure. All money is integer nano-dollars; a model that has no price is `null`, never free.

/** Nano-dollars per million tokens. */
export interface Rates {
  input: number
  cached_input: number
  cache_write_5m: number
  cache_write_1h: number
  output: number
  /** Null where no price of audio is known: such a call is unpriced. */
  audio_input: number | null
  audio_output: number | null
  /** Null where they cost as much as text. */
  image_input: number | null
  image_output: number | null
}

/** Rates of the whole request once its input is longer than this many tokens. */
export interface LongContext {
  above_input_tokens: number
  rates: Rates
}

export interface Price {
  rates: Rates
  /** Ascending. */
  long_context: LongContext[]
  /** What service tiers cost, in percent of the rates. Tiers that are not here cost 100, or are unpriced if they may cost more. */
  tier_percent: ReadonlyMap<string, number>
  /** Tiers that have no discount for cached input. */
  uncached_tiers?: ReadonlySet<string>
  web_search_nano_usd_per_million: number
  request_nano_usd: number
  /** For what is billed by the piece (`TokenUsage.units`); null where no price is known: such a call is unpriced. */
  unit_nano_usd: number | null
  /** Most input tokens that the model takes; null where unknown. */
  context_window: number | null
  /** Which entry of which source was applied: kept on the event. */
  priced_as: string
  price_source: PriceSource
}

/** So many percent of a rate, rounded up. */
export const atPercent = (rate: number, percent: number): number => Math.ceil((rate * percent) / 100)

const FREE_TOKENS: Rates = {
  input: 0,
  cached_input: 0,
  cache_write_5m: 0,
  cache_write_1h: 0,
  output: 0,
  audio_input: null,
  audio_output: null,
  image_input: null,
  image_output: null,
}

/** The price of something that is billed by the call or by the piece. */
export function priceWithoutTokens(
  of: Pick<Price, 'priced_as' | 'price_source'> & Partial<Pick<Price, 'request_nano_usd' | 'unit_nano_usd'>>,
): Price {
  return {
    rates: FREE_TOKENS,
    long_context: [],
    tier_percent: new Map(),
    web_search_nano_usd_per_million: 0,
    request_nano_usd: 0,
    unit_nano_usd: null,
    context_window: null,
    ...of,
  }
}

/** `price_source` of a call that has no price: under no cost cap it is allowed, and recorded with a cost of 0. */
export const NO_PRICE = 'none'

/** What `price_source` of an event may be, but for `override:{id}`. */
export const FIXED_PRICE_SOURCES = [
  NO_PRICE,
  'catalogue',
  'built-in',
  'configuration',
  'google-maps-list-prices',
] as const

export type PriceSource = (typeof FIXED_PRICE_SOURCES)[number] | `override:${string}`
