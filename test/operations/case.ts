// One way to call an operation, and what becomes of it: data for the test that walks them all.

import type { EventFacts } from '../../durable-objects/ledger/types.ts'
import type { ErrorCode } from '../../src/errors.ts'

/** A request below the provider's prefix, or straight to the provider. `:id` is what an earlier request made. */
export interface Sent {
  /** Default POST. */
  method?: string
  path: string
  headers?: Record<string, string>
  /** JSON, or the fields of a form: a field that is null is a file. */
  json?: object
  form?: Record<string, string | null>
}

/** What an event says was used; what is left out is 0. */
export type Used = Partial<
  Pick<
    EventFacts,
    | 'cached_input_tokens'
    | 'cache_write_5m_tokens'
    | 'cache_write_1h_tokens'
    | 'audio_input_tokens'
    | 'image_input_tokens'
    | 'reasoning_tokens'
    | 'audio_output_tokens'
    | 'image_output_tokens'
    | 'web_search_requests'
  >
> & { input_tokens?: number; output_tokens?: number }

/** A refusal by a cap that the call's bound does not fit; `field`: what is to blame. `fits`: it asks for nothing of that. */
export type UnderCap = 'fits' | 'cap_exceeded' | { code: ErrorCode; field: string }

export interface Paid {
  /** What the provider says was used: it replaces the `usage` (or `usageMetadata`) of the fake's own answer. */
  says?: object
  /** Where the fake's answer has none: the name under which it says it. */
  says_at?: 'usageMetadata'
  used: Used
  /** In nano-dollars, written out: a dollar a million tokens is a thousand nano-dollars a token. */
  cost: number
  /** Null: no price is known. */
  priced_as: string | null
  service_tier?: string
  /** Default `cap_exceeded`. */
  under_token_cap?: UnderCap
  under_cost_cap?: UnderCap
  /** The call goes on when its answer has ended: asking for this until it is over concludes it. */
  goes_on_until?: string
}

export interface Case {
  /** As the table of the provider's operations names it. */
  operation: string
  /** How it differs from other cases of the operation. */
  how?: string
  /** What somebody has made at the provider before, whose id the call names. */
  before?: Sent
  send: Sent
  stream?: boolean
  /** Metered calls say what they cost; `free`: one request, nothing else; `refused`: always, and why it says so. */
  is: Paid | 'free' | { refused: RegExp }
}

export const isPaid = (one: Case): one is Case & { is: Paid } => one.is !== 'free' && 'cost' in one.is

/** One that costs nothing. */
export const free = (operation: string, send: Case['send'], before?: Case['send']): Case => ({
  operation,
  send,
  is: 'free',
  ...(before && { before }),
})

/** One that is known and refused, with its reason. */
export const refused = (operation: string, path: string, reason: RegExp): Case => ({
  operation,
  send: { method: 'GET', path },
  is: { refused: reason },
})

/** The same, as JSON and as a stream. */
export const alsoStreamed = (
  one: Case,
  streamed: Partial<Case['send']> = { json: { ...one.send.json, stream: true } },
) => [
  one,
  { ...one, how: one.how ? `${one.how}, streamed` : 'streamed', stream: true, send: { ...one.send, ...streamed } },
]
