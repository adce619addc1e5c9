// A price with every kind but images told apart, and arbitrary prices and usages within a bound.

import fc from 'fast-check'
import type { PricedBound } from '../../../src/pricing/cost.ts'
import type { Price, Rates } from '../../../src/pricing/price.ts'
import type { TokenUsage } from '../../../src/providers/dialect.ts'

export const RATES: Rates = {
  input: 2_000_000_000,
  cached_input: 500_000_000,
  cache_write_5m: 2_500_000_000,
  cache_write_1h: 4_000_000_000,
  output: 10_000_000_000,
  audio_input: 30_000_000_000,
  audio_output: 60_000_000_000,
  image_input: null,
  image_output: null,
}

export const PRICE: Price = {
  rates: RATES,
  long_context: [{ above_input_tokens: 1_000, rates: { ...RATES, input: 4_000_000_000, output: 15_000_000_000 } }],
  tier_percent: new Map([
    ['flex', 50],
    ['priority', 250],
  ]),
  web_search_nano_usd_per_million: 10_000_000_000_000,
  request_nano_usd: 0,
  unit_nano_usd: null,
  context_window: 100_000,
  priced_as: 'test-model',
  price_source: 'catalogue',
}

const rate = fc.nat(200_000_000_000)
const percent = fc.integer({ min: 1, max: 1_000 })
const anyRates: fc.Arbitrary<Rates> = fc.record({
  input: rate,
  cached_input: rate,
  cache_write_5m: rate,
  cache_write_1h: rate,
  output: rate,
  audio_input: fc.option(rate),
  audio_output: fc.option(rate),
  image_input: fc.option(rate),
  image_output: fc.option(rate),
})

export const anyPrice: fc.Arbitrary<Price> = fc.record({
  rates: anyRates,
  long_context: fc
    .uniqueArray(fc.record({ above_input_tokens: fc.nat(3_000), rates: anyRates }), {
      selector: (tier) => tier.above_input_tokens,
      maxLength: 3,
    })
    .map((tiers) => tiers.toSorted((a, b) => a.above_input_tokens - b.above_input_tokens)),
  tier_percent: fc
    .record({ flex: percent, default: percent, priority: percent }, { requiredKeys: ['priority'] })
    .map((tiers) => new Map(Object.entries(tiers))),
  web_search_nano_usd_per_million: fc.constant(0),
  request_nano_usd: fc.nat(1_000_000),
  unit_nano_usd: fc.option(fc.nat(100_000)),
  context_window: fc.option(fc.integer({ min: 1, max: 5_000 })),
  priced_as: fc.constant('x'),
  price_source: fc.constant('catalogue'),
})

export const anyKinds: fc.Arbitrary<PricedBound> = fc.record({
  cache_write: fc.constantFrom('none', '5m', '1h'),
  audio_input: fc.boolean(),
  audio_output: fc.boolean(),
  service_tier: fc.constantFrom(null, 'priority'),
  web_search_requests: fc.nat(20),
  units: fc.nat(1_000),
})

/** Any usage that a provider may bill within the bound; kinds overlap and are as large as they like. */
export function usageWithin(kinds: PricedBound, input_tokens: number, output_tokens: number): fc.Arbitrary<TokenUsage> {
  return fc.tuple(fc.nat(input_tokens), fc.nat(output_tokens)).chain(([input, output]) =>
    fc.record({
      input_tokens: fc.constantFrom(input, input_tokens),
      cached_input_tokens: fc.nat(input),
      cache_write_5m_tokens: fc.nat(kinds.cache_write === 'none' ? 0 : input),
      cache_write_1h_tokens: fc.nat(kinds.cache_write === '1h' ? input : 0),
      audio_input_tokens: fc.nat(kinds.audio_input ? input : 0),
      image_input_tokens: fc.nat(input),
      output_tokens: fc.constantFrom(output, output_tokens),
      reasoning_tokens: fc.nat(output),
      audio_output_tokens: fc.nat(kinds.audio_output ? output : 0),
      image_output_tokens: fc.nat(output),
      web_search_requests: fc.nat(kinds.web_search_requests),
      units: fc.nat(kinds.units),
    }),
  )
}
