// Hard usage caps for any Hono route: reserve before the handler runs, settle at what it reports.

import type { Context, MiddlewareHandler, Next } from 'hono'
import type { LedgerOf } from '../../durable-objects/ledger/types.ts'
import type { GatewayError } from '../errors.ts'
import { problemResponse } from '../problem.ts'
import { keepAlive, setHeaders, withHeaders } from './answers.ts'
import { type CallAsk, type CallVariables, toAsk } from './call-ask.ts'
import { type CallEnd, type Hold, openHold, releaseOf } from './hold.ts'
import { reserve, settle } from './ledger-calls.ts'
import { rateLimitFields } from './rate-limit-fields.ts'
import { refusalError } from './refusal-error.ts'
import { idOf } from './request-id.ts'

export type { CallAsk, CallEnd, Hold }

export interface UsageCapsVariables extends CallVariables {
  hold: Hold
}

export interface UsageCapsOptions<C> {
  ledgerOf: LedgerOf
  /** What a call may use at most: a number of requests, or a function of the request. Default 1. */
  ask?: number | ((c: C) => CallAsk | Promise<CallAsk>)
  /** Called when the ledger does not know its user yet. True: it does now, try again. */
  provision?: (c: C) => Promise<boolean>
  /** How a refusal looks. Default: a problem document. */
  refuse?: (c: C, error: GatewayError) => Response | Promise<Response>
}

/**
 * Admits a call only if its worst case fits under every cap of the caller, then charges what the handler reports, or the
 * whole worst case where it reports nothing. Every answer carries the `RateLimit` fields of the tightest cap. Needs
 * `c.var.request_id` as `requestId()` has set it, and `c.var.caller` (see `authenticate()`). A second one in the same
 * request throws.
 *
 * @example
 * app.use(requestId(), authenticate({ keys, jwt }))
 * app.post('/thumbnails', usageCaps({ ledgerOf, ask: 5 }), (c) => c.json(makeThumbnails()))
 * app.post('/answers', usageCaps({ ledgerOf, ask: () => ({ input_tokens: 4_000 }) }), async (c) => {
 *   const answer = await think()
 *   c.var.hold.report({ usage: { input_tokens: answer.tokens } })
 *   return c.json(answer)
 * })
 */
export function usageCaps<E extends { Variables: UsageCapsVariables }>(
  options: UsageCapsOptions<Context<E>>,
): MiddlewareHandler<E> {
  const { ledgerOf, ask = 1, provision, refuse = (_, error) => problemResponse(error) } = options

  async function run(c: Context<E>, next: Next): Promise<Response | undefined> {
    // The ledger would take the second ask of a request for a repetition of the first.
    if (c.get('hold')) throw new TypeError('usageCaps: this request has a hold already; guard each route once')
    // Whoever chose the id could send it again: a repeated one is the same call, which is charged once.
    if (!idOf(c)) throw new TypeError('usageCaps: c.var.request_id must be as requestId() has set it')
    const started_at = Date.now()
    const asked = toAsk(c, c.var as CallVariables, typeof ask === 'number' ? { requests: ask } : await ask(c))

    const decision = await reserve(ledgerOf, asked, async () => (await provision?.(c)) ?? false)
    // Read when the answer goes out, maybe minutes later: the seconds left in the window count from then.
    const fields = () => rateLimitFields(decision.tightest, Date.now())
    if (!decision.admitted) {
      if (decision.refusal.reason === 'unreachable') keepAlive(c, settle(ledgerOf, releaseOf(asked, started_at)))
      return withHeaders(await refuse(c, refusalError(decision.refusal)), fields())
    }

    const hold = openHold(ledgerOf, asked, decision)
    c.set('hold', hold)
    const close = (unreported: CallEnd, status: number | null) => {
      keepAlive(c, hold.close(unreported, { status, latency_ms: Date.now() - started_at }))
    }
    try {
      await next()
      // Hono itself throws only later, when the call is already settled as if it had been answered with a 200.
      if (!c.finalized) throw new TypeError('usageCaps: the handler has returned no answer')
      setHeaders(c, fields())
    } catch (thrown) {
      // Hono turns `Error`s into answers: this is something else, or the answer takes no headers. Anything may have been used.
      close({ usage: null }, null)
      throw thrown
    }
    // Without a report the hold is charged: as the route's price, or because a handler that threw may have used anything.
    close({ usage: null, usage_source: c.error ? 'hold' : 'reported' }, c.res.status)
    return undefined
  }

  return async function usageCaps(c, next) {
    const call = run(c, next)
    // The client may leave at any moment; the call still runs to its end, so that it is settled at its real cost.
    keepAlive(
      c,
      call.catch(() => undefined),
    )
    return call
  }
}
