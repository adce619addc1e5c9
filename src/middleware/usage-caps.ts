// Hard usage caps for any Hono route: reserve before the handler runs, settle at what it reports.

import type { Context, MiddlewareHandler, Next } from 'hono'
import { NOTHING } from '../../durable-objects/ledger/amounts.ts'
import { NO_FACTS } from '../../durable-objects/ledger/no-facts.ts'
import type {
  Admission,
  Amount,
  Ask,
  Continuation,
  EventDraft,
  EventFacts,
  KeyScope,
  LedgerOf,
  OutputAsk,
  Settlement,
  UsageSource,
} from '../../durable-objects/ledger/types.ts'
import type { GatewayError } from '../errors.ts'
import { problemResponse } from '../problem.ts'
import { keepAlive, setHeaders, withHeaders } from './answers.ts'
import { mayGoOn, reserve, settle } from './ledger-calls.ts'
import { rateLimitFields } from './rate-limit-fields.ts'
import { refusalError } from './refusal-error.ts'

/** The worst case of a call. What is left out is one request, no tokens, no cost. Integers; null: nothing bounds it. */
export interface CallAsk {
  requests?: number
  input_tokens?: number | null
  input_cost_nano_usd?: number | null
  /** The part that may be granted smaller than asked. */
  output?: OutputAsk | null
  /** What the usage event says of the call. */
  draft?: Partial<EventDraft>
}

/** How a call ended. What is left out is nothing, or what the middleware itself saw. */
export interface CallEnd {
  /** `released`: nothing was used, charge nothing. Default `settled`. */
  outcome?: Settlement['outcome']
  /** Null: unknown, charge what was asked. Left out parts are 0, but for `requests`: as asked. */
  usage: Partial<Amount> | null
  usage_source?: UsageSource
  facts?: Partial<EventFacts>
  /** The call goes on elsewhere: what is left of its hold is kept under another id, until the ledger hears of that. */
  continues?: Continuation | null
}

export interface Hold {
  admission: Admission
  /** Says what the call really used, now or when a promise resolves. The last report counts, once the handler returns. */
  report(end: CallEnd | Promise<CallEnd>): void
  /**
   * The same, not waiting for the handler: true when the call is on record, false when its ledger could not be reached.
   * Never rejects. Reports are void then.
   */
  settle(end: CallEnd | Promise<CallEnd>): Promise<boolean>
  /**
   * False once the caller would not be let in any more: key revoked, user suspended, a cap lowered to nothing. Never rejects;
   * true where the ledger cannot be asked.
   */
  mayGoOn(): Promise<boolean>
}

/** How often a ledger hears of a call that is still out: one that has lost it in a crash holds it again. */
const TELL_MS = 30_000
const MAX_METADATA_LENGTH = 65_536

export interface UsageCapsVariables {
  request_id: string
  caller: { user_id: string; key_id: string | null; scope?: KeyScope }
  hold: Hold
}

export interface UsageCapsOptions<C> {
  ledgerOf: LedgerOf
  /** What a call may use at most: a number of requests, or a function of the request. Default 1. */
  ask?: number | ((c: C) => CallAsk | Promise<CallAsk>)
  /** Called when a ledger does not know its user yet; true where it does now. */
  provision?: (c: C) => Promise<boolean>
  /** How a refusal looks. Default: a problem document. */
  refuse?: (c: C, error: GatewayError) => Response
}

