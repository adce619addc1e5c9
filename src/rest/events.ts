// Usage events as the API shows and filters them.

import { z } from '@hono/zod-openapi'
import { OUTCOMES, USAGE_SOURCES } from '../../durable-objects/ledger/types.ts'
import type { EventFilter } from '../postgres/events.ts'
import type { Page } from '../postgres/pages.ts'
import type { UsageEventRow } from '../postgres/schema.ts'
import { isStorableText } from '../postgres/storable-text.ts'
import { FIXED_PRICE_SOURCES } from '../pricing/price.ts'
import { parseJsonOrUndefined } from '../providers/answer.ts'
import { repeatedName } from '../providers/json-text.ts'
import { costView } from './amounts.ts'
import { id, pageQuery, pageSchema, pageView, queryInstant, text, truth } from './fields.ts'

const label = text(512).optional()

const FIXED = FIXED_PRICE_SOURCES.join('|')
const UUID = '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}'
const priceSource = z
  .string()
  .regex(
    new RegExp(`^(${FIXED}|override:${UUID})$`),
    `must be one of ${FIXED_PRICE_SOURCES.join(', ')}, or override: and the id of a price`,
  )
  .toLowerCase()

const status = z
  .string()
  .regex(/^[1-9]\d\d$/, 'must be an HTTP status')
  .transform(Number)
  .openapi({ type: 'integer', minimum: 100, maximum: 999 })

const plainText = z.string().refine(isStorableText, 'must not contain NUL or lone surrogates')
const metadataValue = z.union(
  [plainText, z.number(), z.boolean(), z.null()],
  'must be a text, a number, true, false or null',
)
const MOST_METADATA = 2_048
const metadata = z
  .string()
  .max(MOST_METADATA)
  .transform((text, context) => {
    const given = parseJsonOrUndefined(text)
    const repeated = given === undefined ? '' : repeatedName(text)
    if (repeated !== '') context.addIssue({ code: 'custom', path: [repeated], message: 'occurs more than once' })
    return given
  })
  // A record would leave this name out, and the filter match more than it says. No event has it.
  .refine((given) => !Object.hasOwn(Object(given), '__proto__'), {
    path: ['__proto__'],
    message: 'is a name that no metadata has',
  })
  .pipe(z.record(plainText, metadataValue, 'must be a flat JSON object'))

/** What narrows events down, by query parameter. */
export const eventFilters = {
  id: id.optional().openapi({ description: 'The `x-tollgate-request-id` of a call.' }),
  key_id: id.optional(),
  provider: label,
  operation: label,
  model: label.openapi({ description: 'As asked for or as answered.' }),
  outcome: z.enum(OUTCOMES).optional(),
  usage_source: z.enum(USAGE_SOURCES).optional(),
  status: status.optional().openapi({ description: "The provider's HTTP status, else that of Tollgate's error." }),
  error_class: label,
  overrun: truth.optional().openapi({ description: 'True: calls that used more than was held for them.' }),
  brings_own_key: truth
    .optional()
    .openapi({ description: "True: calls that the provider bills to the caller's own account." }),
  price_source: priceSource.optional().openapi({ description: '`none`: the model has no price.' }),
  job_id: label,
  batch_id: label,
  session_id: label,
  metadata: metadata.optional().openapi({
    type: 'string',
    maxLength: MOST_METADATA,
    description: 'A flat JSON object: events whose `x-tollgate-metadata` has all of it.',
    example: '{"team":"search"}',
  }),
  from: queryInstant.optional().openapi({ description: 'Inclusive.' }),
  to: queryInstant.optional().openapi({ description: 'Exclusive.' }),
  recorded_from: queryInstant
    .optional()
    .openapi({ description: 'Inclusive, of `recorded_at`, by which events are then listed.' }),
  recorded_to: queryInstant
    .optional()
    .openapi({ description: 'Exclusive, of `recorded_at`, by which events are then listed.' }),
} satisfies Record<Exclude<keyof EventFilter, 'user_id'>, z.ZodType>

type Times = Partial<Record<'from' | 'to' | 'recorded_from' | 'recorded_to', Date | undefined>>

/** Refuses a query whose time ends before it begins. */
export const inOrder = <Query extends z.ZodType<Times>>(query: Query) =>
  query
    .refine(({ from, to }) => !from || !to || from < to, { path: ['to'], message: 'must be later than from' })
    .refine(({ recorded_from: from, recorded_to: to }) => !from || !to || from < to, {
      path: ['recorded_to'],
      message: 'must be later than recorded_from',
    })

/** Query of a user's own events. */
export const ownEventsQuery = inOrder(z.strictObject({ ...eventFilters, ...pageQuery }))

/** Query of everybody's events. */
export const eventsQuery = inOrder(z.strictObject({ ...eventFilters, ...pageQuery, user_id: id.optional() }))

const tokens = z.int()
const optionalText = z.string().nullable()

export const eventSchema = z
  .object({
    id: z.guid(),
    occurred_at: z.iso.datetime(),
    settled_at: z.iso.datetime(),
    recorded_at: z.iso.datetime().openapi({ description: 'When Postgres last got the event: what an export goes by.' }),
    user_id: z.guid(),
    key_id: z.guid().nullable(),
    provider: z.string(),
    operation: z.string(),
    method: z.string(),
    path: z.string(),
    request_model: optionalText,
    response_model: optionalText,
    stream: z.boolean(),
    brings_own_key: z.boolean(),
    status: z.int().nullable(),
    outcome: z.enum(OUTCOMES),
    usage_source: z.enum(USAGE_SOURCES),
    error_class: optionalText,
    overrun: z.boolean(),
    revision: z.int(),
    latency_ms: z.int().nullable(),
    time_to_first_byte_ms: z.int().nullable(),
    requests: z.int(),
    input_tokens: tokens,
    cached_input_tokens: tokens,
    cache_write_5m_tokens: tokens,
    cache_write_1h_tokens: tokens,
    audio_input_tokens: tokens,
    image_input_tokens: tokens,
    output_tokens: tokens,
    reasoning_tokens: tokens,
    audio_output_tokens: tokens,
    image_output_tokens: tokens,
    web_search_requests: z.int(),
    clamped_output_tokens: tokens.nullable(),
    cost_nano_usd: z.int(),
    cost_cents: z.number(),
    cost_usd: z.number(),
    priced_as: optionalText,
    price_source: optionalText,
    service_tier: optionalText,
    provider_request_id: optionalText,
    job_id: optionalText,
    batch_id: optionalText,
    session_id: optionalText,
    metadata: z.record(z.string(), z.unknown()).nullable(),
  } satisfies Record<keyof ReturnType<typeof eventView>, z.ZodType>)
  .openapi('UsageEvent')

export const eventsSchema = pageSchema(eventSchema)

export const eventsView = (page: Page<UsageEventRow>) => pageView(page, eventView)

function eventView(row: UsageEventRow) {
  return {
    ...row,
    occurred_at: row.occurred_at.toISOString(),
    settled_at: row.settled_at.toISOString(),
    recorded_at: row.recorded_at.toISOString(),
    ...costView(row.cost_nano_usd),
  }
}
