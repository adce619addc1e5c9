// Writes usage events to Postgres, at least once: a higher revision replaces a lower, and repeating an event changes nothing but
// when it was recorded.

import { getTableColumns, sql } from 'drizzle-orm'
import { NO_FACTS } from '../../durable-objects/ledger/no-facts.ts'
import type { UsageEvent } from '../../durable-objects/ledger/types.ts'
import { rootCause } from '../errors.ts'
import { type Database, isDataError, sqlState, violatedConstraint } from './client.ts'
import { usageEvents } from './schema.ts'
import { storableText } from './storable-text.ts'

/** Rows of one call to `writeEvents`. */
export const MOST_EVENTS = 100

/** Postgres refuses the data itself: sending it again will not help. Says nothing of the values. */
export class EventRejected extends Error {
  override readonly name = 'EventRejected'
  readonly sql_state: string

  constructor(sqlState: string, message: string) {
    super(message)
    this.sql_state = sqlState
  }
}

const CHECK_VIOLATION = '23514'
/** Shorter than the client's timeout, so that no statement that it gave up on keeps a connection. */
const LOCK_TIMEOUT_MS = 5_000

const { recorded_at: _, ...written } = getTableColumns(usageEvents)
const columns = Object.values(written).map(({ name }) => name)
// The events go as one JSON parameter, so that the statement's text never changes and costs no time to build.
// Exports read on by `recorded_at`, so no row may appear behind what they have read. Hence not `now()`, which is when the
// statement began: it may have waited for a lock since (while an index is made, say). A row still appears late where its
// commit waits, for a standby say. By then the client has given up, and repeats the insert, which records the row once more.
const INSERT_EVENTS = sql.raw(`insert into usage_events (${columns.join(', ')}, recorded_at)
select ${columns.join(', ')}, clock_timestamp()
from set_config('lock_timeout', '${LOCK_TIMEOUT_MS}', true), json_populate_recordset(null::usage_events, `)
// Always in the same order: otherwise two statements that share rows (a client gave up on one) could wait for each other.
const KEEP_HIGHER_REVISION = sql.raw(`)
order by id, occurred_at
on conflict (id, occurred_at) do update set ${columns.map((name) => `${name} = excluded.${name}`).join(', ')}, recorded_at = clock_timestamp()
where usage_events.revision <= excluded.revision`)

/**
 * One insert of at most 100 events: all of them or none.
 * @throws {EventRejected} where Postgres refuses the data of at least one; anything else thrown means "try later".
 */
export async function writeEvents(db: Database, events: UsageEvent[]): Promise<void> {
  if (events.length === 0) return
  if (events.length > MOST_EVENTS) throw new RangeError(`At most ${MOST_EVENTS} events at once, not ${events.length}.`)
  const rows = newestRevisions(events).map(rowOf)
  try {
    await insert(db, rows)
  } catch (error) {
    if (!wantsPartition(error)) throw rejected(error)
    await ensurePartitions(db, rows)
    await insert(db, rows).catch((second) => {
      throw rejected(second)
    })
  }
}

async function insert(db: Database, rows: EventRow[]): Promise<void> {
  await db.execute(sql`${INSERT_EVENTS}${toJson(rows)}::json${KEEP_HIGHER_REVISION}`)
}

async function ensurePartitions(db: Database, rows: EventRow[]): Promise<void> {
  const months = [...new Set(rows.map(({ occurred_at }) => `${occurred_at.slice(0, 7)}-01T00:00:00Z`))]
  await db.execute(
    sql`select ensure_usage_events_partition(month::timestamptz) from json_array_elements_text(${JSON.stringify(months)}::json) month`,
  )
}

/** A row without a partition is a violated check that has no name. */
function wantsPartition(error: unknown): boolean {
  return sqlState(error) === CHECK_VIOLATION && !violatedConstraint(error)
}

/**
 * One statement cannot change a row twice. A row is known by id and instant, as in the table: ledgers write together, and the
 * ids of calls that go on at a provider are made of the provider's, so two users' may be the same.
 */
function newestRevisions(events: UsageEvent[]): UsageEvent[] {
  const newest = new Map<string, UsageEvent>()
  for (const event of events) {
    const row = `${event.id} ${event.occurred_at}`
    const known = newest.get(row)
    if (!known || known.revision < event.revision) newest.set(row, event)
  }
  return [...newest.values()]
}

type EventRow = Omit<UsageEvent, 'occurred_at' | 'settled_at'> & { occurred_at: string; settled_at: string }

function rowOf(event: UsageEvent): EventRow {
  return {
    // An event that an older version left in an outbox may lack fields that are newer.
    ...NO_FACTS,
    ...event,
    brings_own_key: event.brings_own_key ?? false,
    occurred_at: new Date(event.occurred_at).toISOString(),
    settled_at: new Date(event.settled_at).toISOString(),
    latency_ms: rounded(event.latency_ms),
    time_to_first_byte_ms: rounded(event.time_to_first_byte_ms),
  }
}

/** Clocks may have fractions. */
const rounded = (ms: number | null) => (ms === null ? null : Math.round(ms))

/** How JSON writes NUL and lone surrogates; a backslash of the text itself may look like one, which does no harm. */
const UNSTORABLE = /\\u(0000|d[89a-f])/

/** A client may send a NUL in a model's name: the event must not be lost for it. */
function toJson(rows: EventRow[]): string {
  const json = JSON.stringify(rows)
  return UNSTORABLE.test(json) ? JSON.stringify(storable(rows)) : json
}

function storable<T>(value: T): T
function storable(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value)
  if (Array.isArray(value)) return value.map(storable)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [storableText(key), storable(entry)]))
}

function rejected(error: unknown): unknown {
  if (!isDataError(error)) return error
  const state = sqlState(error) ?? ''
  return new EventRejected(state, `Postgres refuses a usage event (SQLSTATE ${state}): ${messageWithoutValues(error)}`)
}

/** Without values: Postgres quotes one in its message, drizzle all of them. */
function messageWithoutValues(error: unknown): string {
  const last = rootCause(error)
  const message = last instanceof Error ? last.message : ''
  const column = last instanceof Error && 'column' in last && last.column ? ` (column ${last.column})` : ''
  return message.replace(/".*"/s, '"..."') + column
}
