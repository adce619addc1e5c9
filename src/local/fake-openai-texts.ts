// OpenAI's legacy completions, embeddings and moderations, with the highest usage that they may have: a token for each byte,
// the whole output bound of every choice of every prompt. https://platform.openai.com/docs/api-reference/completions

import { objectOrEmpty } from '../providers/answer.ts'
import { MOST_CHOICES, missing, tooMany, unparsed } from './fake-openai-wire.ts'
import { events, json, type Script } from './fake-script.ts'
import { type Body, parseBody, randomId, say } from './fake-text.ts'

export function completeText(bytes: Buffer): Script {
  const body = parseBody(bytes)
  if (!body) return unparsed()
  if (typeof body.model !== 'string') return missing('model')
  const refused = tooMany(body.n, MOST_CHOICES)
  if (refused) return refused
  const bound = typeof body.max_tokens === 'number' ? body.max_tokens : 16
  const { pieces, truncated } = say({ bound })
  const prompts = countInputs(body.prompt ?? '')
  const n = Number(body.n ?? 1)
  // Each prompt is followed by it.
  const suffixes = typeof body.suffix === 'string' ? (prompts - 1) * Buffer.byteLength(body.suffix) : 0
  const usage = usageOf(body, suffixes, bound * Math.max(n, Number(body.best_of ?? 1)) * prompts)
  const common = {
    id: randomId('cmpl-', 29),
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model: body.model,
  }
  const finish_reason = truncated ? 'length' : 'stop'
  const indexes = Array.from({ length: n * prompts }, (_, index) => index)
  if (body.stream !== true) {
    const text = pieces.join('')
    const choices = indexes.map((index) => ({ text, index, logprobs: null, finish_reason }))
    return json({ ...common, choices, usage })
  }
  const includeUsage = objectOrEmpty(body.stream_options).include_usage === true
  const event = (fields: Body) => `data: ${JSON.stringify({ ...common, ...fields })}\n\n`
  const chunk = (index: number, text: string, reason: string | null) =>
    event({ choices: [{ text, index, logprobs: null, finish_reason: reason }], ...(includeUsage && { usage: null }) })
  return events([
    ...pieces.flatMap((piece) => indexes.map((index) => chunk(index, piece, null))),
    ...indexes.map((index) => chunk(index, '', finish_reason)),
    ...(includeUsage ? [event({ choices: [], usage })] : []),
    'data: [DONE]\n\n',
  ])
}

export function embed(bytes: Buffer): Script {
  const body = parseBody(bytes)
  if (!body) return unparsed()
  if (typeof body.model !== 'string') return missing('model')
  if (body.input === undefined) return missing('input')
  const vector = [0.25, -0.5, 0.75]
  const embedding =
    body.encoding_format === 'base64' ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector
  const data = Array.from({ length: countInputs(body.input) }, (_, index) => ({
    object: 'embedding',
    index,
    embedding,
  }))
  const tokens = bytes.length
  return json({ object: 'list', data, model: body.model, usage: { prompt_tokens: tokens, total_tokens: tokens } })
}

export function moderate(bytes: Buffer): Script {
  const body = parseBody(bytes)
  if (!body) return unparsed()
  const model = body.model ?? 'omni-moderation-latest'
  const results = [{ flagged: false, categories: {}, category_scores: {}, category_applied_input_types: {} }]
  return json({ id: randomId('modr-', 29), model, results })
}

/** What Tollgate adds to ask for usage is no part of a prompt. */
function usageOf({ stream_options: _, ...asked }: Body, suffixes: number, completion_tokens: number): Body {
  const prompt_tokens = Buffer.byteLength(JSON.stringify(asked)) + suffixes
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
}

function countInputs(value: unknown): number {
  return Array.isArray(value) && typeof value[0] !== 'number' ? Math.max(1, value.length) : 1
}
