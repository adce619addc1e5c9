// Prices as the API shows them: US dollars as decimals, exact to the nano-dollar. Pure.

import { z } from '@hono/zod-openapi'
import type { PriceRow } from '../postgres/schema.ts'
import { decimalOfNanoUsd } from '../pricing/money.ts'
import type { GivenPrice, GivenRates } from '../pricing/override.ts'
import type { Price, Rates } from '../pricing/price.ts'

const decimal = z.string().openapi({ example: '0.15' })
const optionalDecimal = decimal.nullable()
const ratesSchema = z
  .object({
    input: decimal,
    cached_input: optionalDecimal,
    cache_write_5m: optionalDecimal,
    cache_write_1h: optionalDecimal,
    output: decimal,
    audio_input: optionalDecimal,
    audio_output: optionalDecimal,
    image_input: optionalDecimal,
    image_output: optionalDecimal,
  })
  .openapi('Rates', { description: 'US dollars per million tokens.' })

/** What a price says, an override's or any other's. */
export const amountsOfPrice = {
  // Not `nullable()`: that keeps the schema's name, so null would be allowed wherever the document refers to these rates.
  usd_per_mtok: ratesSchema.or(z.null()),
  usd_per_request: optionalDecimal,
  usd_per_unit: optionalDecimal,
  usd_per_thousand_web_searches: optionalDecimal,
  tier_percent: z.record(z.string(), z.int()),
  long_context: z.array(z.object({ above_input_tokens: z.int(), usd_per_mtok: ratesSchema })),
  context_window: z.int().nullable(),
}

export const priceSchema = z
  .object({
    id: z.guid().openapi({ description: 'Of this version; `price_source` of an event names it.' }),
    provider: z.string(),
    model: z.string(),
    effective_from: z.iso.datetime(),
    ...amountsOfPrice,
    note: z.string().nullable(),
    created_at: z.iso.datetime(),
    created_by: z.string(),
    ended_at: z.iso.datetime().nullable(),
    ended_by: z.string().nullable(),
    replaced_by: z.guid().nullable(),
  })
  .openapi('Price')

export function priceView({ price, effective_from, created_at, ended_at, ...row }: PriceRow) {
  return {
    ...row,
    effective_from: effective_from.toISOString(),
    ...givenView(price),
    created_at: created_at.toISOString(),
    ended_at: ended_at?.toISOString() ?? null,
  }
}

/** A price as it was given. */
function givenView(price: GivenPrice) {
  return {
    usd_per_mtok: price.rates ? ratesView(price.rates) : null,
    usd_per_request: usdOf(price.request_nano_usd),
    usd_per_unit: usdOf(price.unit_nano_usd),
    usd_per_thousand_web_searches: usdOf(price.web_search_nano_usd_per_thousand),
    tier_percent: price.tier_percent ?? {},
    long_context: (price.long_context ?? []).map(thresholdView),
    context_window: price.context_window ?? null,
  }
}

/** A price as it is applied, with what is usual at the provider filled in. */
export function appliedView(price: Price) {
  return {
    usd_per_mtok: ratesView(price.rates),
    usd_per_request: decimalOfNanoUsd(price.request_nano_usd),
    usd_per_unit: usdOf(price.unit_nano_usd),
    usd_per_thousand_web_searches: decimalOfNanoUsd(Math.ceil(price.web_search_nano_usd_per_million / 1_000)),
    tier_percent: Object.fromEntries(price.tier_percent),
    long_context: price.long_context.map(thresholdView),
    context_window: price.context_window,
  }
}

const usdOf = (nano_usd: number | null | undefined) =>
  typeof nano_usd === 'number' ? decimalOfNanoUsd(nano_usd) : null

function thresholdView({ above_input_tokens, rates }: { above_input_tokens: number; rates: GivenRates | Rates }) {
  return { above_input_tokens, usd_per_mtok: ratesView(rates) }
}

function ratesView(rates: GivenRates | Rates) {
  return {
    input: decimalOfNanoUsd(rates.input),
    cached_input: usdOf(rates.cached_input),
    cache_write_5m: usdOf(rates.cache_write_5m),
    cache_write_1h: usdOf(rates.cache_write_1h),
    output: decimalOfNanoUsd(rates.output),
    audio_input: usdOf(rates.audio_input),
    audio_output: usdOf(rates.audio_output),
    image_input: usdOf(rates.image_input),
    image_output: usdOf(rates.image_output),
  }
}
