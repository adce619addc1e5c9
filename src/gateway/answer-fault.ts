// The end of a request that threw: a refusal of Tollgate's own, or a bug. Looks as the dialect's SDK expects it.

import type { GatewayError } from '../errors.ts'
import { GatewayFault } from '../fault.ts'

/** What it needs of Hono's context, whatever else the app keeps there. */
interface Failed {
  var: { request_id: string }
}

/**
 * For `app.onError`. What is no `GatewayFault` is logged, and told to nobody else.
 *
 * @example
 * ```ts
 * app.onError(answerFault((error, requestId) => anthropic.errorResponse(error, requestId, { cap_status: null })))
 * ```
 */
export function answerFault(errorAnswer: (error: GatewayError, requestId: string) => Response) {
  return function answerFault(error: Error, c: Failed): Response {
    if (error instanceof GatewayFault) return errorAnswer(error.error, c.var.request_id)
    console.error(JSON.stringify({ message: 'unexpected', error: String(error), stack: error.stack }))
    const message = 'Something went wrong inside Tollgate.'
    return errorAnswer({ code: 'internal_error', message }, c.var.request_id)
  }
}
