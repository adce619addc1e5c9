// OpenAI's embeddings: input alone, bounded by its bytes; moderations, which are free. Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import {
  errorClass,
  isObject,
  isWhole,
  meterAnswer,
  NO_USAGE,
  PLAIN_BOUND,
  stringOrNull,
  tokenCount,
  UNREAD,
} from './answer.ts'
import type { Bound, JsonObject, Meter, Metered, Operation, TokenUsage } from './dialect.ts'
import { readModel, unknownField } from './fields.ts'
import { leaveOutArrays } from './leave-out-arrays.ts'
import { shortenStrings } from './long-strings.ts'
import { countInputs, inSlices } from './many-inputs.ts'
import { unmetered } from './refusals.ts'
import { tokensOfText } from './text-bound.ts'

/** The `output_` ones are Mistral's. */
const KNOWN_FIELDS = new Set('model input dimensions encoding_format user output_dimension output_dtype'.split(' '))

export const embeddings: Operation = {
  name: 'embeddings',
  method: 'POST',
  path: '/v1/embeddings',
  readBound: ({ body, bytes }) => readEmbeddingsBound(body, bytes),
  meter: () => meterEmbeddings,
}

export const moderations = unmetered('moderations', '/v1/moderations', 'POST')

/** Bytes also bound tokens that are sent as numbers: each has a digit and a comma. */
function readEmbeddingsBound(body: JsonObject, bytes: number): Bound | GatewayError {
  const model = readModel(body)
  if (isRefusal(model)) return model
  const inputs = countInputs(body.input, 'input')
  if (isRefusal(inputs)) return inputs
  return {
    ...PLAIN_BOUND,
    ...inSlices(tokensOfText(body, bytes)),
    model,
    stream: false,
    unbounded: unknownField(body, KNOWN_FIELDS) ?? findMedia(body.input),
    output: null,
  }
}

/** Compatible providers take images and sound by URL in `input`: https://openrouter.ai/docs/api_reference/embeddings */
function findMedia(input: unknown): string | null {
  const isToken = (one: unknown) => typeof one === 'number'
  const isText = (one: unknown) => typeof one === 'string' || isToken(one) || (Array.isArray(one) && one.every(isToken))
  const at = Array.isArray(input) ? input.findIndex((one) => !isText(one)) : -1
  return at === -1 ? null : `input[${at}]`
}

/** Embeddings as base64 are longer than this; names and messages are not. */
const MAX_STRING_BYTES = 1_024

/** The vectors are not read, whether numbers or base64: two thousand of them are more than is kept of an answer. */
function meterEmbeddings(): Meter {
  const leaveOut = leaveOutArrays('embedding')
  const strings = shortenStrings(MAX_STRING_BYTES)
  const meter = meterAnswer(readEmbeddings)
  return { ...meter, push: (bytes) => meter.push(strings.push(leaveOut(bytes))) }
}

const readEmbeddings = ({ data, usage, model, error }: JsonObject): Metered => ({
  ...UNREAD,
  may_hide_output: false,
  complete: Array.isArray(data),
  usage: readEmbeddingsUsage(usage),
  response_model: stringOrNull(model),
  error_class: error ? errorClass(error) : null,
})

/** Null also for 0: some servers report that where they did not count. */
function readEmbeddingsUsage(usage: unknown): TokenUsage | null {
  if (!isObject(usage) || typeof usage.prompt_tokens !== 'number') return null
  const read = { ...NO_USAGE, input_tokens: Math.max(tokenCount(usage.prompt_tokens), tokenCount(usage.total_tokens)) }
  return isWhole(read) && read.input_tokens > 0 ? read : null
}
