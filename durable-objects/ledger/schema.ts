// What a ledger keeps, on one page. SQLite; instants in milliseconds, money in nano-dollars.
//
// `usage_buckets` is the one source of every counter: settled usage per 15 minutes, because the calendar windows of any
// time zone are sums of quarter hours. Row 0 holds what is older than any window still asks for, so that `total` is the
// sum of all rows and no second counter can drift.
//
// `reservations` has one row per call; calls that end within a moment get it when they end. While `outcome` is null the
// row is a hold; afterwards it remembers how the call ended, so that a repeated or late `settle` is recognised. Holds
// are never part of a bucket: one that leaks can delay a caller until it expires, but cannot corrupt a counter.
//
// A call that goes on at its provider after its answer (a background response, a batch) has a second row from then
// on: the rest of its hold, under an id made of the provider's own, admitted when the first was, and for hours or
// days. It ends like any other: an answer that is asked for later concludes it, or it expires. Each of the two rows
// has its own event. One with a `provider_id` does not expire when its time is up, but is *overdue*. When its turn
// comes, the id is taken away and its end put off by a minute, in which the provider is asked, once, how it ended.
//
// `epochs` lets most holds live and end in memory, without a row of their own. Its promise: the sum of the holds that
// are in memory alone is never above a *ceiling* that is on disk, in no component. An epoch is the time from the
// first raise of a ceiling until the ledger has come to rest (nothing in memory alone: the row goes, nothing remains)
// or has crashed.
//
//   no ceiling --busy--> epoch with a ceiling, raised in steps --rest--> no ceiling
//                                    \--crash--> remnant --its calls settle, or the time to live passes--> gone
//
// A row that is found at the start is such a crash's: its ceiling becomes a *remnant*, an amount that is held in every
// window until the time to live of its holds has passed since the restart. Admissions carry their epoch, so that a call
// that no row and no memory knows takes its hold off the remnant of its own epoch when it settles. Lives are told apart
// by these numbers and not by time, which may jump. A remnant never becomes an event: a call that is still out when its
// hold is a moment old is written, expires and is charged like any other; so is one that a crash took before that, once
// its worker asks whether it may go on, as it does after half a minute. What never comes back at all is dropped.
//
// `config` is the snapshot that the ledger decides by. `waiting_events`, `rejected_events` and `rejected_retry` are in
// ../outbox.ts.

import type { Sql } from './sql.ts'
import type { Amount, Outcome } from './types.ts'

/** The row that holds usage older than any window. No call is ever admitted in January 1970. */
export const FOLDED_BUCKET = 0

export interface ReservationRow extends Amount {
  request_id: string
  reserved_at: number
  expires_at: number
  /** The granted bound of one answer, null where none was set; what a repeated `reserve` answers. */
  granted_output_tokens: number | null
  clamped: number
  outcome: Outcome | null
  /** Null while it is held. */
  ended_at: number | null
  /** The event's draft as JSON; null once the call has ended for good: settled or released. */
  draft: string | null
  /** Of a call that goes on, until its provider is asked how it ended; null: nobody will ask. */
  provider_id: string | null
}

export interface EpochRow extends Amount {
  epoch: number
  /** Of a remnant; null while the epoch lasts. */
  expires_at: number | null
}

const DDL = [
  `create table if not exists config (
    id integer primary key check (id = 1),
    snapshot text not null,
    fetched_at integer not null
  )`,
  `create table if not exists usage_buckets (
    bucket integer primary key,
    requests integer not null default 0,
    input_tokens integer not null default 0,
    output_tokens integer not null default 0,
    cost_nano_usd integer not null default 0,
    refused integer not null default 0
  )`,
  // The amounts are the hold while it is held, then what was charged: a correction needs the difference.
  `create table if not exists reservations (
    seq integer primary key,
    request_id text not null unique,
    reserved_at integer not null,
    expires_at integer not null,
    requests integer not null,
    input_tokens integer not null,
    output_tokens integer not null,
    cost_nano_usd integer not null,
    granted_output_tokens integer,
    clamped integer not null,
    outcome text,
    ended_at integer,
    draft text,
    provider_id text
  )`,
  // The amounts are the ceiling, then what remains of it. Numbers are never used twice, which `autoincrement` promises.
  `create table if not exists epochs (
    epoch integer primary key autoincrement,
    requests integer not null,
    input_tokens integer not null,
    output_tokens integer not null,
    cost_nano_usd integer not null,
    expires_at integer
  )`,
  // Only holds are ever searched by time. They are few: what is in flight, and what goes on.
  `create index if not exists holds_by_expiry on reservations (expires_at) where outcome is null`,
]

// Earlier versions had no provider ids.
const IS_EARLIER = "select 1 from sqlite_master where name = 'reservations' and sql not like '%provider_id%'"
const ADD_PROVIDER_ID = 'alter table reservations add column provider_id text'

export function createSchema(sql: Sql): void {
  for (const statement of DDL) sql.all(statement)
  if (sql.all(IS_EARLIER).length > 0) sql.all(ADD_PROVIDER_ID)
}
