// What multiplies the token price of a Bedrock call: service tiers and latency-optimized inference. Pure.
// https://docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html

import { isObject, stringOrNull } from './answer.ts'
import type { JsonObject } from './dialect.ts'

export const TIER_HEADER = 'x-amzn-bedrock-service-tier'
export const LATENCY_HEADER = 'x-amzn-bedrock-performanceconfig-latency'

/** Tiers that cost no more than the standard price. A reserved call that finds no room is served as a standard one. */
const NO_DEARER: readonly unknown[] = ['default', 'reserved', 'flex']

/** The dearest tier that may answer, by the name of its price multiplier; null for the standard one. */
export function dearestTier(tier: unknown, latency: unknown): string | null {
  return tierName(isSet(tier) && !NO_DEARER.includes(tier), isSet(latency) && latency !== 'standard')
}

/** The tier that answered, as far as the answer says so, else the dearest one that was asked for. */
export function answeredTier(asked: string | null, tier: unknown, latency: unknown): string | null {
  const optimized = isSet(latency) ? latency === 'optimized' : asked === 'optimized'
  const priority = isSet(tier) ? tier === 'priority' : asked === 'priority'
  // Flex costs half only at standard latency: no price is known of both at once, so `optimized` wins.
  return tierName(priority, optimized) ?? stringOrNull(tier)
}

/** `{ serviceTier: { type }, performanceConfig: { latency } }` of a Converse request or answer. */
export function tierOf({ serviceTier, performanceConfig }: JsonObject): [tier: unknown, latency: unknown] {
  return [
    isObject(serviceTier) ? serviceTier.type : serviceTier,
    isObject(performanceConfig) ? performanceConfig.latency : performanceConfig,
  ]
}

export function tierOfHeaders(headers: Headers): [tier: unknown, latency: unknown] {
  return [headers.get(TIER_HEADER), headers.get(LATENCY_HEADER)]
}

/** Both at once have no price, so they are refused: see `isUnpriced`. */
function tierName(priority: boolean, optimized: boolean): string | null {
  if (priority) return 'priority'
  return optimized ? 'optimized' : null
}

/** True for low latency on top of a tier that is dearer than the standard one. */
export function isUnpriced(tier: unknown, latency: unknown): boolean {
  return dearestTier(tier, null) !== null && dearestTier(null, latency) !== null
}

const isSet = (value: unknown) => value !== undefined && value !== null
