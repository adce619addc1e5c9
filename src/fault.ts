// A refusal as an exception, for where a value cannot be returned.

import { type GatewayError, isRefusal } from './errors.ts'
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

/** What was read, or its refusal thrown. */
export function accepted<T>(read: T | GatewayError): T {
  if (isRefusal(read)) throw new GatewayFault(read)
  return read
}
