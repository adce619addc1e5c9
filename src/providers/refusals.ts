// What the dialects share when Tollgate says no, and the operations that cost nothing. Pure.

import { ERROR_STATUS, type ErrorCode, type GatewayError } from '../errors.ts'
import { UNREAD } from './answer.ts'
import type { Metered, Operation } from './dialect.ts'

/** Nothing was forwarded, and a moment later it may work. All else might be billed twice, or would fail again. */
const RETRYABLE: ReadonlySet<ErrorCode> = new Set([
  'cap_busy',
  'ledger_unavailable',
  'database_unavailable',
  'prices_unavailable',
  'keys_unavailable',
  'not_yet_in_force',
])

/** A client that obeyed a longer `retry-after` would hang; the full time is in the cap's facts. */
const MAX_RETRY_AFTER_SECONDS = 60

export const isRetryable = ({ code }: GatewayError): boolean => RETRYABLE.has(code)

/** @param of_cap the dialect's own status for an exceeded cap, where the operator chose none (`cap_status`). */
export function statusOf(
  { code }: GatewayError,
  cap_status: number | undefined,
  of_cap: number = ERROR_STATUS.cap_exceeded,
): number {
  return code === 'cap_exceeded' ? (cap_status ?? of_cap) : ERROR_STATUS[code]
}

/** As `statusOf`, for clients that ask again at any 5xx, whatever its headers say: a 424 where it might be billed twice. */
export function statusNotRepeated(error: GatewayError, cap_status: number | undefined): number {
  const status = statusOf(error, cap_status)
  return status >= 500 && !isRetryable(error) ? 424 : status
}

/**
 * A refusal in a dialect's own words. Official SDKs retry 408, 409, 429 and 5xx by themselves unless `x-should-retry`
 * forbids it.
 *
 * @param own the dialect's headers: its request id.
 */
export function refusal(error: GatewayError, status: number, body: object, own: Record<string, string>): Response {
  const headers = new Headers({ 'cache-control': 'no-store', ...own })
  if (!isRetryable(error)) headers.set('x-should-retry', 'false')
  // A 401 must name a scheme (RFC 9110, 15.5.2): every dialect takes this one, beside its own header.
  if (status === 401) headers.set('www-authenticate', 'Bearer')
  const seconds = error.cap?.retry_after_seconds ?? null
  if (seconds !== null && seconds <= MAX_RETRY_AFTER_SECONDS) headers.set('retry-after', String(Math.ceil(seconds)))
  return Response.json(body, { status, headers })
}

/** An operation that Tollgate knows and refuses, with its reason. */
export function refused(name: string, path: string, message: string): Operation {
  return { ...unmetered(name, path), readBound: () => ({ code: 'not_found', message }) }
}

/** A list of what is in the provider's account, which all callers share. */
export function refusedList(name: string, path: string, what: string): Operation {
  const message = `${what} cannot be listed through Tollgate. It would show what other callers of this account have.`
  return refused(name, path, message)
}

/** An operation that uses no tokens and costs nothing; it counts as a request. */
export function unmetered(name: string, path: string, method: Operation['method'] = 'GET'): Operation {
  const metered: Metered = { ...UNREAD, complete: true, may_hide_output: false }
  return { name, method, path, readBound: null, meter: () => () => ({ push() {}, end: () => metered }) }
}
