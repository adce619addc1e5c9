// What a route asks of the ledger before its handler runs, filled in and checked. Pure.

import type { Context } from 'hono'
import type { Ask, EventDraft, KeyScope, OutputAsk } from '../../durable-objects/ledger/types.ts'
import { isObject } from '../providers/answer.ts'

/** The worst case of a call, in integers. Left out: one request, no tokens, no cost. Null: nothing bounds it. */
export interface CallAsk {
  requests?: number
  input_tokens?: number | null
  input_cost_nano_usd?: number | null
  /** The part that may be granted smaller than asked. */
  output?: OutputAsk | null
  /** What the usage event will say of the call. Null counts as left out; texts are cut at 500 characters. */
  draft?: Partial<EventDraft>
}

/** What `requestId()` and `authenticate()` have found out. */
export interface CallVariables {
  request_id: string
  caller: { user_id: string; key_id: string | null; scope?: KeyScope }
}

const MAX_METADATA_LENGTH = 65_536
/** These are indexed: Postgres would forever refuse an event with one that is too long for its index. */
const MAX_ID_LENGTH = 500
const IDS = ['job_id', 'batch_id', 'session_id'] as const

const NAMES = ['requests', 'input_tokens', 'input_cost_nano_usd', 'output', 'draft']

/** @throws {TypeError} naming what no ledger, or no event, can hold. */
export function toAsk(c: Pick<Context, 'req'>, { request_id, caller }: CallVariables, asked: CallAsk): Ask {
  checkNames(asked)
  const { requests = 1, input_tokens = 0, input_cost_nano_usd = 0, output = null, draft = {} } = asked
  checkAsk('', { requests, input_tokens, input_cost_nano_usd })
  if (output) {
    const { choices, max_tokens, min_tokens, nano_usd_per_mtok } = output
    checkAsk('output.', { max_tokens, min_tokens, nano_usd_per_mtok })
    checkAsk('output.', { choices }, 1)
  }
  const metadata = asJson(draft.metadata)
  for (const id of IDS) checkLength(id, draft[id])
  checkUuid('c.var.request_id', request_id)
  if (!caller) throw new TypeError('usageCaps: c.var.caller is not set; authenticate() goes before it')
  checkUuid('c.var.caller.user_id', caller.user_id)
  checkUuid('c.var.caller.key_id', caller.key_id)
  checkUuid('ask.draft.user_id', draft.user_id ?? null)
  checkUuid('ask.draft.key_id', draft.key_id ?? null)
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
      ...storable(draft),
      metadata,
    },
  }
}

/** Longer texts in events are cut. */
export const MAX_TEXT_LENGTH = 500

/** Null would displace a default that a column needs, and no ledger could keep a name of megabytes. */
function storable(draft: Partial<EventDraft>): Partial<EventDraft> {
  const given = Object.entries(draft).filter(([, value]) => value !== undefined && value !== null)
  for (const [name, value] of given) checkKind(name, value)
  return Object.fromEntries(
    given.map(([name, value]) => [name, typeof value === 'string' ? value.slice(0, MAX_TEXT_LENGTH) : value]),
  )
}

/** What a route took from a body may be anything, whatever its type says. */
function checkKind(name: string, value: unknown): void {
  const kind = name === 'stream' || name === 'brings_own_key' ? 'boolean' : 'string'
  if (name === 'metadata' || typeof value === kind) return
  throw new TypeError(`usageCaps: ask.draft.${name} must be a ${kind}, not a ${typeof value}`)
}

/** An amount under a misspelt name would not be held. */
function checkNames(asked: unknown): void {
  if (!isObject(asked)) throw new TypeError(`usageCaps: ask must be an object, not ${JSON.stringify(asked)}`)
  const odd = Object.keys(asked).find((name) => !NAMES.includes(name))
  if (odd !== undefined) throw new TypeError(`usageCaps: ask.${odd} is not known; there is ${NAMES.join(', ')}`)
}

/** A negative amount would make room instead of taking it. Null is unbounded, which `requests` cannot be: every row needs their number. */
function checkAsk(path: string, amounts: Record<string, number | null>, least = 0): void {
  for (const [name, amount] of Object.entries(amounts)) {
    if (amount === null ? name !== 'requests' : isCount(amount) && amount >= least) continue
    throw new TypeError(`usageCaps: ask.${path}${name} must be a whole number of at least ${least}, not ${amount}`)
  }
}

/** As the ledger keeps it. Workers send it no objects of classes, nor without a prototype, as what Hono reads a query into. */
function asJson(metadata: EventDraft['metadata'] | undefined): EventDraft['metadata'] {
  if (metadata === undefined || metadata === null) return null
  const json = JSON.stringify(metadata)
  if (json.length > MAX_METADATA_LENGTH) {
    throw new TypeError(`usageCaps: ask.draft.metadata must have at most ${MAX_METADATA_LENGTH} characters as JSON`)
  }
  return JSON.parse(json)
}

function checkLength(id: string, text: string | null | undefined): void {
  if ((text ?? '').length <= MAX_ID_LENGTH) return
  throw new TypeError(`usageCaps: ask.draft.${id} must have at most ${MAX_ID_LENGTH} characters`)
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Postgres would forever refuse an event with any other id. */
export function checkUuid(name: string, id: string | null): void {
  if (id === null || UUID.test(id)) return
  throw new TypeError(`usageCaps: ${name} must be a UUID, not ${id}`)
}

/** Whether it can be counted: a whole number that is exact, and not below 0. */
export const isCount = (amount: unknown) => Number.isSafeInteger(amount) && Number(amount) >= 0
