// The quote: the most that a call can use and cost, before it is sent. `null` means that nothing bounds it or that it
// has no price, never that it is free. Pure.

import type { Admission, Ask } from '../../durable-objects/ledger/types.ts'
import { worstCase } from '../pricing/cost.ts'
import type { Price } from '../pricing/price.ts'
import type { Bound } from '../providers/dialect.ts'

/** A call's worst case as the ledger takes it; who calls and what becomes the event are added by the gateway. */
export type Quote = Pick<Ask, 'requests' | 'input_tokens' | 'input_cost_nano_usd' | 'output'>

/** What bounds the output of a call that sets no bound itself. */
export interface OutputDefaults {
  /** The operator's. */
  default_max_output_tokens: number | null
  model_max_output_tokens: number | null
}

/** An answer cut shorter than this is of no use to anyone. */
const LEAST_USEFUL_TOKENS = 16
/** Catalogues round windows down: 1,000,000 for 1,047,576. */
const WINDOW_SLACK = 1.05
/** No model reads or answers more at once. */
const MOST_TOKENS = 1_000_000_000

/** @param bound null for an operation that uses no tokens: it counts as a request and costs nothing. */
export function quote(bound: Bound | null, price: Price | null, defaults: OutputDefaults): Quote {
  if (bound === null) return { requests: 1, input_tokens: 0, input_cost_nano_usd: 0, output: null }
  const window = price?.context_window ? Math.ceil(price.context_window * WINDOW_SLACK) : null
  const input_tokens = boundInput(bound, window)
  // An open input may be so long that the rates for the longest context apply.
  const worst = price === null ? null : worstCase(price, bound, input_tokens ?? MOST_TOKENS)
  return {
    requests: 1,
    input_tokens,
    input_cost_nano_usd: input_tokens === null ? null : (worst?.input_cost_nano_usd ?? null),
    output: bound.output && {
      ...boundOutput(bound.output, window, defaults),
      choices: bound.output.choices,
      nano_usd_per_mtok: worst?.output_nano_usd_per_mtok ?? null,
    },
  }
}

/**
 * The output bound to write into the body; null leaves the body alone. It is what was granted of a larger ask, or the
 * operator's default where the client set none, unless the model itself never answers more.
 */
export function boundToWrite(
  { granted_output_tokens, clamped }: Pick<Admission, 'granted_output_tokens' | 'clamped'>,
  bound: Bound | null,
  price: Price | null,
  { default_max_output_tokens, model_max_output_tokens }: OutputDefaults,
): number | null {
  if (granted_output_tokens === null) return null
  const isUnset = bound?.output?.max_tokens === null
  const isDefault = isUnset && default_max_output_tokens !== null
  if (!clamped && !isDefault) return null
  if (isUnset && price?.context_window) {
    // The model never answers more than this (some have a maximum beyond their window), and providers refuse so large a bound.
    const most = Math.max(price.context_window, model_max_output_tokens ?? 0)
    if (granted_output_tokens >= most) return null
  }
  return granted_output_tokens
}

function boundInput(bound: Bound, window: number | null): number | null {
  if (bound.unbounded !== null) return null
  const once = bound.open_input === null ? Math.min(bound.input_tokens, window ?? MOST_TOKENS) : window
  return once === null ? null : Math.min(once * bound.rounds, Number.MAX_SAFE_INTEGER)
}

function boundOutput(
  output: NonNullable<Bound['output']>,
  window: number | null,
  { default_max_output_tokens, model_max_output_tokens }: OutputDefaults,
): { max_tokens: number | null; min_tokens: number } {
  // The default is on top of a thinking budget that the client sets: at a bound that is not above that, providers refuse the
  // call, or think until nothing is left for the answer.
  const byDefault =
    default_max_output_tokens === null
      ? model_max_output_tokens
      : Math.min(default_max_output_tokens + output.min_tokens - 1, model_max_output_tokens ?? MOST_TOKENS)
  const bound = output.max_tokens ?? byDefault ?? window
  const useful = Math.max(output.min_tokens, LEAST_USEFUL_TOKENS)
  if (bound === null) return { max_tokens: null, min_tokens: useful }
  // Some models' window is for the input alone: their output may exceed it.
  const max_tokens = Math.min(bound, window === null ? MOST_TOKENS : Math.max(window, model_max_output_tokens ?? 0))
  return { max_tokens, min_tokens: Math.min(max_tokens, useful) }
}
