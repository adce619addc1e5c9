// OpenAI's embeddings: input alone, bounded by its bytes; moderations, which are free. Pure.

import type { GatewayError } from '../errors.ts'
import {
  bufferAnswer,
  errorClass,
  isObject,
  isWhole,
  NO_USAGE,
  PLAIN_BOUND,
  stringOrNull,
  tokenCount,
  UNREAD,
} from './answer.ts'
import type { Bound, JsonObject, Meter, Operation, TokenUsage } from './dialect.ts'
import { isRefusal, readModel, unknownField } from './fields.ts'
import { countInputs, inSlices } from './openai-input.ts'
import { unmetered } from './refusals.ts'
import { tokensOfBody } from './text-bound.ts'

const KNOWN_FIELDS = new Set(['model', 'input', 'dimensions', 'encoding_format', 'user'])

export const embeddings: Operation = {
  name: 'embeddings',
  method: 'POST',
  path: '/v1/embeddings',
  readBound: ({ body, bytes }) => readEmbeddingsBound(body, bytes),
  meter: meterEmbeddings,
}

export const moderations = unmetered('moderations', '/v1/moderations', 'POST')

/** Tokens as numbers are shorter than their digits and commas. */
export function readEmbeddingsBound(body: JsonObject, bytes: number): Bound | GatewayError {
  const model = readModel(body)
  if (isRefusal(model)) return model
  const inputs = countInputs(body.input, 'input')
  if (isRefusal(inputs)) return inputs
  return {
    ...PLAIN_BOUND,
    ...inSlices(tokensOfBody(body, bytes)),
    model,
    stream: false,
    unbounded: unknownField(body, KNOWN_FIELDS),
    output: null,
  }
}

function meterEmbeddings(): Meter {
  const buffer = bufferAnswer()
  return {
    push: buffer.push,
    end() {
      const answer = buffer.end()
      if (!isObject(answer)) return { ...UNREAD, may_hide_output: false }
      return {
        ...UNREAD,
        may_hide_output: false,
        complete: Array.isArray(answer.data),
        usage: readEmbeddingsUsage(answer.usage),
        response_model: stringOrNull(answer.model),
        error_class: answer.error ? errorClass(answer.error) : null,
      }
    },
  }
}

export function readEmbeddingsUsage(usage: unknown): TokenUsage | null {
  if (!isObject(usage) || typeof usage.prompt_tokens !== 'number') return null
  const read = { ...NO_USAGE, input_tokens: Math.max(tokenCount(usage.prompt_tokens), tokenCount(usage.total_tokens)) }
  return isWhole(read) ? read : null
}
