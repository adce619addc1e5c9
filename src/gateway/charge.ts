// The charge: what a call is settled at, from what metering read. Exact where the provider reported its usage, an upper
// bound where everything it billed went past, else the hold: unknown never means free. Pure.

import type { Amount, EventFacts, UsageSource } from '../../durable-objects/ledger/types.ts'
import { costOf, worstCase } from '../pricing/cost.ts'
import { priceOf } from '../pricing/money.ts'
import type { Price } from '../pricing/price.ts'
import { isBlank, NO_USAGE } from '../providers/answer.ts'
import type { Bound, Metered, TokenUsage } from '../providers/dialect.ts'
import type { Quote } from './quote.ts'

/** The kinds of tokens as an event keeps them. */
type TokenKinds = Pick<EventFacts, Exclude<keyof TokenUsage, 'input_tokens' | 'output_tokens' | 'units'>>

export interface CallCharge {
  /** Null charges the hold. */
  usage: Amount | null
  usage_source: UsageSource
  /** What is left out is 0. */
  kinds: Partial<TokenKinds>
}

/** Tokens of an answer that show in no string (its end, a tool call's frame). */
const UNSEEN_TOKENS_PER_CHOICE = 16

/** A quoted call. `price` is null where its model has none and no cost cap applies: its cost is recorded as 0. */
export interface Quoted {
  quote: Quote
  price: Price | null
  bound: Bound | null
}

/** @param granted_output_tokens the bound of one answer that the ledger granted; null where no cap needs one. */
export function charge(
  metered: Metered,
  { quote, price, bound }: Quoted,
  granted_output_tokens: number | null,
): CallCharge {
  if (metered.usage && !isBlank(metered.usage, metered.seen_output_bytes, Boolean(bound?.output)))
    return chargeReported(metered.usage, price, metered.service_tier)
  // Operations that use nothing.
  if (bound === null) return chargeReported(NO_USAGE, null, null)
  const { input_tokens, output } = quote
  if (input_tokens === null || output?.max_tokens === null) return chargeSeen(metered, { quote, price, bound })
  if (!metered.complete || metered.may_hide_output || output === null) {
    return { usage: null, usage_source: 'hold', kinds: {} }
  }
  const seen = metered.seen_output_bytes + UNSEEN_TOKENS_PER_CHOICE * output.choices
  const most = granted_output_tokens === null ? seen : granted_output_tokens * output.choices
  const output_tokens = Math.min(seen, most)
  const output_cost = priceOf([{ count: output_tokens, nano_usd_per_million: output.nano_usd_per_mtok ?? 0 }])
  const cost_nano_usd = (quote.input_cost_nano_usd ?? 0) + output_cost
  return {
    usage: { requests: 1, input_tokens, output_tokens, cost_nano_usd },
    usage_source: 'estimated',
    kinds: {},
  }
}

/** What the provider says it was, by the tier that answered. */
export function chargeReported(
  used: TokenUsage,
  price: Price | null,
  service_tier: string | null,
  longest_input_tokens: number | null = null,
) {
  const { input_tokens, output_tokens, units: _, ...kinds } = used
  const cost_nano_usd = price ? costOf(price, used, service_tier, longest_input_tokens) : 0
  return {
    usage: { requests: 1, input_tokens, output_tokens, cost_nano_usd },
    usage_source: 'reported',
    kinds,
  } as const
}

/** No cap applied and nothing bounded the call, so there is no hold to charge. At least what went past is charged. */
function chargeSeen(metered: Metered, { quote, price, bound }: Quoted & { bound: Bound }): CallCharge {
  const { input_tokens, input_cost_nano_usd, output } = quote
  const input_cost = input_cost_nano_usd ?? (price && worstCase(price, bound, bound.input_tokens)?.input_cost_nano_usd)
  const seen = metered.seen_output_bytes
  const output_cost = priceOf([{ count: seen, nano_usd_per_million: output?.nano_usd_per_mtok ?? 0 }])
  return {
    usage: {
      requests: 1,
      input_tokens: input_tokens ?? bound.input_tokens,
      output_tokens: seen,
      cost_nano_usd: (input_cost ?? 0) + output_cost,
    },
    usage_source: 'estimated',
    kinds: {},
  }
}
