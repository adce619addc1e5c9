// A call as the model has it in its list, and what its event must say.

import { COMPONENTS } from '../../../durable-objects/ledger/amounts.ts'
import type { Amount, LimitType, UsageEvent } from '../../../durable-objects/ledger/types.ts'

/** So begin the ids of calls that go on. */
export const GOES_ON = 'goes-on-'
export const HOLD_TTL_MS = 20 * 60 * 1_000

/** What the event of a call must say beside what it is charged. */
type End = Pick<UsageEvent, 'outcome' | 'usage_source' | 'overrun' | 'revision' | 'settled_at'>

export interface Call {
  reserved_at: number
  expires_at: number
  hold: Amount
  epoch: number
  /** Of the call that began it. */
  request_model: string
  /** Who is asked for its end when its time is up; null: it expires. */
  provider_id: string | null
  /** Null while it is held. */
  charged: Amount | null
  end: End | null
  /** A crash took the hold before it was written: it counts as in flight until then, or until it settles. */
  lost_until: number | null
  /** Which crash; 0: none. */
  lost_in: number
  /** That has passed. */
  gone: boolean
}

export const HELD = { provider_id: null, charged: null, end: null, lost_until: null, lost_in: 0, gone: false }

export const hasExpired = ({ end }: Call) => end?.outcome === 'expired'

/** Known to the ledger and out. */
export const isHeld = ({ charged, lost_until }: Call) => charged === null && lost_until === null

const RECORDED = [
  ...COMPONENTS,
  'occurred_at',
  'request_model',
  'outcome',
  'usage_source',
  'overrun',
  'revision',
  'settled_at',
] as const

export function isRecorded(event: UsageEvent | undefined, call: Call): boolean {
  const expected = recordOf(call)
  return RECORDED.every((field) => event?.[field] === expected?.[field])
}

/** What the event of a call must say; undefined: it has none. */
export function recordOf({
  charged,
  end,
  reserved_at,
  request_model,
}: Call): Pick<UsageEvent, (typeof RECORDED)[number]> | undefined {
  return charged && end ? { ...charged, ...end, occurred_at: reserved_at, request_model } : undefined
}

export const sumOf = (amounts: Amount[], limitType: LimitType) =>
  amounts.reduce((sum, it) => sum + part(it, limitType), 0)

export const part = (of: Amount, limitType: LimitType): number =>
  limitType === 'requests' ? of.requests : limitType === 'cost' ? of.cost_nano_usd : of.input_tokens + of.output_tokens
