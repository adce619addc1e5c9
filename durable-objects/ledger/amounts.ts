// Arithmetic on what calls use. Pure.

import type { Amount } from './types.ts'

export const NOTHING: Amount = Object.freeze({ requests: 0, input_tokens: 0, output_tokens: 0, cost_nano_usd: 0 })

/** Adds `times` times `more` to `sum`, in place. */
export function add(sum: Amount, more: Amount, times: 1 | -1 = 1): void {
  sum.requests += times * more.requests
  sum.input_tokens += times * more.input_tokens
  sum.output_tokens += times * more.output_tokens
  sum.cost_nano_usd += times * more.cost_nano_usd
}

export function minus(a: Amount, b: Amount): Amount {
  const difference = amountOf(a)
  add(difference, b, -1)
  return difference
}

/** Just the amounts of a wider record. */
export const amountOf = ({ requests, input_tokens, output_tokens, cost_nano_usd }: Amount): Amount => ({
  requests,
  input_tokens,
  output_tokens,
  cost_nano_usd,
})

/** True where any part of `a` is more than that part of `b`. */
export const exceeds = (a: Amount, b: Amount): boolean =>
  a.requests > b.requests ||
  a.input_tokens + a.output_tokens > b.input_tokens + b.output_tokens ||
  a.cost_nano_usd > b.cost_nano_usd
