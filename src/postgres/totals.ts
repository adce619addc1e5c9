// Usage events summed up, by what they have in common.

import { count, type SQL, sql } from 'drizzle-orm'
import type { Database } from './client.ts'
import { type EventFilter, matches } from './events.ts'
import { type UsageEventRow, usageEvents } from './schema.ts'

export const GROUPS = [
  'user_id',
  'key_id',
  'provider',
  'operation',
  'request_model',
  'response_model',
  'outcome',
  'usage_source',
  'status',
  'error_class',
  'price_source',
  'service_tier',
  'brings_own_key',
  'job_id',
  'batch_id',
  'session_id',
] as const

export const SUMS = [
  'requests',
  'input_tokens',
  'cached_input_tokens',
  'cache_write_5m_tokens',
  'cache_write_1h_tokens',
  'audio_input_tokens',
  'image_input_tokens',
  'output_tokens',
  'reasoning_tokens',
  'audio_output_tokens',
  'image_output_tokens',
  'web_search_requests',
  'cost_nano_usd',
] as const

export type Group = (typeof GROUPS)[number]

export interface TotalsRequest {
  filter: EventFilter
  group_by: readonly Group[]
  /** Keys of metadata whose values are told apart, too. */
  group_by_metadata: readonly string[]
  /** Starts of the windows that events are sorted into: ascending, the first not after any event. */
  starts: number[]
  /** Most rows. */
  limit: number
}

export interface Totals extends Pick<UsageEventRow, (typeof SUMS)[number]>, Partial<Pick<UsageEventRow, Group>> {
  /** The values of `group_by_metadata`; null where an event has none. */
  metadata?: Record<string, unknown>
  /** Which of `starts`. */
  window: number
  /** How many events. */
  events: number
}

/** One row for each window and group that has events, in their order. Sums are exact up to 2^53. */
export async function sumEvents(db: Database, request: TotalsRequest): Promise<Totals[]> {
  const { filter, group_by, group_by_metadata, starts, limit } = request
  const window = (starts.length > 1 ? windowAmong(starts) : sql<number>`0`).as('window')
  const columns = Object.fromEntries(group_by.map((name) => [name, usageEvents[name]])) as Pick<UsageEvents, Group>
  const metadata = Object.fromEntries(group_by_metadata.map((key, i) => [key, metadataAt(key, `metadata_${i}`)]))
  const groups = [window, ...Object.values(columns), ...Object.values(metadata)]
  return db
    .select({ window, ...columns, ...(group_by_metadata.length > 0 && { metadata }), events: count(), ...SUM_COLUMNS })
    .from(usageEvents)
    .where(await matches(db, filter))
    .groupBy(...groups)
    .orderBy(...groups)
    .limit(limit)
}

/** Not for a single window: Postgres would expect as many values as there are distinct instants, and sort all events. */
const windowAmong = (starts: number[]) => {
  const instants = `{${starts.map((start) => new Date(start).toISOString()).join()}}`
  return sql<number>`width_bucket(${usageEvents.occurred_at}, ${instants}::timestamptz[]) - 1`
}

const metadataAt = (key: string, name: string) =>
  sql<unknown>`nullif(${usageEvents.metadata} -> ${key}::text, 'null')`.as(name)

type UsageEvents = typeof usageEvents

// Postgres sums bigint to a decimal text.
const SUM_COLUMNS = Object.fromEntries(
  SUMS.map((name) => [name, sql`sum(${usageEvents[name]})`.mapWith(Number)]),
) as Record<(typeof SUMS)[number], SQL<number>>
