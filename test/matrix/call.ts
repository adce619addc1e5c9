// A call that costs exactly so many units, held and settled, and the provider that answers it so. Pure.
//
// An OpenAI chat completion holds the most input tokens that its body can be, and its `max_tokens` as output tokens. Here the
// input bound is the same for every body, `max_tokens` makes up the rest of the units, and the provider reports that usage.

import { json, type Script } from '../../src/local/fake-script.ts'
import { tokensOfBody } from '../../src/providers/text-bound.ts'
import type { Cell, Dimension } from './cells.ts'

const MODEL = 'gpt-4o-mini'
const INPUT_TOKENS = 200
/** What the catalogue has for the model: checked against every event's cost. */
const INPUT_NANO_USD = 150
const OUTPUT_NANO_USD = 600
/** What a unit is in tokens. In every multiple of a unit, the output tokens are whole. */
const TOKENS_PER_UNIT = 250
const NANO_USD_PER_UNIT = 250 * OUTPUT_NANO_USD

/** The cap's limit, as the API takes it. */
export function limitsOf({ dimension, budget, is_short }: Pick<Cell, 'dimension' | 'budget' | 'is_short'>): object {
  const short = is_short ? 1 : 0
  if (dimension === 'requests') return { requests: budget - short }
  if (dimension === 'tokens') return { tokens: budget * TOKENS_PER_UNIT - short }
  return { cost_usd: (budget * NANO_USD_PER_UNIT - short) / 1e9 }
}

export interface Usage {
  tokens: number
  cost_nano_usd: number
}

/** What each call of a cell uses, to the token and the nano-dollar. */
export function usageOf(cell: Pick<Cell, 'dimension' | 'cost'>): Usage {
  const output = outputTokensOf(cell)
  return {
    tokens: INPUT_TOKENS + output,
    cost_nano_usd: INPUT_TOKENS * INPUT_NANO_USD + output * OUTPUT_NANO_USD,
  }
}

function outputTokensOf({ dimension, cost }: { dimension: Dimension; cost: number }): number {
  const free = dimension === 'cost' ? (INPUT_TOKENS * INPUT_NANO_USD) / OUTPUT_NANO_USD : INPUT_TOKENS
  const unit = dimension === 'cost' ? NANO_USD_PER_UNIT / OUTPUT_NANO_USD : TOKENS_PER_UNIT
  return cost * unit - free
}

/** @param user tells the provider which cell it is. */
export function bodyOf(cell: Pick<Cell, 'dimension' | 'cost' | 'stream'>, user: string): string {
  const max_tokens = outputTokensOf(cell)
  const body = (content: string) => ({
    model: MODEL,
    service_tier: 'default',
    max_tokens,
    ...(cell.stream && { stream: true }),
    user,
    messages: [{ role: 'user', content }],
  })
  const filled = tokensOfBody(body(''), JSON.stringify(body('')).length)
  return JSON.stringify(body('.'.repeat(INPUT_TOKENS - filled)))
}

/** Short, and with just the usage that was held. */
export function answerOf(body: { max_tokens: number; stream?: boolean }): Script {
  const usage = {
    prompt_tokens: INPUT_TOKENS,
    completion_tokens: body.max_tokens,
    total_tokens: INPUT_TOKENS + body.max_tokens,
  }
  const common = { id: 'chatcmpl-matrix', created: 1_750_000_000, model: MODEL, service_tier: 'default' }
  if (!body.stream) {
    const choices = [{ index: 0, message: { role: 'assistant', content: 'Yes.' }, finish_reason: 'stop' }]
    return json({ ...common, object: 'chat.completion', choices, usage })
  }
  const event = (fields: object) =>
    `data: ${JSON.stringify({ ...common, object: 'chat.completion.chunk', ...fields })}\n\n`
  const chunk = (delta: object, finish_reason: string | null) =>
    event({ choices: [{ index: 0, delta, finish_reason }], usage: null })
  return {
    headers: { 'content-type': 'text/event-stream; charset=utf-8' },
    steps: [
      chunk({ role: 'assistant', content: 'Yes.' }, null),
      `${chunk({}, 'stop')}${event({ choices: [], usage })}data: [DONE]\n\n`,
    ],
  }
}

/** Text that only a whole answer contains. */
export const markOf = ({ stream }: Pick<Cell, 'stream'>): string => (stream ? 'data: [DONE]' : '"finish_reason":"stop"')
