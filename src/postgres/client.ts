// Drizzle over Neon's driver, and what the errors of Postgres mean.

import { DrizzleQueryError } from 'drizzle-orm'
import { drizzle, type NeonHttpDatabase } from 'drizzle-orm/neon-http'
import { type DatabaseConfig, openSql } from './sql.ts'

export type Database = NeonHttpDatabase

/** No connection is made here: each query is a request of its own, and `batch` is one transaction. */
export function openDatabase(config: DatabaseConfig): Database {
  return drizzle(openSql(config))
}

function* causes(error: unknown): Generator<Error> {
  for (let cause = error; cause instanceof Error; cause = cause.cause) yield cause
}

/** What Postgres's error says under this name; null where no cause says it. */
function saidOf(error: unknown, name: 'constraint' | 'routine'): string | null {
  for (const cause of causes(error)) {
    const said: unknown = Reflect.get(cause, name)
    if (typeof said === 'string') return said
  }
  return null
}

/** Postgres's five-character code of the error (SQLSTATE); null where Postgres never answered. */
export function sqlState(error: unknown): string | null {
  for (const cause of causes(error)) {
    if (cause.name === 'NeonDbError' && 'code' in cause && typeof cause.code === 'string') return cause.code
  }
  return null
}

/** The constraint that was violated; null where none was. */
export const violatedConstraint = (error: unknown): string | null => saidOf(error, 'constraint')

/**
 * Functions of Postgres's source, the same in every language, that raise an error where Postgres itself has run out of
 * transaction ids: it says 54000, too, which is no fault of the values.
 */
const OUT_OF_IDS = /^GetNew/

/** Whether Postgres refuses the values themselves (classes 22 and 23; 54: too long for an index), however often they are sent. */
export function isDataError(error: unknown): boolean {
  return /^(2[23]|54)/.test(sqlState(error) ?? '') && !OUT_OF_IDS.test(saidOf(error, 'routine') ?? '')
}

/** Whether the database is unreachable, broken or not migrated: any of its errors except those of the values. */
export function isDatabaseDown(error: unknown): boolean {
  if (isDataError(error)) return false
  for (const cause of causes(error)) {
    if (cause instanceof DrizzleQueryError || cause.name === 'NeonDbError') return true
  }
  return false
}

/** What Postgres says at the end of its own `statement_timeout`. */
const QUERY_CANCELED = '57014'

/** Whether the statement ran out of time: the database is away, or has too much to look at. */
export function isTimeout(error: unknown): boolean {
  if (sqlState(error) === QUERY_CANCELED) return true
  for (const cause of causes(error)) {
    if ('sourceError' in cause && cause.sourceError instanceof Error) return cause.sourceError.name === 'TimeoutError'
  }
  return false
}
