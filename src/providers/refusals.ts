// What the dialects share when Tollgate says no, and the operations that cost nothing. Pure.

import type { ErrorCode, GatewayError } from '../errors.ts'
import { UNREAD } from './answer.ts'
import type { Metered, Operation } from './dialect.ts'

/** Nothing was forwarded and a moment may mend it. All else is not to be repeated: it may be billed twice, or is vain. */
const RETRYABLE: ReadonlySet<ErrorCode> = new Set(['ledger_unavailable', 'database_unavailable', 'not_yet_in_force'])

/** A client that obeys a longer `retry-after` hangs; the whole truth is in the cap's facts. */
const MAX_RETRY_AFTER_SECONDS = 60

/** Official SDKs retry 408, 409, 429 and 5xx by themselves unless `x-should-retry` forbids it. */
export function refusalHeaders(error: GatewayError): Headers {
  const headers = new Headers({ 'cache-control': 'no-store' })
  if (!RETRYABLE.has(error.code)) headers.set('x-should-retry', 'false')
  const seconds = error.cap?.retry_after_seconds ?? null
  if (seconds !== null && seconds <= MAX_RETRY_AFTER_SECONDS) headers.set('retry-after', String(Math.ceil(seconds)))
  return headers
}

/** An operation that uses no tokens and costs nothing; it counts as a request. */
export function unmetered(name: string, path: string, method: Operation['method'] = 'GET'): Operation {
  const metered: Metered = { ...UNREAD, complete: true, may_hide_output: false }
  return { name, method, path, readBound: null, meter: () => ({ push() {}, end: () => metered }) }
}
