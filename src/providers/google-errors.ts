// Errors of Google's APIs (`google.rpc.Status` as JSON), which Gemini's SDK raises as ApiError, once.
// https://google.aip.dev/193 Pure.

import { type CapFacts, factsOf, type GatewayError } from '../errors.ts'
import type { JsonObject } from './dialect.ts'
import { refusal, statusNotRepeated } from './refusals.ts'

/** Google's names of HTTP statuses. Any other is an `INVALID_ARGUMENT`. */
const STATUS_NAME: Record<number, string> = {
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  424: 'FAILED_PRECONDITION',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
}

/** Waiting does not help. The longest duration that Google's APIs can say, ten thousand years. */
const NEVER_SECONDS = 315_576_000_000

/**
 * Gemini CLI tries a 429 again for minutes, unless it is told that the wait is longer.
 * https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
 */
function retryInfo({ retry_after_seconds }: CapFacts) {
  const retryDelay = `${retry_after_seconds ?? NEVER_SECONDS}s`
  return { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay }
}

export function googleError(error: GatewayError, code = statusNotRepeated(error, undefined)) {
  const isCap = error.code === 'cap_exceeded'
  return {
    error: {
      code,
      message: error.message,
      status: isCap ? 'RESOURCE_EXHAUSTED' : (STATUS_NAME[code] ?? 'INVALID_ARGUMENT'),
      reason: error.code,
      ...(error.cap && { details: [retryInfo(error.cap)] }),
      ...factsOf(error),
    },
  }
}

export function googleErrorResponse(error: GatewayError, request_id: string, cap_status?: number): Response {
  const status = statusNotRepeated(error, cap_status)
  return refusal(error, status, googleError(error, status), { 'x-request-id': request_id })
}

/** Google's own error as one of our stable classes. */
export function googleErrorClass({ code, status }: JsonObject): string {
  if (code === 429 || status === 'RESOURCE_EXHAUSTED') return 'upstream_rate_limited'
  if (code === 503 || status === 'UNAVAILABLE') return 'upstream_overloaded'
  return 'upstream_error'
}
