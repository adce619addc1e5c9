// The tables in Postgres, as drizzle sees them. Postgres holds the truth about configuration and the record of every
// call; what a user may still spend is the ledger's to say. Instants are kept to the millisecond, as JavaScript has them.
// Lists run newest first by reading an ascending index backwards (drizzle-kit's `desc` says `nulls last`, which
// `order by ... desc` could not use).

import { sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  bigint,
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import {
  CAP_TYPES,
  KEY_SCOPES,
  ON_EXCEED,
  OUTCOMES,
  USAGE_SOURCES,
  USER_STATUSES,
} from '../../durable-objects/ledger/types.ts'
import type { GivenPrice } from '../pricing/override.ts'

const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' })
const count = (name: string) => bigint(name, { mode: 'number' })
const createdAt = () => instant('created_at').notNull().defaultNow()
const updatedAt = () => instant('updated_at').notNull().defaultNow()
const isOneOf = (column: AnyPgColumn, names: readonly string[]) =>
  sql`${column} in (${sql.raw(names.map((name) => `'${name}'`).join(', '))})`

/** `version` counts every change that the user's ledger must know. (`issuer`, `subject`) name the user in JWTs. */
export const users = pgTable(
  'users',
  {
    id: uuid('id').primaryKey(),
    name: text('name').notNull(),
    email: text('email'),
    issuer: text('issuer'),
    subject: text('subject'),
    time_zone: text('time_zone').notNull().default('UTC'),
    status: text('status', { enum: USER_STATUSES }).notNull().default('active'),
    version: count('version').notNull().default(1),
    created_at: createdAt(),
    updated_at: updatedAt(),
  },
  (table) => [
    unique('users_issuer_subject').on(table.issuer, table.subject),
    index('users_newest').on(table.created_at, table.id),
    check('users_status', isOneOf(table.status, USER_STATUSES)),
  ],
)

/** Nothing secret. A key ends at `expires_at` or `revoked_at`, whichever comes first; the latter may lie ahead. */
export const apiKeys = pgTable(
  'api_keys',
  {
    id: uuid('id').primaryKey(),
    user_id: uuid('user_id')
      .notNull()
      .references(() => users.id),
    name: text('name').notNull(),
    last_four: text('last_four').notNull(),
    scopes: text('scopes', { enum: KEY_SCOPES }).array().notNull(),
    expires_at: instant('expires_at'),
    revoked_at: instant('revoked_at'),
    created_at: createdAt(),
  },
  (table) => [index('api_keys_user').on(table.user_id, table.created_at, table.id)],
)

const capColumns = {
  limit_requests: count('limit_requests'),
  limit_tokens: count('limit_tokens'),
  limit_cost_nano_usd: count('limit_cost_nano_usd'),
  on_exceed: text('on_exceed', { enum: ON_EXCEED }).notNull().default('clamp'),
  is_active: boolean('is_active').notNull().default(true),
  created_at: createdAt(),
  updated_at: updatedAt(),
}

/** One cap per user and window; null is "not limited", and at least one dimension is limited. */
export const caps = pgTable(
  'caps',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    user_id: uuid('user_id')
      .notNull()
      .references(() => users.id),
    cap_type: text('cap_type', { enum: CAP_TYPES }).notNull(),
    ...capColumns,
  },
  (table) => [
    unique('caps_user_cap_type').on(table.user_id, table.cap_type),
    check('caps_cap_type', isOneOf(table.cap_type, CAP_TYPES)),
    check('caps_on_exceed', isOneOf(table.on_exceed, ON_EXCEED)),
    check('caps_limited', sql`num_nonnulls(limit_requests, limit_tokens, limit_cost_nano_usd) > 0`),
    check('caps_not_negative', sql`least(limit_requests, limit_tokens, limit_cost_nano_usd) >= 0`),
  ],
)

/** What a new user's caps are copied from. */
export const defaultCaps = pgTable(
  'default_caps',
  { cap_type: text('cap_type', { enum: CAP_TYPES }).primaryKey(), ...capColumns },
  (table) => [
    check('default_caps_cap_type', isOneOf(table.cap_type, CAP_TYPES)),
    check('default_caps_on_exceed', isOneOf(table.on_exceed, ON_EXCEED)),
    check('default_caps_limited', sql`num_nonnulls(limit_requests, limit_tokens, limit_cost_nano_usd) > 0`),
    check('default_caps_not_negative', sql`least(limit_requests, limit_tokens, limit_cost_nano_usd) >= 0`),
  ],
)

/**
 * One row per call; the fields are those of `UsageEvent`. Partitioned by month of `occurred_at` (drizzle-kit cannot say
 * so: see the migration). No foreign keys and no checks, so that no change of configuration can refuse an event.
 */
