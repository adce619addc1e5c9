// Postgres as Neon's serverless driver reaches it (SQL over HTTP), and what its errors mean.

import { type NeonQueryFunction, neon, neonConfig } from '@neondatabase/serverless'
import { DrizzleQueryError } from 'drizzle-orm'
import { drizzle, type NeonHttpDatabase } from 'drizzle-orm/neon-http'

export type Database = NeonHttpDatabase

export interface DatabaseConfig {
  DATABASE_URL: string
  /** Where the database answers SQL over HTTP; unset for Neon, which the driver finds by itself. */
  DATABASE_HTTP_URL?: string | undefined
}

/** How long a statement may take, its way there and back included. */
const TIMEOUT_MS = 10_000

/** Makes a request, as `fetch` does. */
export type Via = (url: string, init: RequestInit) => Promise<Response>

interface FetchOptions {
  endpoint: string | undefined
  timeout_ms: number
  via: Via | undefined
}

// The driver knows one endpoint for the whole process. This one function serves every client: a client's own endpoint
// and timeout come along with each request. The body is read here, so that a timeout in it is the driver's error too.
neonConfig.fetchFunction = async (
  url: string,
  { endpoint, timeout_ms = TIMEOUT_MS, via = fetch, ...init }: RequestInit & Partial<FetchOptions>,
) => {
  // Not `AbortSignal.timeout`: its timer runs on after the answer, and with one a ledger cannot hibernate, which costs.
  const timeout = new AbortController()
  const timer = setTimeout(() => timeout.abort(new DOMException('no answer in time', 'TimeoutError')), timeout_ms)
  try {
    const response = await via(endpoint ?? url, { ...init, signal: timeout.signal })
    return new Response(await response.text(), { status: response.status })
  } finally {
    clearTimeout(timer)
  }
}

/** The bare driver: tagged templates, `query` and `transaction([...])`. */
export function openSql(config: DatabaseConfig, timeout_ms = TIMEOUT_MS, via?: Via): NeonQueryFunction<false, false> {
  const fetchOptions: FetchOptions = { endpoint: config.DATABASE_HTTP_URL, timeout_ms, via }
  return neon(config.DATABASE_URL, { fetchOptions, disableWarningInBrowsers: true })
}

/** No connection is made here: each query is a request of its own, and `batch` is one transaction. */
export function openDatabase(config: DatabaseConfig): Database {
  return drizzle(openSql(config))
}

function* causes(error: unknown): Generator<Error> {
  for (let cause = error; cause instanceof Error; cause = cause.cause) yield cause
}

/** Postgres's five-character code of the error (SQLSTATE); null where Postgres never answered. */
export function sqlState(error: unknown): string | null {
  for (const cause of causes(error)) {
    if (cause.name === 'NeonDbError' && 'code' in cause && typeof cause.code === 'string') return cause.code
  }
  return null
}

/** The constraint that refused; null where none did. */
export function violatedConstraint(error: unknown): string | null {
  for (const cause of causes(error)) {
    if ('constraint' in cause && typeof cause.constraint === 'string') return cause.constraint
  }
  return null
}

/** Whether Postgres refuses the values themselves (classes 22 and 23; 54: too long for an index), however often they are sent. */
export function isDataError(error: unknown): boolean {
  return /^(2[23]|54)/.test(sqlState(error) ?? '')
}

/** Whether the database is unreachable, broken, or not migrated: all that it reports but faults of the values. */
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
