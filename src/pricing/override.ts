// An override: the price of one model as an admin has set it, from an instant on. What is left out is
// charged at the provider's usual price: the dearest that applies, never nothing. Pure.

import { modelKey } from './model-id.ts'
import { nanoUsdOfUsd } from './money.ts'
import { atPercent, type Price, type Rates } from './price.ts'
import { PROVIDERS } from './provider-traits.ts'
import {
  CACHE_WRITE_1H_PERCENT,
  CACHE_WRITE_5M_PERCENT,
  foundTokens,
  PLAIN_TRAITS,
  tiersOf,
  uncachedTiersOf,
} from './traits.ts'

/** Nano-dollars per million tokens. `input` and `output` are always set, the others where they differ from the usual. */
export type GivenRates = Pick<Rates, 'input' | 'output'> & {
  [Kind in Exclude<keyof Rates, 'input' | 'output'>]?: number
}

/** What an override says, as Postgres and the workers keep it. */
export interface GivenPrice {
  /** Absent: tokens cost nothing, what is billed is the request or the piece. */
  rates?: GivenRates
  request_nano_usd?: number
  /** For what is billed by the piece: a second, a character, an image. */
  unit_nano_usd?: number
  web_search_nano_usd_per_thousand?: number
  tier_percent?: Record<string, number>
  /** Ascending. */
  long_context?: { above_input_tokens: number; rates: GivenRates }[]
  context_window?: number
}

export interface Override {
  id: string
  provider: string
  model: string
  /** Milliseconds since the epoch. */
  effective_from: number
  price: GivenPrice
}

export function priceOfOverride({ id, provider, model, price }: Override): Price {
  const traits = PROVIDERS.get(provider) ?? PLAIN_TRAITS
  const key = modelKey(provider, model)
  const rates = ratesOf(price.rates ?? { input: 0, output: 0 })
  const usualSearch = nanoUsdOfUsd(traits.web_search_usd_per_thousand) * 1_000 + foundTokens(traits, key) * rates.input
  const givenSearch = price.web_search_nano_usd_per_thousand
  return {
    rates,
    long_context: (price.long_context ?? []).map((beyond) => ({ ...beyond, rates: ratesOf(beyond.rates) })),
    tier_percent: new Map([...tiersOf(traits, key), ...Object.entries(price.tier_percent ?? {})]),
    ...uncachedTiersOf(traits, key),
    web_search_nano_usd_per_million: givenSearch === undefined ? usualSearch : givenSearch * 1_000,
    request_nano_usd: price.request_nano_usd ?? 0,
    unit_nano_usd: price.unit_nano_usd ?? null,
    context_window: price.context_window ?? null,
    priced_as: model,
    price_source: `override:${id}`,
  }
}

function ratesOf(given: GivenRates): Rates {
  const { input, output } = given
  const cache_write_5m = given.cache_write_5m ?? atPercent(input, CACHE_WRITE_5M_PERCENT)
  return {
    input,
    cached_input: given.cached_input ?? Math.max(input, given.image_input ?? 0),
    cache_write_5m,
    cache_write_1h: given.cache_write_1h ?? Math.max(cache_write_5m, atPercent(input, CACHE_WRITE_1H_PERCENT)),
    output,
    audio_input: given.audio_input ?? null,
    audio_output: given.audio_output ?? null,
    image_input: given.image_input ?? null,
    image_output: given.image_output ?? null,
  }
}
