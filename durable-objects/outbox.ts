// Events that wait to be written to Postgres, in order, at least once. They leave the table only when Postgres has them, or
// refuses the event itself: then it is set aside, so that it blocks nothing but stays visible, and is tried again now and
// then, a few at a time, as the fault may have been the table's.

import { rootCause } from '../src/errors.ts'
import { EventRejected, MOST_EVENTS } from '../src/postgres/usage-writer.ts'
import type { Sql } from './ledger/sql.ts'
import type { LedgerStatus, UsageEvent } from './ledger/types.ts'

/** Batches of one drain: an invocation may make only so many subrequests. A batch is one, or more where Postgres refuses it. */
const BATCHES_AT_ONCE = 200
/**
 * After this long a drain leaves the rest to the next. Cloudflare ends an alarm after 15 minutes, before it has deleted what
 * it delivered, and after six more tries never rings it again.
 */
const DRAIN_MS = 10 * 60 * 1_000
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 5 * 60 * 1_000
const REJECTED_RETRY_MS = 60 * 60 * 1_000
/** Few, so that if Postgres still refuses them new events do not wait for long, nor does a drain run out of subrequests. */
const REJECTED_AT_ONCE = 10

// No index and no `autoincrement`: each is one more written row per call, and written rows are most of what a ledger costs.
// So SQLite reuses the highest `seq` once its row is gone. New events still come after `#delivered`: the row of that `seq`
// stays until `forgetDelivered` resets it.
const DDL = 'create table if not exists waiting_events (seq integer primary key, event text not null)'
const DDL_REJECTED = `
  create table if not exists rejected_events (seq integer primary key, event text not null, rejection text not null)`
// By when rejected events are tried again. Kept because most objects live for seconds: with a try in each life, each call
// would write all of them once more, here and to Postgres.
const DDL_RETRY =
  'create table if not exists rejected_retry (id integer primary key check (id = 1), at integer not null)'
// Earlier versions had one table for both, with indexes; some of them without a column for rejections.
const FIND_EARLIER = "select sql from sqlite_master where type = 'table' and name = 'outbox'"
const ADD_REJECTION = 'alter table outbox add column rejection text'
const MOVE_EARLIER = [
  'insert into waiting_events (event) select event from outbox where rejection is null order by seq',
  'insert into rejected_events (event, rejection) select event, rejection from outbox where rejection is not null order by seq',
  'drop table outbox',
]
const APPEND = 'insert into waiting_events (event) values (?)'
const NEXT = 'select seq, event from waiting_events where seq > ? order by seq limit ?'
const DELETE = 'delete from waiting_events where seq <= ?'
const SET_ASIDE = 'insert into rejected_events (event, rejection) select event, ? from waiting_events where seq = ?'
const TAKE_OUT = 'delete from waiting_events where seq = ?'
const FIRST_REJECTED = 'select seq, event from rejected_events order by seq limit ?'
const DELETE_REJECTED = 'delete from rejected_events where seq <= ?'
const COUNTS = `
  select
    (select count(*) from waiting_events where seq > ?) as waiting,
    (select count(*) from rejected_events) as rejected`
const ANY_WAITING = 'select seq from waiting_events where seq > ? limit 1'
const RETRY_AT = 'select at from rejected_retry'
const SAVE_RETRY = 'insert or replace into rejected_retry (id, at) values (1, ?)'
const ANY_REJECTED = 'select seq from rejected_events limit 1'

interface Row {
  seq: number
  event: string
}

export interface OutboxOptions {
  /** Writes a batch to Postgres, all or none. Throws `EventRejected` where the data itself is refused. */
  write: (events: UsageEvent[]) => Promise<void>
  now: () => number
  /** In [0, 1): the jitter of retries. */
  random: () => number
}

export class Outbox {
  readonly #sql: Sql
  readonly #options: OutboxOptions
  #draining: Promise<void> | null = null
  #failures = 0
  #retryAt = 0
  /** How far ahead `#retryAt` was set. */
  #wait_ms = 0
  #retryRejectedAt: number
  /** Whether Postgres has refused an event since rejected ones were last tried again; a new life assumes so. */
  #hasRefused: boolean
  /** A drain was asked for while one runs, which must then look once more for what has come since. */
  #isAskedAgain = false
  #isBehind = false
  /** All up to here is delivered or set aside. It is deleted with the next write, which saves one commit per call. */
  #delivered = 0

  constructor(sql: Sql, options: OutboxOptions) {
    sql.all(DDL)
    sql.all(DDL_REJECTED)
    sql.all(DDL_RETRY)
    const [earlier] = sql.all<{ sql: string }>(FIND_EARLIER)
    if (earlier) {
      sql.transaction(() => {
        if (!earlier.sql.includes('rejection')) sql.all(ADD_REJECTION)
        for (const statement of MOVE_EARLIER) sql.all(statement)
      })
    }
    this.#sql = sql
    this.#options = options
    const [retry] = sql.all<{ at: number }>(RETRY_AT)
    this.#retryRejectedAt = retry?.at ?? 0
    this.#hasRefused = retry !== undefined
  }

  /** Inside the transaction of the caller. */
  append(event: UsageEvent): void {
    this.forgetDelivered()
    this.#sql.all(APPEND, JSON.stringify(event))
  }

