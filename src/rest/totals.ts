// Sums of usage events as the API takes their query and shows them: how much of what was used, by whom, and when.

import { z } from '@hono/zod-openapi'
import { CAP_TYPES, type CapType } from '../../durable-objects/ledger/types.ts'
import { windowOf } from '../../durable-objects/ledger/windows.ts'
import type { Database } from '../postgres/client.ts'
import type { EventFilter } from '../postgres/events.ts'
import { isStorableText } from '../postgres/storable-text.ts'
import { GROUPS, type Group, SUMS, sumEvents, type Totals } from '../postgres/totals.ts'
import { costView } from './amounts.ts'
import { eventFilters, eventSchema, inOrder } from './events.ts'
import { id, queryInstant, timeZone } from './fields.ts'
import { fieldFault } from './invalid-request.ts'

/** A month of hours. */
const MOST_WINDOWS = 750
const MOST_ROWS = 5_000
const MOST_METADATA_KEYS = 16

const groupBy = <const Name extends Group>(names: readonly Name[]) =>
  z
    .string()
    .transform((given) => new Set(given.split(',')))
    .refine((given) => [...given].every(isOneOf(names)), `must be of ${names.join(', ')}, separated by commas`)
    .transform((given) => names.filter((name) => given.has(name)))
    .optional()
    .openapi({
      type: 'string',
      description: `Fields to group by, separated by commas: of ${names.join(', ')}.`,
      example: 'provider,request_model',
    })

const metadataKeys = z
  .string()
  .transform((given) => [...new Set(given.split(','))])
  .refine((given) => given.every(isMetadataKey), 'must be keys of metadata, separated by commas')
  .refine((given) => given.length <= MOST_METADATA_KEYS, `must be at most ${MOST_METADATA_KEYS} keys`)
  .optional()
  .openapi({
    type: 'string',
    description:
      'Keys of `x-tollgate-metadata` to group by, separated by commas. One that contains a comma cannot be named.',
    example: 'team,project',
  })

/** No metadata has `__proto__`, and no answer could show it. */
const isMetadataKey = (key: string) => key !== '' && key !== '__proto__' && isStorableText(key)

const isOneOf = (names: readonly string[]) => (name: string) => names.includes(name)

const query = {
  ...eventFilters,
  from: queryInstant.openapi({ description: 'Inclusive.', example: '2026-01-01T00:00:00Z' }),
  to: queryInstant.openapi({ description: 'Exclusive.', example: '2026-02-01T00:00:00Z' }),
  window: z
    .enum(CAP_TYPES)
    .default('total')
    .openapi({ description: `Splits the sums into windows like those of caps, at most ${MOST_WINDOWS}.` }),
  group_by_metadata: metadataKeys,
}
const OWN_GROUPS = GROUPS.filter((name) => name !== 'user_id')

/** Query of what a user has used. */
export const ownTotalsQuery = inOrder(
  z.strictObject({
    ...query,
    group_by: groupBy(OWN_GROUPS),
    time_zone: timeZone
      .optional()
      .openapi({ description: 'IANA time zone in which windows begin. Default: your own.' }),
  }),
)

/** Query of what everybody has used. */
export const totalsQuery = inOrder(
  z.strictObject({
    ...query,
    user_id: id.optional(),
    group_by: groupBy(GROUPS),
    time_zone: timeZone.default('UTC').openapi({ description: 'IANA time zone in which windows begin.' }),
  }),
)

const each = <Name extends string>(names: readonly Name[]) =>
  Object.fromEntries(names.map((name) => [name, true])) as Record<Name, true>

const totalsRow = eventSchema
  .pick(each(GROUPS))
  .partial()
  .extend({
    window_start: z.iso.datetime().optional(),
    metadata: eventSchema.shape.metadata.unwrap().optional(),
    events: z.int(),
    tokens: z.int().openapi({ description: 'Input and output.' }),
    ...eventSchema.pick(each(SUMS)).shape,
    cost_cents: z.number(),
    cost_usd: z.number(),
  })
  .openapi('UsageTotals', {
    description:
      'Has `window_start` unless `window` is `total`, and the `group_by` fields and `metadata` keys that were asked for.',
  })

export const totalsSchema = z.object({ time_zone: z.string(), data: z.array(totalsRow) })

export interface TotalsQuery extends EventFilter {
  from: Date
  to: Date
  window: CapType
  time_zone: string
  group_by?: Group[] | undefined
  group_by_metadata?: string[] | undefined
}

/**
 * A row for each window and group that has events, in their order.
 * @throws {GatewayFault} `invalid_request` where there are too many of either
 */
export async function totalsView(db: Database, query: TotalsQuery) {
  const { window, time_zone, group_by = [], group_by_metadata = [], ...filter } = query
  const starts = startsOf(window, time_zone, filter.from.getTime(), filter.to.getTime())
  const rows = await sumEvents(db, { filter, group_by, group_by_metadata, starts, limit: MOST_ROWS + 1 })
  if (rows.length > MOST_ROWS) {
    const field = group_by.length > 0 ? 'group_by' : 'group_by_metadata'
    throw fieldFault(field, `makes more than ${MOST_ROWS} rows: name fewer fields or filter more events out`)
  }
  return { time_zone, data: rows.map((row) => rowView(row, window === 'total' ? null : starts)) }
}

function startsOf(window: CapType, timeZone: string, from: number, to: number): number[] {
  const starts: number[] = []
  for (let at: number | null = from; at !== null && at < to; ) {
    if (starts.length === MOST_WINDOWS) {
      throw fieldFault('to', `must be at most ${MOST_WINDOWS} ${window} windows after from`)
    }
    const { start, end } = windowOf(window, timeZone, at)
    starts.push(start)
    at = end
  }
  return starts
}

function rowView({ window, ...row }: Totals, starts: number[] | null) {
  const start = starts?.[window]
  return {
    ...(start !== undefined && { window_start: new Date(start).toISOString() }),
    ...row,
    tokens: row.input_tokens + row.output_tokens,
    ...costView(row.cost_nano_usd),
  }
}
