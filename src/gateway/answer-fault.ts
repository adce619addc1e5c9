// The end of a request that threw: a refusal of Tollgate's own, or a bug. Answered as the dialect's SDK expects.

import type { GatewayError } from '../errors.ts'
import { GatewayFault, logFault } from '../fault.ts'

const BUG: GatewayError = { code: 'internal_error', message: 'Something went wrong inside Tollgate.' }

/** What it needs of Hono's context, whatever else the app keeps there. */
interface Failed {
  var: { request_id: string }
}

/**
 * For `app.onError`. Whatever is not a `GatewayFault` is answered as an internal error that gives nothing away.
 *
 * @example
 * ```ts
 * app.onError(answerFault(anthropic.errorResponse))
 * ```
 */
export function answerFault(errorAnswer: (error: GatewayError, requestId: string) => Response) {
  return function answerFault(thrown: Error, c: Failed): Response {
    const error = thrown instanceof GatewayFault ? thrown.error : BUG
    logFault(error, thrown, c.var.request_id)
    return errorAnswer(error, c.var.request_id)
  }
}
