// A refusal as an exception, for where a value cannot be returned.

import { ERROR_STATUS, type GatewayError, isRefusal, rootCause } from './errors.ts'
import { problemResponse } from './problem.ts'

/** For code deep inside a handler; the error handler of the app turns it into a response. */
export class GatewayFault extends Error {
  readonly error: GatewayError

  constructor(error: GatewayError, options?: ErrorOptions) {
    super(error.message, options)
    this.name = 'GatewayFault'
    this.error = error
  }

  /** What Hono answers where an app has no error handler of its own. */
  getResponse(): Response {
    return problemResponse(this.error)
  }
}

/** Returns what was read; throws a refusal. */
export function accepted<T>(read: T | GatewayError): T {
  if (isRefusal(read)) throw new GatewayFault(read)
  return read
}

/**
 * Logs what is not the client's fault, with its cause and the id that the client was told. Leaves out what the operator has
 * not configured: the answer says it all, and repeated requests would fill the log.
 */
export function logFault(error: GatewayError, thrown: unknown, request_id: string | undefined): void {
  if (ERROR_STATUS[error.code] < 500 || error.code === 'not_configured') return
  const cause = rootCause(thrown)
  const stack = error.code === 'internal_error' && cause instanceof Error ? cause.stack : undefined
  console.error(JSON.stringify({ message: error.message, code: error.code, request_id, cause: String(cause), stack }))
}
