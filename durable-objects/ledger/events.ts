// What the record of a call says of how it ended. Pure.

import { amountOf, exceeds } from './amounts.ts'
import { NO_FACTS } from './no-facts.ts'
import type { ReservationRow } from './schema.ts'
import type { Amount, EventDraft, Settlement, UsageEvent } from './types.ts'

/** `hold` is what was held, or charged when the call had expired: then this event corrects that one. */
export function settledEvent(
  { request_id, outcome, usage_source, draft, facts }: Settlement,
  { reserved_at, hold, usage, expired }: { reserved_at: number; hold: Amount; usage: Amount; expired: boolean },
  now: number,
): UsageEvent {
  return {
    ...draft,
    ...facts,
    ...usage,
    id: request_id,
    occurred_at: reserved_at,
    settled_at: now,
    outcome,
    usage_source,
    overrun: exceeds(usage, hold),
    revision: expired ? 1 : 0,
  }
}

/** A call that never came back: all that is known of it is its hold. */
export function expiredEvent(row: ReservationRow, now: number): UsageEvent {
  const draft: EventDraft = JSON.parse(row.draft ?? '{}')
  return {
    ...draft,
    ...NO_FACTS,
    error_class: 'expired',
    ...amountOf(row),
    id: row.request_id,
    occurred_at: row.reserved_at,
    settled_at: now,
    outcome: 'expired',
    usage_source: 'hold',
    overrun: false,
    revision: 0,
  }
}
