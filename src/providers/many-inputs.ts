// Calls that hold many inputs (embeddings, legacy completions), each of which has the context window to itself. Pure.

import type { GatewayError } from '../errors.ts'
import type { Bound } from './dialect.ts'
import { invalidField } from './fields.ts'

/** How many inputs a field holds: a string, an array of strings, an array of tokens, an array of those. */
export function countInputs(value: unknown, field: string): number | GatewayError {
  if (typeof value === 'string') return 1
  if (!Array.isArray(value)) return invalidField(field, 'a string or an array')
  return value.length > 0 && value.every((one) => typeof one === 'number') ? 1 : Math.max(1, value.length)
}

/** Smaller than any model's context window. */
const SLICE_TOKENS = 256

/**
 * A bound for many inputs, each of which may fill the context window. The quote caps a round at that window, so their tokens
 * are split into rounds that stay below it.
 */
export function inSlices(tokens: number): Pick<Bound, 'input_tokens' | 'rounds'> {
  const rounds = Math.max(1, Math.ceil(tokens / SLICE_TOKENS))
  return { input_tokens: Math.ceil(tokens / rounds), rounds }
}
