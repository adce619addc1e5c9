// Keyset pages, newest first: complete and without repeats under equal timestamps and while rows are added.

import { type Column, type SQL, sql } from 'drizzle-orm'

/** A row's place in a list. */
export interface Position {
  at_ms: number
  id: string
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

export function isAfter(at: Column, id: Column, { after }: PageRequest): SQL | undefined {
  if (!after) return undefined
  return sql`(${at}, ${id}) < (${new Date(after.at_ms).toISOString()}::timestamptz, ${after.id}::uuid)`
}

/** `rows` is what was read with a limit of one more than the page has. */
export function pageOf<Row extends { id: string }>(rows: Row[], limit: number, atOf: (row: Row) => Date): Page<Row> {
  const shown = rows.slice(0, limit)
  const last = rows.length > limit ? shown.at(-1) : undefined
  return { rows: shown, next: last ? { at_ms: atOf(last).getTime(), id: last.id } : null }
}
