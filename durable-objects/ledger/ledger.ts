// The policy of a ledger: four verbs over SQLite. Pure but for its storage: synchronous, `now` passed in, no I/O.
//
//   reserve -> (settle | release | expire) -> event
//
// Every public method is one transaction: one that throws has written nothing and remembers nothing.

import { amountOf, exceeds, minus, NOTHING } from './amounts.ts'
import { Counters } from './counters.ts'
import { decide } from './decide.ts'
import { NO_FACTS } from './no-facts.ts'
import { ENDED_CALLS_KEPT_MS, Reservations } from './reservations.ts'
import { createSchema, type ReservationRow } from './schema.ts'
import type { Sql } from './sql.ts'
import { capStatus, limitsOf, refuseCaller, tightestOf } from './standing.ts'
import type {
  Admission,
  Ask,
  Caller,
  Decision,
  EventDraft,
  LedgerStatus,
  Refusal,
  Settlement,
  Snapshot,
  UsageEvent,
} from './types.ts'

const SELECT_CONFIG = 'select snapshot, fetched_at from config'
const SAVE_CONFIG = `
  insert into config (id, snapshot, fetched_at) values (1, ?, ?)
  on conflict (id) do update set snapshot = excluded.snapshot, fetched_at = excluded.fetched_at`

export interface LedgerOptions {
  /** A call that has not come back after so long is charged its hold. */
  hold_ttl_ms: number
  /** Takes an event into the outbox, inside the transaction that ends its call. */
  emit: (event: UsageEvent) => void
}

export class Ledger {
  readonly #sql: Sql
  readonly #options: LedgerOptions
  readonly #counters: Counters
  readonly #reservations: Reservations
  #config: { snapshot: Snapshot; fetched_at: number } | null

  constructor(sql: Sql, options: LedgerOptions) {
    createSchema(sql)
    this.#sql = sql
    this.#options = options
    this.#counters = new Counters(sql)
    this.#reservations = new Reservations(sql)
    const [row] = sql.all<{ snapshot: string; fetched_at: number }>(SELECT_CONFIG)
    this.#config = row ? { snapshot: JSON.parse(row.snapshot), fetched_at: row.fetched_at } : null
  }

  /** When the snapshot was last confirmed; null where there is none. */
  get configuredAt(): number | null {
    return this.#config?.fetched_at ?? null
  }

