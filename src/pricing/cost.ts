// What a call cost, and the most that it can cost. One arithmetic for both, so that the second is never below the
// first: every kind of token is scaled to its service tier, summed exactly and rounded up once. Pure.

import type { Bound, TokenUsage } from '../providers/dialect.ts'
import { isNoDearerTier } from '../providers/service-tiers.ts'
import { type Charge, priceOf } from './money.ts'
import { atPercent, type Price, type Rates } from './price.ts'

/**
 * The price of a call in nano-dollars, by the tier that answered (one that nobody priced costs as much as the dearest)
 * and by the rates of its length.
 * @param longest_input_tokens where the usage is the sum of many requests, the input of the longest one.
 */
export function costOf(
  price: Price,
  usage: TokenUsage,
  service_tier: string | null,
  longest_input_tokens: number | null = null,
): number {
  const rates = ratesFor(price, longest_input_tokens ?? usage.input_tokens)
  const percent = percentOf(price, service_tier) ?? dearestPercent(price)
  const isUncached = service_tier !== null && price.uncached_tiers?.has(service_tier)
  const cached_tokens = isUncached ? 0 : usage.cached_input_tokens
  // Images that were cached are charged as cached input, whose rate is the dearer of text and images.
  const images = Math.min(usage.image_input_tokens, usage.input_tokens - cached_tokens)
  const input = split(usage.input_tokens, rates.input, [
    { count: cached_tokens, nano_usd_per_million: rates.cached_input },
    { count: usage.cache_write_5m_tokens, nano_usd_per_million: rates.cache_write_5m },
    { count: usage.cache_write_1h_tokens, nano_usd_per_million: rates.cache_write_1h },
    { count: usage.audio_input_tokens, nano_usd_per_million: rates.audio_input ?? rates.input },
    ...imagesAt(rates.image_input, images),
  ])
  const output = split(usage.output_tokens, rates.output, [
    { count: usage.audio_output_tokens, nano_usd_per_million: rates.audio_output ?? rates.output },
    ...imagesAt(rates.image_output, usage.image_output_tokens),
  ])
  const tokens = [...input, ...output].map(({ count, nano_usd_per_million }) => ({
    count,
    nano_usd_per_million: atPercent(nano_usd_per_million, percent),
  }))
  return priceOf([...tokens, ...feesOf(price, usage)])
}

/** Without a rate of their own, images are charged as text, some of which may have been cached. */
const imagesAt = (rate: number | null, count: number): Charge[] =>
  rate === null ? [] : [{ count, nano_usd_per_million: rate }]

/** The parts of a bound that have a price of their own. */
export type PricedBound = Pick<
  Bound,
  'cache_write' | 'audio_input' | 'audio_output' | 'service_tier' | 'web_search_requests' | 'units'
>

export interface WorstCase {
  input_cost_nano_usd: number
  output_nano_usd_per_mtok: number
}

/**
 * The dearest that a call within its bound can be: input at the dearest kind that the body can cause, output by the
 * million. `input_tokens` is the bound after the context window. Null where the body can cause what has no price.
 */
export function worstCase(price: Price, bound: PricedBound, input_tokens: number): WorstCase | null {
  if (bound.units > 0 && price.unit_nano_usd === null) return null
  const percent = dearestPercentFor(price, bound.service_tier)
  if (percent === null) return null
  let input = 0
  let output = 0
  for (const rates of reachable(price, input_tokens)) {
    if ((bound.audio_input && rates.audio_input === null) || (bound.audio_output && rates.audio_output === null)) {
      return null
    }
    input = Math.max(
      input,
      rates.input,
      rates.cached_input,
      bound.cache_write === 'none' ? 0 : rates.cache_write_5m,
      bound.cache_write === '1h' ? rates.cache_write_1h : 0,
      bound.audio_input ? (rates.audio_input ?? 0) : 0,
      rates.image_input ?? 0,
    )
    output = Math.max(output, rates.output, bound.audio_output ? (rates.audio_output ?? 0) : 0, rates.image_output ?? 0)
  }
  const input_charge = { count: input_tokens, nano_usd_per_million: atPercent(input, percent) }
  return {
    input_cost_nano_usd: priceOf([input_charge, ...feesOf(price, bound)]),
    output_nano_usd_per_mtok: atPercent(output, percent),
  }
}

/** Fees, which no service tier scales. */
function feesOf(
  { web_search_nano_usd_per_million, request_nano_usd, unit_nano_usd }: Price,
  { web_search_requests, units }: Pick<TokenUsage, 'web_search_requests' | 'units'>,
): Charge[] {
  return [
    { count: web_search_requests, nano_usd_per_million: web_search_nano_usd_per_million },
    { count: 1_000_000, nano_usd_per_million: request_nano_usd },
    { count: units * 1_000_000, nano_usd_per_million: unit_nano_usd ?? 0 },
  ]
}

/** Rates apply to the whole request, by the length of its input. */
function ratesFor(price: Price, input_tokens: number): Rates {
  return price.long_context.findLast((tier) => input_tokens > tier.above_input_tokens)?.rates ?? price.rates
}

function reachable(price: Price, input_tokens: number): Rates[] {
  const longer = price.long_context.filter((tier) => input_tokens > tier.above_input_tokens)
  return [price.rates, ...longer.map((tier) => tier.rates)]
}

/** Null for a tier whose price is not known. */
function percentOf({ tier_percent }: Price, service_tier: string | null): number | null {
  const priced = service_tier === null ? undefined : tier_percent.get(service_tier)
  return priced ?? (isNoDearerTier(service_tier) ? 100 : null)
}

/**
 * Not only the bound's tier may answer, but also the standard and the cheap ones, and of several at once (`fast_us`) only
 * some: an override may price any of these higher.
 */
function dearestPercentFor(price: Price, service_tier: string | null): number | null {
  const percent = percentOf(price, service_tier)
  const asked = service_tier?.split('_') ?? []
  const mayAnswer = (tier: string) => isNoDearerTier(tier) || asked.includes(tier)
  const others = [...price.tier_percent].flatMap(([tier, other]) =>
    mayAnswer(tier) || tier.split('_').every(mayAnswer) ? other : [],
  )
  return percent === null ? null : Math.max(100, percent, ...others)
}

const dearestPercent = ({ tier_percent }: Price): number => Math.max(100, ...tier_percent.values())

/**
 * Shares out a total among its kinds, the dearest first; what is left is plain. Kinds may overlap (audio that was
 * cached is counted as both), yet never more than the total is charged.
 */
function split(total: number, plain_rate: number, kinds: Charge[]): Charge[] {
  const charges: Charge[] = []
  let left = total
  for (const kind of kinds.toSorted((a, b) => b.nano_usd_per_million - a.nano_usd_per_million)) {
    const count = Math.min(kind.count, left)
    left -= count
    charges.push({ count, nano_usd_per_million: kind.nano_usd_per_million })
  }
  return [...charges, { count: left, nano_usd_per_million: plain_rate }]
}
