// How calls end: hold off, usage on, event out; and how one that a crash took comes back. What changes anything runs inside
// a transaction of ./ledger.ts, which takes the holds out of memory once it has committed. `now` is passed in.
//
//   settle  --usage, or the hold where it is unknown--> event
//           `-the rest of the hold--> a hold of its own, for a call that goes on (concluded: settled in its turn)
//   expire  --the hold--> event; a settlement that comes after all corrects it

import { amountOf, leftOf, minus, NOTHING, plus } from './amounts.ts'
import type { Counters } from './counters.ts'
import type { Epochs } from './epochs.ts'
import { expiredEvent, settledEvent } from './events.ts'
import type { Holds } from './holds.ts'
import { ENDED_CALLS_KEPT_MS, type KnownCall, type Reservations } from './reservations.ts'
import type { ReservationRow } from './schema.ts'
import type { Amount, CallUnderWay, Conclusion, Continuation, Settlement, UsageEvent } from './types.ts'

interface Parts {
  counters: Counters
  reservations: Reservations
  holds: Holds
  epochs: Epochs
  emit: (event: UsageEvent) => void
}

export class Endings {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Whether a crash took a call before its hold was written: one that is known is held or has ended. */
  isLost({ request_id, reserved_at }: CallUnderWay, now: number): boolean {
    return now - reserved_at <= ENDED_CALLS_KEPT_MS && this.find(request_id) === undefined
  }

  /** Holds a lost call again, and takes its hold off the remnant of its epoch. */
  holdAgain(call: CallUnderWay, expires_at: number): void {
    const { reservations, counters, epochs } = this.#parts
    const { request_id, reserved_at, hold: amount, granted_output_tokens, clamped, draft, epoch } = call
    epochs.settle(epoch, amount)
    reservations.hold({ request_id, reserved_at, expires_at, amount, granted_output_tokens, clamped, draft })
    counters.hold(reserved_at, amount, 1)
  }

  /** Changes nothing where the call has already come back, or ended so long ago that it is forgotten. */
  settle(settlement: Settlement, now: number): void {
    const { counters, reservations, epochs, emit } = this.#parts
    const { request_id, epoch, outcome } = settlement
    const known = this.find(request_id)
    if (known?.outcome === 'settled' || known?.outcome === 'released') return
    // It ended, has its event, and has been forgotten since. What a crash took may be of any age.
    const isOld = now - settlement.reserved_at > ENDED_CALLS_KEPT_MS
    if (!known && isOld && !epochs.hasRemnant(epoch, now)) return

    const { reserved_at } = known ?? settlement
    const expired = known?.outcome === 'expired'
    const hold = known?.amount ?? amountOf(settlement.hold)
    const { usage, usage_source, continues } = this.#charge(settlement, hold)
    if (known?.outcome === null) counters.hold(reserved_at, hold, -1)
    if (!known) epochs.settle(epoch, hold)
    counters.charge(reserved_at, expired ? minus(usage, hold) : usage)
    reservations.end(request_id, reserved_at, outcome, usage, now)
    // Released though never admitted: the ledger refused the call, and the refusal was lost on its way.
    if (!known && outcome === 'released' && epoch === 0) return
    emit(settledEvent({ ...settlement, usage_source }, { reserved_at, hold, usage, expired }, now))
    if (continues) this.#continue(continues, { ...settlement, reserved_at, hold: leftOf(hold, usage) }, now)
  }

  /**
   * What the call is charged, and under which id the rest of its hold goes on. The hold is charged where its usage is
   * unknown, and where another call has that id already: two calls under one id could not both be awaited.
   */
  #charge({ outcome, usage, usage_source, continues }: Settlement, hold: Amount) {
    const isTaken = continues !== null && this.find(continues.request_id) !== undefined
    if (outcome === 'released') return { usage: NOTHING, usage_source, continues: isTaken ? null : continues }
    if (usage === null) return { usage: hold, usage_source, continues: null }
    if (!isTaken) return { usage: amountOf(usage), usage_source, continues }
    return { usage: plus(usage, leftOf(hold, usage)), usage_source: 'hold' as const, continues: null }
  }

  /** With a row at once: what goes on at a provider outlives this life of the ledger. */
  #continue(
    { request_id, for_ms, provider_id }: Continuation,
    { reserved_at, hold, draft }: Settlement,
    now: number,
  ): void {
    const { reservations, counters } = this.#parts
    const unasked = { granted_output_tokens: null, clamped: false }
    const expires_at = now + for_ms
    reservations.hold({ request_id, reserved_at, expires_at, amount: hold, draft, provider_id, ...unasked })
    counters.hold(reserved_at, hold, 1)
  }

  /**
   * The settlement of a call that had gone on; null where it is not known here: it is another user's, or has ended
   * and is forgotten. Its event names the call that began it, whoever asked how it ended.
   */
  settlementOf(conclusion: Conclusion): Settlement | null {
    const known = this.find(conclusion.request_id)
    if (!known) return null
    const { reserved_at, amount, draft } = known
    const asAdmitted = { draft: draft ?? conclusion.draft, reserved_at, hold: amount, epoch: 0 }
    const usage = conclusion.usage && {
      ...conclusion.usage,
      cost_nano_usd: conclusion.usage.cost_nano_usd ?? amount.cost_nano_usd,
    }
    return { ...conclusion, ...asAdmitted, usage, outcome: 'settled', continues: null }
  }

  expire(row: ReservationRow, now: number): void {
    const { counters, reservations, emit } = this.#parts
    const { request_id, reserved_at } = row
    const hold = amountOf(row)
    counters.hold(reserved_at, hold, -1)
    counters.charge(reserved_at, hold)
    reservations.end(request_id, reserved_at, 'expired', hold, now)
    emit(expiredEvent(row, now))
  }

  find(requestId: string): KnownCall | undefined {
    const held = this.#parts.holds.find(requestId)
    return held ? { ...held, outcome: null } : this.#parts.reservations.find(requestId)
  }
}
