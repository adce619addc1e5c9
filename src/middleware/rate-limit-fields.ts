// The `RateLimit` and `RateLimit-Policy` fields of draft-ietf-httpapi-ratelimit-headers-11, as structured fields
// (RFC 9651). Pure: `now` is passed in.

import type { CapType, LimitState, LimitType } from '../../durable-objects/ledger/types.ts'

/** RFC 9651 integers have at most 15 digits. */
const LARGEST_INTEGER = 999_999_999_999_999
const NANO_USD_PER_MICRO_USD = 1_000
const HOUR_SECONDS = 3_600
const DAY_SECONDS = 24 * HOUR_SECONDS

/** The draft's own unit is requests, which needs no parameter; nobody has registered one for tokens or money yet. */
const UNIT: Record<LimitType, string> = { requests: '', tokens: ';qu="tokens"', cost: ';qu="micro-usd"' }

/**
 * Both fields for one limit; none where there is none. Costs are in micro-dollars, rounded down: what is left is never
 * overstated. `total` has no window, so neither `w` nor `t`.
 *
 * @param now in milliseconds since the epoch
 */
export function rateLimitFields(tightest: LimitState | null, now: number): Record<string, string> {
  if (!tightest) return {}
  const { cap_type, limit_type, current_usage, limit, reset_at } = tightest
  const name = `"${cap_type}-${limit_type}"`
  const perUnit = limit_type === 'cost' ? NANO_USD_PER_MICRO_USD : 1
  const quota = integer(limit / perUnit)
  const remaining = integer((limit - current_usage) / perUnit)
  const window = reset_at === null || cap_type === 'total' ? '' : `;w=${windowSeconds(cap_type, reset_at)}`
  const reset = reset_at === null ? '' : `;t=${integer(Math.ceil((reset_at - now) / 1000))}`
  return {
    'RateLimit-Policy': `${name};q=${quota}${UNIT[limit_type]}${window}`,
    RateLimit: `${name};r=${remaining}${reset}`,
  }
}

/** The window's length on a calendar without daylight saving: a policy should not change from one answer to the next. */
function windowSeconds(capType: Exclude<CapType, 'total'>, resetAt: number): number {
  switch (capType) {
    case 'hourly':
      return HOUR_SECONDS
    case 'daily':
      return DAY_SECONDS
    case 'weekly':
      return 7 * DAY_SECONDS
    case 'monthly':
      return monthSeconds(resetAt)
  }
}

function monthSeconds(resetAt: number): number {
  // Two days before a month ends, that month has come in every time zone.
  const inside = new Date(resetAt - 2 * DAY_SECONDS * 1000)
  return new Date(Date.UTC(inside.getUTCFullYear(), inside.getUTCMonth() + 1, 0)).getUTCDate() * DAY_SECONDS
}

function integer(value: number): number {
  return Math.min(Math.max(Math.floor(value), 0), LARGEST_INTEGER)
}
