// What was thrown inside the REST routes, as the client may know it. Pure.

import { HTTPException } from 'hono/http-exception'
import type { GatewayError } from '../errors.ts'
import { GatewayFault } from '../fault.ts'
import { isDatabaseDown, isTimeout, sqlState } from '../postgres/client.ts'

const TOO_SLOW = 'The database took too long. Try again; a list or a sum of usage events may need a narrower filter.'

/** A `GatewayFault` says what it is, a broken database is a 503, and all else is a bug. */
export function gatewayErrorOf(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayFault) return thrown.error
  if (thrown instanceof HTTPException && thrown.status < 500) return ofHttpException(thrown)
  if (isTimeout(thrown)) return { code: 'database_unavailable', message: TOO_SLOW }
  if (isDatabaseDown(thrown)) {
    const state = sqlState(thrown)
    const fault = state ? `answers with an error (SQLSTATE ${state})` : 'does not answer'
    return { code: 'database_unavailable', message: `The database ${fault}. Try again.` }
  }
  return { code: 'internal_error', message: 'Something went wrong inside Tollgate.' }
}

/** What Hono itself refuses of a request. */
function ofHttpException({ status, message }: HTTPException): GatewayError {
  if (status === 415)
    return { code: 'unsupported_media_type', message: 'Send the body as JSON.', field: 'content-type' }
  return { code: 'invalid_request', message: message || 'The request is not valid.' }
}
