// Schemas of the fields that several requests have. Pure but for `Intl`, which knows the time zones.

import { z } from '@hono/zod-openapi'
import { base64url } from 'jose'
import { isTimeZone } from '../../durable-objects/ledger/windows.ts'
import type { Page, PageRequest, Position } from '../postgres/pages.ts'
import { isStorableText } from '../postgres/storable-text.ts'

// The latest that both `timestamptz` and ISO 8601's four-digit years can say.
const LATEST_MS = Date.parse('9999-12-31T23:59:59.999Z')

const storable = (string: z.ZodString, most: number) =>
  string
    .min(1, 'must not be empty')
    .max(most, `must have at most ${most} characters`)
    .refine(isStorableText, 'must not contain NUL or lone surrogates')

/** One to `most` characters that Postgres can store. */
export const text = (most: number) => storable(z.string(), most)

/** White space around it is taken off. */
export const name = storable(z.string().trim(), 200)
export const email = z.email().max(320)

/** In lower case, as Postgres and the names of ledgers have it. */
export const id = z.uuid('must be a UUID').toLowerCase().openapi({ format: 'uuid' })

export const timeZone = text(64)
  .refine(isTimeZone, 'must be an IANA time zone')
  .openapi({ description: 'An IANA time zone.', example: 'Europe/Berlin' })

const INSTANT = 'must be an ISO 8601 date and time with Z or an offset'

const instantText = (fault: string) =>
  z.iso.datetime({ offset: true, error: fault }).refine(isInRange, 'must lie between 1970 and 9999')

/** ISO 8601 with `Z` or an offset. */
export const instant = instantText(INSTANT).transform((value) => new Date(value))
/**
 * An `instant` in a URL, where a plus sign is a space. A fraction of a millisecond is rounded up: events are at whole
 * milliseconds, so the same events lie before the result.
 */
export const queryInstant = instantText(`${INSTANT}, whose + is %2B in a URL`).transform(
  (value) => new Date(Math.min(Date.parse(value) + Number(FRACTION_OF_MS.test(value)), LATEST_MS)),
)

/** Digits beyond the millisecond, which `Date` ignores. */
const FRACTION_OF_MS = /\.\d{3}0*[1-9]/

/** A boolean in a URL. */
export const truth = z.enum(['true', 'false']).transform((value) => value === 'true')

function isInRange(value: string): boolean {
  const ms = Date.parse(value)
  return ms >= 0 && ms <= LATEST_MS
}

/** For fields whose null means that they are absent. */
export function withoutNulls<T>(fields: Record<string, T>): Record<string, NonNullable<T>> {
  return Object.fromEntries(
    Object.entries(fields).filter((field): field is [string, NonNullable<T>] => field[1] != null),
  )
}

const cursor = z
  .string()
  .max(200)
  .transform((value, context): Position => {
    const position = decodeCursor(value)
    if (position) return position
    context.addIssue({ code: 'custom', message: 'must be a next_cursor, unchanged' })
    return z.NEVER
  })

/** For routes without query parameters: what looks like a filter must not be ignored. */
export const noQuery = z.strictObject({})

const MOST_ROWS = 100
const rowsFault = `must be a whole number from 1 to ${MOST_ROWS}`

/** Query parameters of every list. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^\d{1,9}$/, rowsFault)
    .transform(Number)
    .pipe(z.int().min(1, rowsFault).max(MOST_ROWS, rowsFault))
    .default(50)
    .openapi({ type: 'integer', minimum: 1, maximum: MOST_ROWS, default: 50 }),
  cursor: cursor.optional(),
}

export function pageRequest(query: { limit: number; cursor?: Position | undefined }): PageRequest {
  return { limit: query.limit, after: query.cursor ?? null }
}

const nextCursor = z.string().nullable().openapi({ description: 'For `cursor`; null on the last page.' })

/** The answer of every list that comes in pages. */
export const pageSchema = <S extends z.ZodType>(row: S) => z.object({ data: z.array(row), next_cursor: nextCursor })

export function pageView<Row, View>({ rows, next }: Page<Row>, view: (row: Row) => View) {
  return { data: rows.map(view), next_cursor: encodeCursor(next) }
}

/** Opaque to clients; needs no escaping in URLs. */
function encodeCursor(position: Position | null): string | null {
  if (!position) return null
  const { at_ms, id, then_ms } = position
  return base64url.encode(then_ms === undefined ? `${at_ms} ${id}` : `${at_ms} ${id} ${then_ms}`)
}

function decodeCursor(value: string): Position | null {
  if (!/^[\w-]+$/.test(value)) return null
  try {
    const text = new TextDecoder().decode(base64url.decode(value))
    const parts = /^(\d{1,15}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?: (\d{1,15}))?$/.exec(text)
    if (!parts?.[1] || !parts[2]) return null
    const [at_ms, then_ms] = [Number(parts[1]), Number(parts[3] ?? 0)]
    if (Math.max(at_ms, then_ms) > LATEST_MS) return null
    return parts[3] ? { at_ms, id: parts[2], then_ms } : { at_ms, id: parts[2] }
  } catch {
    return null
  }
}
