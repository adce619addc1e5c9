// Arithmetic on what calls use. Pure.

import type { Amount } from './types.ts'

export const NOTHING: Amount = Object.freeze({ requests: 0, input_tokens: 0, output_tokens: 0, cost_nano_usd: 0 })

export const COMPONENTS = ['requests', 'input_tokens', 'output_tokens', 'cost_nano_usd'] as const

/** Adds `times` times `more` to `sum`, in place. */
export function add(sum: Amount, more: Amount, times = 1): void {
  sum.requests += times * more.requests
  sum.input_tokens += times * more.input_tokens
  sum.output_tokens += times * more.output_tokens
  sum.cost_nano_usd += times * more.cost_nano_usd
}

/** `a` and `times` times `b`. */
export function plus(a: Amount, b: Amount, times = 1): Amount {
  const sum = amountOf(a)
  add(sum, b, times)
  return sum
}

export const minus = (a: Amount, b: Amount): Amount => plus(a, b, -1)

/**
 * What is left of a hold when part of it is used. `exceeds` and caps see tokens as one sum: where one kind was more than
 * held, that much less of the other is left, so that used and left together are never more than the larger of the hold and
 * what was used.
 */
export function leftOf(hold: Amount, used: Amount): Amount {
  const left = minus(hold, used)
  const tokens = Math.max(0, left.input_tokens + left.output_tokens)
  const within = (count: number, most: number) => Math.min(Math.max(0, count), most)
  return {
    requests: Math.max(0, left.requests),
    input_tokens: within(left.input_tokens, tokens),
    output_tokens: within(left.output_tokens, tokens),
    cost_nano_usd: Math.max(0, left.cost_nano_usd),
  }
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

/** True where no component of `b` is more than that of `a`. */
export const covers = (a: Amount, b: Amount): boolean =>
  a.requests >= b.requests &&
  a.input_tokens >= b.input_tokens &&
  a.output_tokens >= b.output_tokens &&
  a.cost_nano_usd >= b.cost_nano_usd

/** The larger of each component. */
export const larger = (a: Amount, b: Amount): Amount => ({
  requests: Math.max(a.requests, b.requests),
  input_tokens: Math.max(a.input_tokens, b.input_tokens),
  output_tokens: Math.max(a.output_tokens, b.output_tokens),
  cost_nano_usd: Math.max(a.cost_nano_usd, b.cost_nano_usd),
})

export const isNothing = (amount: Amount): boolean => covers(NOTHING, amount)

/** In the order of every table's columns. */
export const columnsOf = (amount: Amount): [number, number, number, number] => [
  amount.requests,
  amount.input_tokens,
  amount.output_tokens,
  amount.cost_nano_usd,
]
