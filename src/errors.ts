// Every refusal of Tollgate's own, as a value. How it becomes a response is each dialect's business.

import type { LimitState } from '../durable-objects/ledger/types.ts'

/** Stable codes, and the HTTP status that REST answers with (a provider's dialect may use another). */
export const ERROR_STATUS = {
  invalid_request: 400,
  invalid_header: 400,
  unpriced_model: 400,
  unbounded_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  websocket_refused: 426,
  cap_exceeded: 429,
  cap_busy: 429,
  internal_error: 500,
  upstream_unreachable: 502,
  ledger_unavailable: 503,
  not_recorded: 503,
  database_unavailable: 503,
  keys_unavailable: 503,
  prices_unavailable: 503,
  not_configured: 503,
  not_yet_in_force: 503,
  upstream_timeout: 504,
} as const

export type ErrorCode = keyof typeof ERROR_STATUS

/** What a refused call is told about the cap that refused it. */
export interface CapFacts {
  cap_type: LimitState['cap_type']
  limit_type: LimitState['limit_type']
  /** Of the four amounts: US cents for a cost, which may be fractional. */
  unit: 'requests' | 'tokens' | 'cents'
  current_usage: number
  /** How much of it is held for calls in flight: what they do not use becomes free again. */
  in_flight: number
  limit: number
  /** The smallest amount that would have been of use to this call. */
  requested: number
  /** ISO 8601; null where waiting does not help. */
  reset_time: string | null
  retry_after_seconds: number | null
}

export interface GatewayError {
  code: ErrorCode
  message: string
  /** The field, header or path parameter at fault, as a path (`messages[0].content`). */
  field?: string
  cap?: CapFacts
  /** For problem documents: one entry per fault. */
  errors?: { field: string; message: string }[]
}

/** What every error says beside the words of its dialect. */
export function factsOf({ field, cap, errors }: GatewayError): Pick<GatewayError, 'field' | 'cap' | 'errors'> {
  return { ...(field !== undefined && { field }), ...(cap && { cap }), ...(errors && { errors }) }
}

/** What to log of an exception: its innermost cause, as outer errors repeat a SQL statement with all its values. */
export function rootCause(error: unknown): unknown {
  let cause = error
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause
  return cause
}

/** Tells a refusal from a value that was read. Not for an object of the client's own, which could look like a refusal. */
export function isRefusal(read: unknown): read is GatewayError {
  if (typeof read !== 'object' || read === null) return false
  return 'code' in read && 'message' in read && typeof read.code === 'string' && read.code in ERROR_STATUS
}