export const usageEvents = pgTable(
  'usage_events',
  {
    id: uuid('id').notNull(),
    occurred_at: instant('occurred_at').notNull(),
    settled_at: instant('settled_at').notNull(),
    /** When Postgres last got the event, by its own clock. */
    recorded_at: instant('recorded_at').notNull().defaultNow(),
    user_id: uuid('user_id').notNull(),
    key_id: uuid('key_id'),
    provider: text('provider').notNull(),
    operation: text('operation').notNull(),
    method: text('method').notNull(),
    path: text('path').notNull(),
    request_model: text('request_model'),
    response_model: text('response_model'),
    stream: boolean('stream').notNull(),
    brings_own_key: boolean('brings_own_key').notNull().default(false),
    status: integer('status'),
    outcome: text('outcome', { enum: OUTCOMES }).notNull(),
    usage_source: text('usage_source', { enum: USAGE_SOURCES }).notNull(),
    error_class: text('error_class'),
    overrun: boolean('overrun').notNull(),
    revision: integer('revision').notNull(),
    latency_ms: count('latency_ms'),
    time_to_first_byte_ms: count('time_to_first_byte_ms'),
    requests: count('requests').notNull(),
    input_tokens: count('input_tokens').notNull(),
    cached_input_tokens: count('cached_input_tokens').notNull(),
    cache_write_5m_tokens: count('cache_write_5m_tokens').notNull(),
    cache_write_1h_tokens: count('cache_write_1h_tokens').notNull(),
    audio_input_tokens: count('audio_input_tokens').notNull(),
    image_input_tokens: count('image_input_tokens').notNull().default(0),
    output_tokens: count('output_tokens').notNull(),
    reasoning_tokens: count('reasoning_tokens').notNull(),
    audio_output_tokens: count('audio_output_tokens').notNull(),
    image_output_tokens: count('image_output_tokens').notNull().default(0),
    web_search_requests: count('web_search_requests').notNull(),
    clamped_output_tokens: count('clamped_output_tokens'),
    cost_nano_usd: count('cost_nano_usd').notNull(),
    priced_as: text('priced_as'),
    price_source: text('price_source'),
    service_tier: text('service_tier'),
    provider_request_id: text('provider_request_id'),
    job_id: text('job_id'),
    batch_id: text('batch_id'),
    session_id: text('session_id'),
    metadata: jsonb('metadata').$type<Record<string, unknown>>(),
  },
  (table) => [
    primaryKey({ columns: [table.id, table.occurred_at] }),
    index('usage_events_newest').on(table.occurred_at, table.id),
    index('usage_events_user').on(table.user_id, table.occurred_at, table.id),
    index('usage_events_recorded').on(table.recorded_at, table.id),
    // For what few events have and people search for: without an index, a search that finds little reads the whole table.
    index('usage_events_job').on(table.job_id, table.occurred_at, table.id).where(sql`${table.job_id} is not null`),
    index('usage_events_batch')
      .on(table.batch_id, table.occurred_at, table.id)
      .where(sql`${table.batch_id} is not null`),
    index('usage_events_session')
      .on(table.session_id, table.occurred_at, table.id)
      .where(sql`${table.session_id} is not null`),
    index('usage_events_error')
      .on(table.error_class, table.occurred_at, table.id)
      .where(sql`${table.error_class} is not null`),
    index('usage_events_metadata')
      .using('gin', table.metadata.op('jsonb_path_ops'))
      .where(sql`${table.metadata} is not null`),
    index('usage_events_overrun').on(table.occurred_at, table.id).where(sql`${table.overrun}`),
    index('usage_events_unpriced').on(table.occurred_at, table.id).where(sql`${table.price_source} = 'none'`),
    index('usage_events_held').on(table.occurred_at, table.id).where(sql`${table.usage_source} = 'hold'`),
  ],
)

/**
 * Prices that admins have set. A row never changes, except that it ends: a change adds one and ends the old one, so that
 * the id that an event names (`price_source`) says forever what was applied. Those in force or to come are not ended.
 */
export const prices = pgTable(
  'prices',
  {
    id: uuid('id').primaryKey(),
    provider: text('provider').notNull(),
    model: text('model').notNull(),
    effective_from: instant('effective_from').notNull(),
    price: jsonb('price').$type<GivenPrice>().notNull(),
    note: text('note'),
    created_at: createdAt(),
    created_by: text('created_by').notNull(),
    ended_at: instant('ended_at'),
    ended_by: text('ended_by'),
    /** The row that took this one's place; null for one that was deleted. */
    replaced_by: uuid('replaced_by'),
  },
  (table) => [
    uniqueIndex('prices_version')
      .on(table.provider, sql`lower(${table.model})`, table.effective_from)
      .where(sql`${table.ended_at} is null`),
    index('prices_newest').on(table.created_at, table.id),
    check('prices_ended', sql`(${table.ended_at} is null) = (${table.ended_by} is null)`),
  ],
)

export type PriceRow = typeof prices.$inferSelect
export type UserRow = typeof users.$inferSelect
export type ApiKeyRow = typeof apiKeys.$inferSelect
export type CapRow = typeof caps.$inferSelect
export type DefaultCapRow = typeof defaultCaps.$inferSelect
export type UsageEventRow = typeof usageEvents.$inferSelect
