// Usage events as they are read back.

import { and, desc, eq, gte, lt, or, type SQL, sql } from 'drizzle-orm'
import type { Database } from './client.ts'
import { isAfter, type Page, type PageRequest, pageOf } from './pages.ts'
import { apiKeys, type UsageEventRow, usageEvents } from './schema.ts'

/** Columns that a filter may name a value of. */
const SAME = [
  'id',
  'user_id',
  'key_id',
  'provider',
  'operation',
  'outcome',
  'usage_source',
  'status',
  'error_class',
  'overrun',
  'brings_own_key',
  'price_source',
  'job_id',
  'batch_id',
  'session_id',
] as const

type Equal = { [Name in (typeof SAME)[number]]?: NonNullable<UsageEventRow[Name]> | undefined }

/** All that are set must hold. */
export interface EventFilter extends Equal {
  /** As asked for or as answered. */
  model?: string | undefined
  /** Events whose metadata has all of it. */
  metadata?: Record<string, unknown> | undefined
  /** Inclusive. */
  from?: Date | undefined
  /** Exclusive. */
  to?: Date | undefined
  /** Inclusive. */
  recorded_from?: Date | undefined
  /** Exclusive. */
  recorded_to?: Date | undefined
}

const equals = (name: (typeof SAME)[number], value: string | number | boolean | undefined) =>
  value === undefined ? undefined : eq(usageEvents[name], value)

/**
 * The user of a key; null where no table knows the key. Only the events know one whose row was lost in a restore.
 * A query of its own: given a subquery, Postgres would expect a user with few events, and sort them all.
 */
async function userOf(db: Database, key_id: string): Promise<string | null> {
  const owner = sql`select ${apiKeys.user_id} from ${apiKeys} where ${apiKeys.id} = ${key_id}`
  const seen = sql`select e.user_id from ${usageEvents} e where e.key_id = ${key_id} limit 1`
  const { rows } = await db.execute<{ user_id: string | null }>(sql`select coalesce((${owner}), (${seen})) as user_id`)
  return rows[0]?.user_id ?? null
}

/** The condition of all that a filter sets. Events of a key are found among those of its user, which have an index. */
export async function matches(db: Database, filter: EventFilter): Promise<SQL | undefined> {
  const { model, metadata, from, to, recorded_from, recorded_to, ...same } = filter
  const { user_id, key_id } = same
  return and(
    ...SAME.map((name) => equals(name, same[name])),
    key_id !== undefined && user_id === undefined
      ? sql`${usageEvents.user_id} = ${await userOf(db, key_id)}`
      : undefined,
    model === undefined ? undefined : or(eq(usageEvents.request_model, model), eq(usageEvents.response_model, model)),
    metadata && sql`${usageEvents.metadata} @> ${JSON.stringify(metadata)}::jsonb`,
    from && gte(usageEvents.occurred_at, from),
    to && lt(usageEvents.occurred_at, to),
    recorded_from && gte(usageEvents.recorded_at, recorded_from),
    recorded_to && lt(usageEvents.recorded_at, recorded_to),
  )
}

/**
 * Newest first: by when they were recorded where the filter goes by that, else by when they occurred. In another order than
 * its index's, Postgres might look through all other events for the last ones of an export. Two of one id that were recorded in
 * one millisecond are told apart by when they occurred.
 */
export async function listEvents(db: Database, page: PageRequest, filter: EventFilter): Promise<Page<UsageEventRow>> {
  const by = filter.recorded_from || filter.recorded_to ? 'recorded_at' : 'occurred_at'
  const rows = await db
    .select()
    .from(usageEvents)
    .where(and(await matches(db, filter), isAfter(usageEvents[by], usageEvents.id, page, usageEvents.occurred_at)))
    .orderBy(desc(usageEvents[by]), desc(usageEvents.id), desc(usageEvents.occurred_at))
    .limit(page.limit + 1)
  return pageOf(
    rows,
    page.limit,
    (row) => row[by],
    (row) => row.occurred_at,
  )
}
