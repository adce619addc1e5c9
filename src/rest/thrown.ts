// What was thrown inside the REST routes, as the client may know it. Pure.

import { HTTPException } from 'hono/http-exception'
import type { GatewayError } from '../errors.ts'
import { GatewayFault } from '../fault.ts'
import { isDatabaseDown } from '../postgres/client.ts'

/** Faults say what they are, a broken database is a 503, all else a bug. */
export function gatewayErrorOf(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayFault) return thrown.error
  if (thrown instanceof HTTPException) return ofHttpException(thrown)
  if (isDatabaseDown(thrown))
    return { code: 'database_unavailable', message: 'The database does not answer. Try again.' }
  return { code: 'internal_error', message: 'Something went wrong inside Tollgate.' }
}

/** What Hono itself refuses. */
function ofHttpException({ status, message }: HTTPException): GatewayError {
  if (status === 413) return { code: 'payload_too_large', message: 'The request body is too large.' }
  if (status === 415)
    return { code: 'unsupported_media_type', message: 'Send the body as JSON.', field: 'content-type' }
  if (status < 500) return { code: 'invalid_request', message: message || 'The request is not valid.' }
  return { code: 'internal_error', message: 'Something went wrong inside Tollgate.' }
}
