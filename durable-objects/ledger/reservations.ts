// The rows of `reservations`: holds that are out and written, and how calls ended. Storage only, no policy.

import { amountOf, columnsOf } from './amounts.ts'
import type { Hold } from './holds.ts'
import type { ReservationRow } from './schema.ts'
import type { Sql } from './sql.ts'
import type { Amount, Continuation, EventDraft, Outcome, OverdueCall } from './types.ts'

/** Ended calls that are remembered whatever the clock says, so that a clock that jumps cannot make a repeat count. */
const ENDED_CALLS_KEPT = 1_000
/** How long the others are remembered: far longer than any `settle` is repeated. */
export const ENDED_CALLS_KEPT_MS = 24 * 3_600 * 1_000
/** Holds that are ended in one go, so that it stays short. */
const EXPIRED_AT_ONCE = 100

const FIND = 'select * from reservations where request_id = ?'
const HOLD = `
  insert into reservations (request_id, reserved_at, expires_at, requests, input_tokens, output_tokens, cost_nano_usd,
    granted_output_tokens, clamped, draft, provider_id)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
// An upsert, because a call whose hold was lost still has to be remembered as ended. An expired call keeps its draft:
// whoever corrects it may not have that draft.
const END = `
  insert into reservations (request_id, reserved_at, expires_at, requests, input_tokens, output_tokens, cost_nano_usd,
    clamped, outcome, ended_at)
  values (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
  on conflict (request_id) do update set requests = excluded.requests, input_tokens = excluded.input_tokens,
    output_tokens = excluded.output_tokens, cost_nano_usd = excluded.cost_nano_usd, outcome = excluded.outcome,
    ended_at = excluded.ended_at, draft = case when excluded.outcome = 'expired' then draft end`
const DUE = 'select * from reservations where outcome is null and expires_at <= ?'
const EXPIRED = `${DUE} and provider_id is null order by expires_at limit ?`
const OVERDUE = `${DUE} and provider_id is not null order by expires_at limit 1`
const PUT_OFF = 'update reservations set provider_id = null, expires_at = ? where request_id = ?'
const NEXT_EXPIRY = 'select min(expires_at) as expires_at from reservations where outcome is null'
const FORGET = `
  delete from reservations
  where ended_at < ? and seq <= (select max(seq) from reservations) - ?`

/** What is known of a call: by its row, or in memory while its hold is out. */
export interface KnownCall extends Omit<Hold, 'request_id' | 'expires_at' | 'draft'> {
  /** Null while it is held. */
  outcome: Outcome | null
  /** Null once the call has ended for good. */
  draft: EventDraft | null
}

/** Of a call that is held, and so has a draft. */
type Overdue = Record<'request_id' | 'provider_id' | 'draft', string>

export class Reservations {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  find(requestId: string): KnownCall | undefined {
    const [row] = this.#sql.all<ReservationRow>(FIND, requestId)
    if (!row) return undefined
    const { reserved_at, granted_output_tokens, outcome } = row
    const [amount, clamped] = [amountOf(row), row.clamped === 1]
    const draft: EventDraft | null = row.draft === null ? null : JSON.parse(row.draft)
    return { reserved_at, granted_output_tokens, clamped, amount, epoch: 0, outcome, draft }
  }

  hold({
    request_id,
    reserved_at,
    expires_at,
    amount,
    granted_output_tokens,
    clamped,
    draft,
    provider_id,
  }: Omit<Hold, 'epoch'> & Pick<Continuation, 'provider_id'>): void {
    const row = [request_id, reserved_at, expires_at, ...columnsOf(amount), granted_output_tokens, clamped ? 1 : 0]
    this.#sql.all(HOLD, ...row, JSON.stringify(draft), provider_id ?? null)
  }

  /** `charged` replaces the hold in the row: what a later correction starts from. */
  end(requestId: string, reservedAt: number, outcome: Outcome, charged: Amount, now: number): void {
    this.#sql.all(END, requestId, reservedAt, now, ...columnsOf(charged), outcome, now)
  }

  /** Holds whose time is up and that are not overdue, the oldest first; not all of them where there are many. */
  expired(now: number): ReservationRow[] {
    return this.#sql.all<ReservationRow>(EXPIRED, now, EXPIRED_AT_ONCE)
  }

  /** The call that has been overdue for longest: from now on it is overdue no more, and expires at `until`. */
  takeOverdue(now: number, until: number): OverdueCall | null {
    const [row] = this.#sql.all<Overdue>(OVERDUE, now)
    if (!row) return null
    this.#sql.all(PUT_OFF, until, row.request_id)
    return { provider_id: row.provider_id, draft: JSON.parse(row.draft) }
  }

  /** When the next hold expires or is overdue; null where nothing is in flight. */
  nextExpiry(): number | null {
    return this.#sql.all<{ expires_at: number | null }>(NEXT_EXPIRY)[0]?.expires_at ?? null
  }

  forgetEnded(now: number): void {
    this.#sql.all(FORGET, now - ENDED_CALLS_KEPT_MS, ENDED_CALLS_KEPT)
  }
}
