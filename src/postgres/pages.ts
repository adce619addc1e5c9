// Keyset pages, newest first: complete and without repeats under equal timestamps and while rows are added.

import { type Column, type SQL, sql } from 'drizzle-orm'

/** A row's place in a list. */
export interface Position {
  at_ms: number
  id: string
  /** Where several rows may have one id. */
  then_ms?: number
}

export interface PageRequest {
  limit: number
  /** The last row of the page before; null for the first page. */
  after: Position | null
}

export interface Page<Row> {
  rows: Row[]
  /** Null where this is the last page. */
  next: Position | null
}

/** `then` tells rows of one id apart. */
export function isAfter(at: Column, id: Column, { after }: PageRequest, then?: Column): SQL | undefined {
  if (!after) return undefined
  const [last, lastId] = [instant(after.at_ms), sql`${after.id}::uuid`]
  if (!then || after.then_ms === undefined) return sql`(${at}, ${id}) < (${last}, ${lastId})`
  return sql`(${at}, ${id}, ${then}) < (${last}, ${lastId}, ${instant(after.then_ms)})`
}

export const instant = (ms: number) => sql`${new Date(ms).toISOString()}::timestamptz`

/** `rows` is what was read with a limit of one more than the page has. */
export function pageOf<Row extends { id: string }>(
  rows: Row[],
  limit: number,
  atOf: (row: Row) => Date,
  thenOf?: (row: Row) => Date,
): Page<Row> {
  const shown = rows.slice(0, limit)
  const last = rows.length > limit ? shown.at(-1) : undefined
  if (!last) return { rows: shown, next: null }
  const next = { at_ms: atOf(last).getTime(), id: last.id }
  return { rows: shown, next: thenOf ? { ...next, then_ms: thenOf(last).getTime() } : next }
}
