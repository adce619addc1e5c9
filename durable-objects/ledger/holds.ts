// The holds that this life of a ledger has taken and that are still out, in memory: some are written, the latest are not
// (see `epochs` in ./schema.ts). Changed only after the transaction that it follows from has committed. No policy.

import { add, amountOf, NOTHING } from './amounts.ts'
import type { Amount, EventDraft } from './types.ts'

export interface Hold {
  request_id: string
  reserved_at: number
  expires_at: number
  amount: Amount
  granted_output_tokens: number | null
  clamped: boolean
  draft: EventDraft
  /** Whose ceiling covers it; 0: it is written. */
  epoch: number
}

export class Holds {
  readonly #written = new Map<string, Hold>()
  readonly #unwritten = new Map<string, Hold>()
  #sum = amountOf(NOTHING)
  /** Those that were already unwritten when holds were last written. */
  #aged = new Set<Hold>()

  find(requestId: string): Hold | undefined {
    return this.#unwritten.get(requestId) ?? this.#written.get(requestId)
  }

  /** The sum of what is in memory alone. Live: read it, do not keep it. */
  get unwritten(): Amount {
    return this.#sum
  }

  get areAllWritten(): boolean {
    return this.#unwritten.size === 0
  }

  /** The sum of what is in memory alone and was admitted from `start` until before `end`. */
  unwrittenBetween(start: number, end: number): Amount {
    const sum = amountOf(NOTHING)
    for (const { reserved_at, amount } of this.#unwritten.values()) {
      if (start <= reserved_at && reserved_at < end) add(sum, amount)
    }
    return sum
  }

  add(hold: Hold): void {
    if (hold.epoch === 0) {
      this.#written.set(hold.request_id, hold)
      return
    }
    this.#unwritten.set(hold.request_id, hold)
    add(this.#sum, hold.amount)
  }

  /** The holds to write now: all, or those that were already here the last time. By turns and not by the clock. */
  due(which: 'all' | 'aged'): Hold[] {
    const unwritten = [...this.#unwritten.values()]
    const due = which === 'all' ? unwritten : unwritten.filter((hold) => this.#aged.has(hold))
    this.#aged = new Set(unwritten)
    return due
  }

  written(hold: Hold): void {
    this.remove(hold.request_id)
    this.add({ ...hold, epoch: 0 })
  }

  remove(requestId: string): void {
    const hold = this.#unwritten.get(requestId)
    if (hold) {
      this.#unwritten.delete(requestId)
      add(this.#sum, hold.amount, -1)
    }
    this.#written.delete(requestId)
  }
}
