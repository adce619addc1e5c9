// The charge: what a call is settled at, from what metering read. Exact where the provider reported its usage, an upper
// bound where everything it billed went past, else the hold: unknown never means free. Pure.

import type { Amount, EventFacts, UsageSource } from '../../durable-objects/ledger/types.ts'
import { costOf } from '../pricing/cost.ts'
import { priceOf } from '../pricing/money.ts'
import type { Price } from '../pricing/price.ts'
import type { Metered } from '../providers/dialect.ts'
import type { Quote } from './quote.ts'

/** The kinds of tokens as an event keeps them. */
export type TokenKinds = Pick<
  EventFacts,
  | 'cached_input_tokens'
  | 'cache_write_5m_tokens'
  | 'cache_write_1h_tokens'
  | 'audio_input_tokens'
  | 'reasoning_tokens'
  | 'audio_output_tokens'
  | 'web_search_requests'
>

export interface CallCharge {
  /** Null charges the hold. */
  usage: Amount | null
  usage_source: UsageSource
  kinds: TokenKinds
}

/** Tokens of an answer that show in no string (its end, a tool call's frame). */
const UNSEEN_TOKENS_PER_CHOICE = 16

const NO_KINDS: TokenKinds = {
  cached_input_tokens: 0,
  cache_write_5m_tokens: 0,
  cache_write_1h_tokens: 0,
  audio_input_tokens: 0,
  reasoning_tokens: 0,
  audio_output_tokens: 0,
  web_search_requests: 0,
}

/**
 * @param price null for a model without one: no cost cap applies to such a call, and its cost is recorded as 0.
 * @param granted_output_tokens the bound of one answer that was written into the body; null where none was.
 */
export function charge(
  metered: Metered,
  quoted: Quote,
  price: Price | null,
  granted_output_tokens: number | null,
): CallCharge {
  if (metered.usage) {
    const { input_tokens, output_tokens, ...kinds } = metered.usage
    const cost_nano_usd = price ? costOf(price, metered.usage, metered.service_tier) : 0
    return { usage: { requests: 1, input_tokens, output_tokens, cost_nano_usd }, usage_source: 'reported', kinds }
  }
  if (quoted.output === null && quoted.input_tokens === 0) {
    const usage = { requests: 1, input_tokens: 0, output_tokens: 0, cost_nano_usd: 0 }
    return { usage, usage_source: 'reported', kinds: NO_KINDS }
  }
  const { input_tokens, output } = quoted
  if (!metered.complete || metered.may_hide_output || input_tokens === null || output === null) {
    return { usage: null, usage_source: 'hold', kinds: NO_KINDS }
  }
  const seen = metered.seen_output_bytes + UNSEEN_TOKENS_PER_CHOICE * output.choices
  const most = granted_output_tokens === null ? seen : granted_output_tokens * output.choices
  const output_tokens = Math.min(seen, most)
  const output_cost = priceOf([{ count: output_tokens, nano_usd_per_million: output.nano_usd_per_mtok ?? 0 }])
  const cost_nano_usd = (quoted.input_cost_nano_usd ?? 0) + output_cost
  return {
    usage: { requests: 1, input_tokens, output_tokens, cost_nano_usd },
    usage_source: 'estimated',
    kinds: NO_KINDS,
  }
}
