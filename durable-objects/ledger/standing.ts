// Where a user stands: who may call, and how full each cap is. Read from the snapshot and the counters; writes nothing.

import { add, amountOf } from './amounts.ts'
import type { Counters } from './counters.ts'
import type { Limit } from './decide.ts'
import {
  type Amount,
  type Caller,
  type Cap,
  type CapStatus,
  LIMIT_TYPES,
  type LimitState,
  type Refusal,
  type Snapshot,
} from './types.ts'

/** Why this caller may not act, or null. */
export function refuseCaller(snapshot: Snapshot, { key_id, scope }: Caller, now: number): Refusal | null {
  if (snapshot.status !== 'active') return { reason: snapshot.status }
  if (key_id === null) return null
  const key = snapshot.keys.find(({ id }) => id === key_id)
  if (!key) return { reason: 'unknown_key' }
  if (key.expires_at !== null && key.expires_at <= now) return { reason: 'expired_key', expired_at: key.expires_at }
  return key.scopes.includes(scope) ? null : { reason: 'missing_scope', scope }
}

export function capStatus(counters: Counters, cap: Cap, timeZone: string, now: number): CapStatus {
  const usage = counters.usageOf(cap.cap_type, timeZone, now)
  const current = amountOf(usage.settled)
  add(current, usage.held)
  return {
    cap_id: cap.id,
    cap_type: cap.cap_type,
    limits: cap.limits,
    current_usage: byLimitType(current),
    held: byLimitType(usage.held),
    refused: usage.refused,
    window_start: usage.end === null ? null : usage.start,
    reset_at: usage.end,
  }
}

/** Every limit of every active cap, with its current usage: settled and held. */
export function limitsOf(counters: Counters, { caps, time_zone }: Snapshot, now: number): Limit[] {
  return caps.flatMap((cap) => {
    const { cap_id, cap_type, current_usage, reset_at } = capStatus(counters, cap, time_zone, now)
    return LIMIT_TYPES.flatMap((limit_type) => {
      const limit = cap.limits[limit_type]
      if (limit === undefined) return []
      const { on_exceed } = cap
      return { cap_id, cap_type, limit_type, current_usage: current_usage[limit_type], limit, reset_at, on_exceed }
    })
  })
}

/** The limit with the smallest share left; null where nothing is limited. */
export function tightestOf(limits: LimitState[]): LimitState | null {
  const shareLeft = ({ limit, current_usage }: LimitState) => (limit > 0 ? (limit - current_usage) / limit : 0)
  return limits.length === 0 ? null : limits.reduce((a, b) => (shareLeft(b) < shareLeft(a) ? b : a))
}

const byLimitType = (amount: Amount) => ({
  requests: amount.requests,
  tokens: amount.input_tokens + amount.output_tokens,
  cost: amount.cost_nano_usd,
})