  /** Takes a snapshot unless it already has a newer one. What is in flight stays held. */
  configure(snapshot: Snapshot, now: number): void {
    if (this.#config && this.#config.snapshot.version > snapshot.version) return
    this.#sql.all(SAVE_CONFIG, JSON.stringify(snapshot), now)
    this.#config = { snapshot, fetched_at: now }
  }

  /** Holds the worst case of a call, or says why not. Repeating an admitted request id repeats its admission. */
  reserve(ask: Ask, now: number): Decision {
    const known = this.#reservations.find(ask.request_id)
    if (known) return this.#admission(known.granted_output_tokens, known.clamped === 1, known, known.reserved_at, now)

    const refusal = this.refusalOf(ask.caller, now)
    if (refusal) return { admitted: false, refusal, tightest: null }

    const fit = decide(this.#limits(now), ask, now)
    if (!fit.fits) {
      this.#counters.refuse(now)
      return { admitted: false, refusal: fit.refusal, tightest: fit.limit }
    }
    const { hold: amount, granted_output_tokens, clamped } = fit
    const { request_id, draft } = ask
    const expires_at = now + this.#options.hold_ttl_ms
    this.#transaction(() => {
      this.#counters.writeRefusals()
      this.#reservations.hold({
        request_id,
        reserved_at: now,
        expires_at,
        amount,
        granted_output_tokens,
        clamped,
        draft,
      })
      this.#counters.hold(now, amount, 1)
    })
    return this.#admission(granted_output_tokens, clamped, amount, now, now)
  }

  /**
   * Ends a call: hold off, usage on, event out; `released` charges nothing. Repeating it changes nothing. A call that had
   * expired is corrected by the difference, and its event replaced by one of a higher revision.
   */
  settle(settlement: Settlement, now: number): void {
    const known = this.#reservations.find(settlement.request_id)
    if (known?.outcome === 'settled' || known?.outcome === 'released') return
    // Forgotten since: it expired, was charged its hold and has its event.
    if (!known && now - settlement.reserved_at > ENDED_CALLS_KEPT_MS) return

    const { request_id, outcome, usage_source, draft, facts } = settlement
    const { reserved_at } = known ?? settlement
    const hold = amountOf(known ?? settlement.hold)
    const usage = outcome === 'released' ? NOTHING : (settlement.usage ?? hold)
    this.#transaction(() => {
      if (known?.outcome === null) this.#counters.hold(reserved_at, hold, -1)
      this.#counters.charge(reserved_at, known?.outcome === 'expired' ? minus(usage, hold) : usage)
      this.#reservations.end(request_id, reserved_at, outcome, usage, now)
      // Released though never held: the call was refused by a ledger that could not be heard.
      if (!known && outcome === 'released') return
      this.#options.emit({
        ...draft,
        ...facts,
        ...usage,
        id: request_id,
        occurred_at: reserved_at,
        settled_at: now,
        outcome,
        usage_source,
        overrun: exceeds(usage, hold),
        revision: known?.outcome === 'expired' ? 1 : 0,
      })
    })
  }

  /** Charges the hold of calls that never came back, each on its own. Returns how many; more may be due. */
  expire(now: number): number {
    const due = this.#reservations.expired(now)
    for (const row of due) this.#transaction(() => this.#expireOne(row, now))
    return due.length
  }

  #expireOne(row: ReservationRow, now: number): void {
    const { request_id, reserved_at } = row
    const hold = amountOf(row)
    this.#counters.hold(reserved_at, hold, -1)
    this.#counters.charge(reserved_at, hold)
    this.#reservations.end(request_id, reserved_at, 'expired', hold, now)
    const draft: EventDraft = JSON.parse(row.draft ?? '{}')
    this.#options.emit({
      ...draft,
      ...NO_FACTS,
      error_class: 'expired',
      ...hold,
      id: request_id,
      occurred_at: reserved_at,
      settled_at: now,
      outcome: 'expired',
      usage_source: 'hold',
      overrun: false,
      revision: 0,
    })
  }

  /** Forgets what no answer depends on any more. */
  prune(now: number): void {
    this.#transaction(() => {
      this.#reservations.forgetEnded(now)
      this.#counters.writeRefusals()
      this.#counters.fold()
    })
  }

  /** When the next hold expires; null where nothing is in flight. */
  nextExpiry(): number | null {
    return this.#reservations.nextExpiry()
  }

  /** Why this caller may not act, or null; a null caller is the operator. */
  refusalOf(caller: Caller | null, now: number): Refusal | null {
    if (!this.#config) return { reason: 'no_config' }
    return caller ? refuseCaller(this.#config.snapshot, caller, now) : null
  }

  /** Usage as it is enforced; null where there is no snapshot. */
  status(now: number): Omit<LedgerStatus, 'outbox'> | null {
    if (!this.#config) return null
    const { version, status, time_zone, caps } = this.#config.snapshot
    return { version, status, time_zone, caps: caps.map((cap) => capStatus(this.#counters, cap, time_zone, now)) }
  }

  #limits(now: number) {
    return this.#config ? limitsOf(this.#counters, this.#config.snapshot, now) : []
  }

  #admission(
    granted: number | null,
    clamped: boolean,
    hold: Admission['hold'],
    reservedAt: number,
    now: number,
  ): Admission {
    return {
      admitted: true,
      granted_output_tokens: granted,
      clamped,
      tightest: tightestOf(this.#limits(now)),
      hold: amountOf(hold),
      reserved_at: reservedAt,
    }
  }

  /** What memory has counted is only true if the transaction commits. */
  #transaction(body: () => void): void {
    try {
      this.#sql.transaction(body)
    } catch (error) {
      this.#counters.forget()
      throw error
    }
  }
}