/**
 * Admits a call only if its worst case fits under every cap of the caller, and charges what the handler reports: where it
 * reports nothing, what was asked. Every answer carries the `RateLimit` fields of the tightest cap. Needs
 * `c.var.request_id` and `c.var.caller`, see `requestId()` and `authenticate()`. Once a request: a second one throws.
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
    const started_at = Date.now()
    const asked = toAsk(c, typeof ask === 'number' ? { requests: ask } : await ask(c))

    const decision = await reserve(ledgerOf, asked, async () => (await provision?.(c)) ?? false)
    const fields = rateLimitFields(decision.tightest, started_at)
    if (!decision.admitted) {
      if (decision.refusal.reason === 'unreachable') keepAlive(c, settle(ledgerOf, releaseOf(asked, started_at)))
      return withHeaders(refuse(c, refusalError(decision.refusal)), fields)
    }

    let reported: CallEnd | Promise<CallEnd> | null = null
    let settled: Promise<boolean> | null = null
    const settleAs = (end: CallEnd | Promise<CallEnd>, seen: Partial<EventFacts> = {}) => {
      const known = Promise.resolve(end).catch((error): CallEnd => {
        logFault('a report of usage failed', asked.request_id, error)
        return { usage: null }
      })
      settled = settle(
        ledgerOf,
        known.then((it) => toSettlement(asked, decision, it, seen)),
      ).finally(() => clearInterval(telling))
      return settled
    }
    const hold: Hold = {
      admission: decision,
      report(end) {
        reported = end
      },
      settle: (end) => settled ?? settleAs(end),
      mayGoOn: () => mayGoOn(ledgerOf, { ...asked, ...decision }),
    }
    const telling = setInterval(hold.mayGoOn, TELL_MS)
    c.set('hold', hold)
    await next().catch((thrown) => {
      // No `Error`, so that Hono makes no answer of it. The handler may have used anything.
      if (!settled) keepAlive(c, settleAs(reported ?? { usage: null }, { latency_ms: Date.now() - started_at }))
      throw thrown
    })
    setHeaders(c, fields)
    if (settled) return
    const seen = { status: c.res.status, latency_ms: Date.now() - started_at }
    // A handler that reports nothing has the price it asked for; one that throws may have used anything.
    const unreported: CallEnd = { usage: null, usage_source: c.error ? 'hold' : 'reported' }
    keepAlive(c, settleAs(reported ?? unreported, seen))
  }

  return async function usageCaps(c, next) {
    const call = run(c, next)
    // Its client may leave at any moment; the call goes on to its end, so that its hold comes off at its real cost.
    keepAlive(
      c,
      call.catch(() => undefined),
    )
    return call
  }
}

function toAsk<E extends { Variables: UsageCapsVariables }>(c: Context<E>, asked: CallAsk): Ask {
  const { request_id, caller } = c.var as UsageCapsVariables
  const { requests = 1, input_tokens = 0, input_cost_nano_usd = 0, output = null, draft } = asked
  checkAsk('', { requests, input_tokens, input_cost_nano_usd })
  if (output) {
    const { choices, ...amounts } = output
    checkAsk('output.', amounts)
    checkAsk('output.', { choices }, 1)
  }
  checkMetadata(draft?.metadata)
  return {
    request_id,
    caller: { key_id: caller.key_id, scope: caller.scope ?? 'call' },
    requests,
    input_tokens,
    input_cost_nano_usd,
    output,
    draft: {
      user_id: caller.user_id,
      key_id: caller.key_id,
      provider: 'app',
      operation: c.req.routePath,
      method: c.req.method,
      path: c.req.path,
      request_model: null,
      stream: false,
      job_id: null,
      batch_id: null,
      session_id: null,
      metadata: null,
      ...draft,
    },
  }
}

/** A negative ask would make room instead of taking it. */
function checkAsk(path: string, amounts: Record<string, number | null>, least = 0): void {
  for (const [name, amount] of Object.entries(amounts)) {
    if (amount === null || (isCount(amount) && amount >= least)) continue
    throw new TypeError(`usageCaps: ask.${path}${name} must be a whole number of at least ${least}, not ${amount}`)
  }
}

/** The ledger keeps it as JSON. */
function checkMetadata(metadata: EventDraft['metadata'] | undefined): void {
  if (metadata === undefined || metadata === null) return
  if (JSON.stringify(metadata).length > MAX_METADATA_LENGTH) {
    throw new TypeError(`usageCaps: ask.draft.metadata must have at most ${MAX_METADATA_LENGTH} characters as JSON`)
  }
}

const isCount = (amount: unknown) => Number.isSafeInteger(amount) && Number(amount) >= 0

/** The hold of a ledger that did not answer, should it have taken one. */
async function releaseOf(ask: Ask, started_at: number): Promise<Settlement> {
  const end: CallEnd = { outcome: 'released', usage: null, usage_source: 'reported' }
  const seen = { status: 503, error_class: 'ledger_unavailable' }
  return toSettlement(ask, { hold: NOTHING, reserved_at: started_at, epoch: 0 }, end, seen)
}

function toSettlement(
  ask: Ask,
  { hold, reserved_at, epoch }: Pick<Admission, 'hold' | 'reserved_at' | 'epoch'>,
  end: CallEnd,
  seen: Partial<EventFacts>,
): Settlement {
  const { outcome = 'settled', facts, continues = null } = end
  const usage = end.usage && amountReported(ask, end.usage)
  const usage_source = end.usage && !usage ? 'hold' : end.usage_source
  return {
    request_id: ask.request_id,
    reserved_at,
    epoch,
    outcome,
    usage,
    hold,
    usage_source: usage_source ?? (usage ? 'reported' : 'hold'),
    draft: ask.draft,
    facts: { ...NO_FACTS, ...seen, ...facts },
    continues,
  }
}

/** Null, and so the hold, for what is no amount: a report can never refund. */
function amountReported({ requests, request_id }: Ask, usage: Partial<Amount>): Amount | null {
  const amount = { requests, input_tokens: 0, output_tokens: 0, cost_nano_usd: 0, ...usage }
  if (Object.values(amount).every(isCount)) return amount
  logFault('a report of usage is no amount', request_id, Object.entries(usage))
  return null
}

function logFault(message: string, request_id: string, error: unknown): void {
  console.error(JSON.stringify({ message, request_id, error: String(error) }))
}
