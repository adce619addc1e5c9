// OpenAI's legacy completions: what one can use at most, and its edits. Usage is read as a chat's is. Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import { changeEnd, PLAIN_BOUND } from './answer.ts'
import type { Bound, JsonObject, Operation } from './dialect.ts'
import { editBound, readBoolean, readModel, readPositiveInteger, unknownField } from './fields.ts'
import { countInputs, inSlices } from './many-inputs.ts'
import { askForUsage, isStreamWithoutUsage, MAX_CHOICES, readUsageFlag } from './openai-chat.ts'
import { meterChat } from './openai-meter.ts'
import { tokensOfText, utf8Length } from './text-bound.ts'
import { createUsageChunkFilter } from './usage-chunk-filter.ts'

const KNOWN_FIELDS = new Set(
  `best_of echo frequency_penalty logit_bias logprobs max_tokens model n presence_penalty prompt seed stop stream
  stream_options suffix temperature top_p user`.split(/\s+/),
)

export const completions: Operation = {
  name: 'completions',
  method: 'POST',
  path: '/v1/completions',
  readBound: ({ body, bytes }) => readCompletionsBound(body, bytes),
  edits: ({ body }, granted) => [...askForUsage(body), ...editBound(body, 'max_tokens', granted)],
  filter: ({ body }) => (isStreamWithoutUsage(body) ? createUsageChunkFilter() : null),
  meter({ body }) {
    const { n, best_of, prompts } = readCounts(body)
    // The candidates of `best_of` that are not chosen are billed and never seen.
    const open = meterChat(body, n * prompts, best_of > n)
    if (body.max_tokens !== 0) return open
    // Nothing is generated: what the answer shows is the prompt.
    return (head) => changeEnd(open(head), (metered) => ({ ...metered, seen_output_bytes: 0 }))
  },
}

function readCompletionsBound(body: JsonObject, bytes: number): Bound | GatewayError {
  const model = readModel(body)
  if (isRefusal(model)) return model
  const stream = readBoolean(body, 'stream')
  if (isRefusal(stream)) return stream
  const usageFlag = readUsageFlag(body)
  if (isRefusal(usageFlag)) return usageFlag
  const prompts = countInputs(body.prompt ?? '', 'prompt')
  if (isRefusal(prompts)) return prompts
  for (const field of ['n', 'best_of']) {
    const count = readPositiveInteger(body, field, { most: MAX_CHOICES })
    if (isRefusal(count)) return count
  }
  // Scoring a prompt (`echo` and `logprobs`) asks for no token: 0 is allowed here.
  const max_tokens = body.max_tokens === 0 ? 1 : readPositiveInteger(body, 'max_tokens')
  if (isRefusal(max_tokens)) return max_tokens
  const { n, best_of } = readCounts(body)
  // Each prompt is followed by it.
  const { suffix } = body
  const suffix_tokens = typeof suffix === 'string' ? tokensOfText({ suffix }, utf8Length(suffix)) : 0
  return {
    ...PLAIN_BOUND,
    ...inSlices(tokensOfText(body, bytes) + (prompts - 1) * suffix_tokens),
    model,
    stream,
    unbounded: unknownField(body, KNOWN_FIELDS),
    output: { max_tokens, min_tokens: 1, choices: Math.max(n, best_of) * prompts },
  }
}

/** Only for a body that `readBound` has accepted. */
function readCounts(body: JsonObject): { n: number; best_of: number; prompts: number } {
  const prompts = countInputs(body.prompt ?? '', 'prompt')
  return { n: Number(body.n ?? 1), best_of: Number(body.best_of ?? 1), prompts: isRefusal(prompts) ? 1 : prompts }
}
