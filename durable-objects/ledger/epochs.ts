// The rows of `epochs`: the ceiling on what is held in memory alone, and what crashes have left of earlier ones. Kept up
// in memory; after a rollback it is forgotten and read again. Storage only, no policy: see ./schema.ts for the idea.

import { add, amountOf, columnsOf, isNothing, larger, minus, NOTHING } from './amounts.ts'
import type { EpochRow } from './schema.ts'
import type { Sql } from './sql.ts'
import type { Amount } from './types.ts'

/** An epoch without an end at the start of a ledger is that of an earlier life, which crashed. */
const CRASHED = 'update epochs set expires_at = ? where expires_at is null'
const SELECT = 'select * from epochs'
const BEGIN =
  'insert into epochs (requests, input_tokens, output_tokens, cost_nano_usd) values (?, ?, ?, ?) returning epoch'
const SAVE = 'update epochs set requests = ?, input_tokens = ?, output_tokens = ?, cost_nano_usd = ? where epoch = ?'
const END = 'delete from epochs where epoch = ?'

interface Remnant {
  amount: Amount
  expires_at: number
}

interface Known {
  /** Of this life; 0 while it has no ceiling. */
  epoch: number
  ceiling: Amount
  remnants: Map<number, Remnant>
}

export class Epochs {
  readonly #sql: Sql
  #known: Known | null = null

  /** @param expires_at by when all holds of a life that has just crashed are over. */
  constructor(sql: Sql, expires_at: number) {
    this.#sql = sql
    sql.all(CRASHED, expires_at)
  }

  /** The epoch of this life; 0 while it has no ceiling, and so no hold that is in memory alone. */
  get current(): number {
    return this.#read().epoch
  }

  /** The most that may be in memory alone. */
  get ceiling(): Amount {
    return this.#read().ceiling
  }

  /** Begins an epoch where there is none. */
  raise(ceiling: Amount): void {
    const known = this.#read()
    if (known.epoch !== 0) this.#sql.all(SAVE, ...columnsOf(ceiling), known.epoch)
    else known.epoch = this.#sql.all<{ epoch: number }>(BEGIN, ...columnsOf(ceiling))[0]?.epoch ?? 0
    known.ceiling = amountOf(ceiling)
  }

  /** Once no hold is in memory alone. Numbers are not used again. */
  end(): void {
    this.#sql.all(END, this.current)
    this.forget()
  }

  /** What may still be in flight from lives that crashed. */
  remnantsAt(now: number): Amount {
    const { remnants } = this.#read()
    if (remnants.size === 0) return NOTHING
    const sum = amountOf(NOTHING)
    for (const { amount, expires_at } of remnants.values()) if (now < expires_at) add(sum, amount)
    return sum
  }

  /** Of a life that crashed, while calls of it may still be in flight. */
  hasRemnant(epoch: number, now: number): boolean {
    const remnant = this.#read().remnants.get(epoch)
    return remnant !== undefined && now < remnant.expires_at
  }

  /** A call that was lost in a crash has come back. */
  settle(epoch: number, hold: Amount): void {
    const { remnants } = this.#read()
    const remnant = remnants.get(epoch)
    if (!remnant) return
    const amount = larger(NOTHING, minus(remnant.amount, hold))
    if (isNothing(amount)) {
      this.#sql.all(END, epoch)
      remnants.delete(epoch)
      return
    }
    this.#sql.all(SAVE, ...columnsOf(amount), epoch)
    remnants.set(epoch, { ...remnant, amount })
  }

  /** Drops remnants whose time is up. What never comes back has no event: nobody has had the end of its answer. */
  expire(now: number): void {
    const { remnants } = this.#read()
    for (const [epoch, { expires_at }] of remnants) {
      if (now < expires_at) continue
      this.#sql.all(END, epoch)
      remnants.delete(epoch)
    }
  }

  /** Drops all that is remembered: the next question reads SQL again. */
  forget(): void {
    this.#known = null
  }

  #read(): Known {
    if (this.#known) return this.#known
    const known: Known = { epoch: 0, ceiling: NOTHING, remnants: new Map() }
    for (const { epoch, expires_at, ...row } of this.#sql.all<EpochRow>(SELECT)) {
      const amount = amountOf(row)
      if (expires_at !== null) known.remnants.set(epoch, { amount, expires_at })
      else Object.assign(known, { epoch, ceiling: amount })
    }
    this.#known = known
    return known
  }
}
