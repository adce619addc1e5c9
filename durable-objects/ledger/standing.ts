// Where a user stands: who may call, and how full each cap is. Read from the snapshot and the counters; writes nothing.

import { NOTHING, plus } from './amounts.ts'
import type { Counters } from './counters.ts'
import type { Limit } from './decide.ts'
import {
  type Amount,
  type Caller,
  type Cap,
  type CapStatus,
  LIMIT_TYPES,
  type LimitState,
  type LimitType,
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

/** `remnants` are held in every window: nobody knows when they were admitted. */
export function capStatus(counters: Counters, remnants: Amount, cap: Cap, timeZone: string, now: number): CapStatus {
  const usage = counters.usageOf(cap.cap_type, timeZone, now)
  const held = plus(usage.held, remnants)
  return {
    cap_id: cap.id,
    cap_type: cap.cap_type,
    limits: cap.limits,
    current_usage: byLimitType(plus(usage.settled, held)),
    held: byLimitType(held),
    refused: usage.refused,
    window_start: usage.end === null ? null : usage.start,
    reset_at: usage.end,
  }
}

/** Every limit of every active cap, with its current usage: settled and held. */
export function limitsOf(counters: Counters, remnants: Amount, { caps, time_zone }: Snapshot, now: number): Limit[] {
  return caps.flatMap((cap) => {
    const { cap_id, cap_type, current_usage, held, reset_at } = capStatus(counters, remnants, cap, time_zone, now)
    return LIMIT_TYPES.flatMap((limit_type) => {
      const limit = cap.limits[limit_type]
      if (limit === undefined) return []
      const usage = { current_usage: current_usage[limit_type], held: held[limit_type] }
      return { cap_id, cap_type, limit_type, ...usage, limit, reset_at, on_exceed: cap.on_exceed }
    })
  })
}

/** The same limits with the part of what they hold that stays beyond an instant. One query per cap. */
export function withLasting(limits: Limit[], counters: Counters, instant: number, now: number): Limit[] {
  const windows = [...new Set(limits.map(({ cap_type }) => cap_type))]
  const held = new Map(windows.map((window) => [window, counters.heldBeyond(instant, window, now)]))
  return limits.map((limit) => ({ ...limit, lasting: partOf(held.get(limit.cap_type) ?? NOTHING, limit.limit_type) }))
}

/** The limit with the smallest share left; null where nothing is limited. */
export function tightestOf(limits: LimitState[]): LimitState | null {
  const shareLeft = ({ limit, current_usage }: LimitState) => (limit > 0 ? (limit - current_usage) / limit : 0)
  return limits.length === 0 ? null : limits.reduce((a, b) => (shareLeft(b) < shareLeft(a) ? b : a))
}

/** The part of an amount that a limit of this type counts. */
export function partOf(amount: Amount, limitType: LimitType): number {
  switch (limitType) {
    case 'requests':
      return amount.requests
    case 'tokens':
      return amount.input_tokens + amount.output_tokens
    case 'cost':
      return amount.cost_nano_usd
  }
}

const byLimitType = (amount: Amount) => ({
  requests: partOf(amount, 'requests'),
  tokens: partOf(amount, 'tokens'),
  cost: partOf(amount, 'cost'),
})
