// The story of a call, one provider at a time:
//
//   authenticate -> parse -> quote -> reserve -> forward -> meter -> settle -> outbox -> Postgres
//
// Each step is a chapter of its own beside this file; what comes after `settle` happens inside the ledger.

import { Hono } from 'hono'
import type { LedgerOf } from '../../durable-objects/ledger/types.ts'
import type { JwtVerifier } from '../auth/jwt.ts'
import type { KeyRing } from '../auth/keys.ts'
import type { Config } from '../config.ts'
import type { GatewayError } from '../errors.ts'
import { authenticate } from '../middleware/authenticate.ts'
import { usageCaps } from '../middleware/usage-caps.ts'
import type { Database } from '../postgres/client.ts'
import type { PriceBook } from '../pricing/price-book.ts'
import type { Dialect, Operation, Upstream } from '../providers/dialect.ts'
import { answerFault } from './answer-fault.ts'
import type { Call, GatewayEnv } from './call.ts'
import { forward } from './forward.ts'
import { notMetered } from './no-route.ts'
import { parse } from './parse.ts'
import { provision } from './provision.ts'

export interface GatewayOptions {
  config: Config
  dialect: Dialect
  upstream: Upstream
  ledgerOf: LedgerOf
  db: Database
  keys: KeyRing
  jwt: JwtVerifier | null
  prices: PriceBook
}

/** An error repeats at most this much of a field's name: the client chose it, and it may be megabytes long. */
const MAX_FIELD_LENGTH = 200

export function gateway(options: GatewayOptions): Hono<GatewayEnv> {
  const { config, dialect, upstream, ledgerOf, db, keys, jwt, prices } = options
  const errorAnswer = (error: GatewayError, requestId: string) =>
    dialect.errorResponse(error, requestId, config.CAP_STATUS)

  const app = new Hono<GatewayEnv>()
  const authenticated = authenticate({ keys, jwt, readCredential: dialect.readCredential })
  for (const operation of dialect.operations) {
    app.on(
      operation.method,
      operation.path,
      authenticated,
      parse({ dialect, operation, prices, config, upstream, jwt }),
      usageCaps<GatewayEnv>({
        ledgerOf,
        ask: (c) => ({ ...c.var.call.quote, draft: c.var.call.draft }),
        provision: (c) => provision({ db, ledgerOf }, c.var.caller, c.var.request_id),
        refuse: (c, error) => errorAnswer(inFull(error, c.var.call, operation), c.var.request_id),
      }),
      forward({ dialect, operation, config, upstream, ledgerOf, prices, errorAnswer }),
    )
  }
  // Authenticated, as are the paths of a provider that is not configured: strangers are not told which ones are.
  app.all('*', authenticated, (c) => {
    return errorAnswer(notMetered(c.req, dialect), c.var.request_id)
  })
  app.onError(answerFault(errorAnswer))
  return app
}

/** Adds what only the call knows: which model has no price, which field is to blame, which input counts as a window. */
function inFull(error: GatewayError, call: Call, { edits }: Operation): GatewayError {
  const { asked, bound, quote, draft } = call
  const isUnknown = error.code === 'unpriced_model' || (error.code === 'unbounded_request' && !bound?.unbounded)
  if (isUnknown && !call.are_prices_known) {
    const message =
      'The prices that administrators have set cannot be read now, but a cap needs them. Try again shortly.'
    return { code: 'prices_unavailable', message }
  }
  if (error.code === 'unpriced_model' && draft.request_model !== null) {
    return { ...error, message: `${draft.provider}/${draft.request_model}: ${error.message}` }
  }
  if (error.cap && error.cap.limit_type !== 'requests' && bound?.open_input) {
    return { ...error, message: `${error.message} ${bound.open_input} counts as the model's whole context window.` }
  }
  if (error.code !== 'unbounded_request') return error
  const blame = (path: string, why: string) => {
    const field = path.slice(0, MAX_FIELD_LENGTH)
    return { ...error, message: `${error.message} ${field} ${why}.`, field }
  }
  if (quote.input_tokens === null && bound) {
    const { unbounded, open_input } = bound
    if (unbounded) return blame(unbounded, 'is unknown to Tollgate, not set or has no limit')
    if (open_input) return blame(open_input, "may be as long as the model's context window, which is not known")
  }
  // What would be written into the body if the ledger granted a bound.
  const field = edits?.(asked, 1).at(-1)?.field
  return field === undefined ? error : { ...error, field }
}