  /** Deletes what is delivered. If a restart comes first, it is sent once more, which does no harm. */
  forgetDelivered(): void {
    if (this.#delivered === 0) return
    this.#sql.all(DELETE, this.#delivered)
    this.#delivered = 0
  }

  /** For people, not for hot paths: it takes longer the more events wait. */
  counts(): LedgerStatus['outbox'] {
    const [counts] = this.#sql.all<LedgerStatus['outbox']>(COUNTS, this.#delivered)
    return counts ?? { waiting: 0, rejected: 0 }
  }

  /** Whether the last drain left events behind. Somebody must try again: see `nextAttempt`. */
  get isBehind(): boolean {
    return this.#isBehind
  }

  /** When to try again; null where nothing waits. */
  nextAttempt(): number | null {
    this.#heedClock()
    if (this.#sql.all(ANY_WAITING, this.#delivered).length > 0) return Math.max(this.#retryAt, this.#options.now())
    return this.#hasRejected() ? this.#retryRejectedAt : null
  }

  /**
   * Writes what waits, unless a failure was a short time ago. What comes meanwhile is left to the next drain, so that a busy
   * ledger fills its batches. One drain runs at a time; never throws.
   */
  drain(): Promise<void> {
    this.#heedClock()
    if (this.#options.now() < this.#retryAt) return Promise.resolve()
    this.#isAskedAgain = this.#draining !== null
    this.#draining ??= Promise.resolve().then(() => this.#drain())
    return this.#draining
  }

  /** A clock that was set back must not make a wait longer than it was meant to be. */
  #heedClock(): void {
    const now = this.#options.now()
    this.#retryAt = Math.min(this.#retryAt, now + this.#wait_ms)
    this.#retryRejectedAt = Math.min(this.#retryRejectedAt, now + REJECTED_RETRY_MS)
  }

  async #drain(): Promise<void> {
    this.#isBehind = true
    try {
      if (this.#options.now() >= this.#retryRejectedAt && this.#hasRejected()) this.#tryRejectedAgain()
      const until = this.#options.now() + DRAIN_MS
      for (let batches = 0; batches < BATCHES_AT_ONCE && this.#options.now() < until; batches++) {
        const rows = this.#sql.all<Row>(NEXT, this.#delivered, MOST_EVENTS)
        await this.#deliver(rows)
        if (rows.length === MOST_EVENTS || this.#isAskedAgain) {
          this.#isAskedAgain = false
          continue
        }
        this.#isBehind = this.#hasRejected()
        break
      }
      // Postgres took all that were tried again, so it may take the rest now.
      if (!this.#hasRefused) this.#retryRejectedAt = this.#options.now()
      this.#failures = 0
      this.#retryAt = 0
    } catch (error) {
      const delay = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LONGEST_RETRY_MS)
      this.#failures += 1
      this.#wait_ms = delay * (0.5 + this.#options.random() / 2)
      this.#retryAt = this.#options.now() + this.#wait_ms
      const message = 'usage events wait for Postgres'
      console.warn(JSON.stringify({ message, error: String(rootCause(error)), retry_in_ms: delay }))
    } finally {
      // In the same turn as its last look at what waits: whoever asks from now on needs a drain of their own.
      this.#draining = null
    }
  }

  /** A batch that Postgres refuses is halved until the event at fault stands alone. */
  async #deliver(rows: Row[]): Promise<void> {
    const [first, last] = [rows[0], rows.at(-1)]
    if (!first || !last) return
    try {
      await this.#options.write(rows.map(({ event }) => JSON.parse(event)))
      this.#delivered = last.seq
    } catch (error) {
      if (!(error instanceof EventRejected)) throw error
      if (rows.length === 1) {
        this.#setAside(first, error)
        if (this.#retryRejectedAt <= this.#options.now()) this.#waitWithRejected()
        const { id: event_id } = JSON.parse(first.event)
        console.error(JSON.stringify({ message: 'Postgres rejected a usage event', event_id, error: String(error) }))
        return
      }
      const half = Math.ceil(rows.length / 2)
      await this.#deliver(rows.slice(0, half))
      await this.#deliver(rows.slice(half))
    }
  }

  #hasRejected(): boolean {
    return this.#sql.all(ANY_REJECTED).length > 0
  }

  #waitWithRejected(): void {
    this.#retryRejectedAt = this.#options.now() + REJECTED_RETRY_MS
    this.#sql.all(SAVE_RETRY, this.#retryRejectedAt)
  }

  #setAside({ seq }: Row, rejection: EventRejected): void {
    this.#sql.transaction(() => {
      this.#sql.all(SET_ASIDE, String(rejection), seq)
      this.#sql.all(TAKE_OUT, seq)
    })
    this.#hasRefused = true
  }

  /** The first few. Those that are refused again become the last, so that the turn of the others comes. */
  #tryRejectedAgain(): void {
    this.#waitWithRejected()
    this.#hasRefused = false
    this.#sql.transaction(() => {
      const again = this.#sql.all<Row>(FIRST_REJECTED, REJECTED_AT_ONCE)
      for (const { event } of again) this.#sql.all(APPEND, event)
      this.#sql.all(DELETE_REJECTED, again.at(-1)?.seq ?? 0)
    })
  }
}
