// Gemini's embeddings: what one can use at most, and what it used. Older models report no usage. Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import { isObject, meterAnswer, NO_USAGE, PLAIN_BOUND, stringOrNull, tokenCount, UNREAD } from './answer.ts'
import type { Asked, Bound, JsonObject, Meter } from './dialect.ts'
import { invalidField } from './fields.ts'
import { holdsOnlyText } from './gemini-contents.ts'
import { fieldsOf, listOf, messageAt, type Reading, startReading, unknownIn } from './gemini-fields.ts'
import { modelInPath, refuseOtherModel, refuseQuery } from './gemini-request.ts'
import { googleErrorClass } from './google-errors.ts'
import { inSlices } from './many-inputs.ts'
import { tokensOfText } from './text-bound.ts'

const KNOWN_FIELDS = new Set(['content', 'model', 'outputDimensionality', 'taskType', 'title'])
const KNOWN_BATCH_FIELDS = new Set(['model', 'requests'])

export function readEmbedBound(asked: Asked): Bound | GatewayError {
  return readBound(asked, (body, reading) => readRequest(body, '', reading))
}

export function readBatchEmbedBound(asked: Asked): Bound | GatewayError {
  const bound = readBound(asked, (body, reading) => {
    const fields = fieldsOf(body, '', reading)
    reading.unbounded ??= unknownIn(fields, KNOWN_BATCH_FIELDS, '')
    reading.refusal ??= refuseOtherModel(fields.model, reading.model, 'model')
    if (fields.requests === undefined) reading.refusal ??= invalidField('requests', 'an array')
    for (const [at, request] of listOf(fields.requests).entries()) {
      readRequest(messageAt(request, `requests[${at}]`, reading), `requests[${at}].`, reading)
    }
  })
  // The window bounds each text and not their sum.
  return isRefusal(bound) ? bound : { ...bound, ...inSlices(bound.input_tokens) }
}

function readBound(
  { body, bytes, params, query }: Asked,
  read: (body: JsonObject, reading: Reading) => void,
): Bound | GatewayError {
  const model = modelInPath(params)
  const refused = refuseQuery(query)
  if (refused) return refused
  const reading = startReading(model)
  read(body, reading)
  if (reading.refusal) return reading.refusal
  const { unbounded } = reading
  return { ...PLAIN_BOUND, model, stream: false, input_tokens: tokensOfText(body, bytes), unbounded, output: null }
}

function readRequest(request: JsonObject, path: string, reading: Reading): void {
  const fields = fieldsOf(request, path, reading)
  reading.refusal ??= refuseOtherModel(fields.model, reading.model, `${path}model`)
  reading.unbounded ??= unknownIn(fields, KNOWN_FIELDS, path)
  // Each kind of media has a rate of its own here.
  if (!holdsOnlyText(fields.content)) reading.unbounded ??= `${path}content`
}

export function meterEmbed(): Meter {
  return meterAnswer(({ error, usageMetadata, modelVersion, embedding, embeddings }) => {
    const error_class = isObject(error) ? googleErrorClass(error) : null
    const input_tokens = isObject(usageMetadata) ? tokenCount(usageMetadata.promptTokenCount) : 0
    return {
      ...UNREAD,
      usage: input_tokens > 0 ? { ...NO_USAGE, input_tokens } : null,
      complete: error_class === null && (isObject(embedding) || Array.isArray(embeddings)),
      may_hide_output: false,
      response_model: stringOrNull(modelVersion),
      error_class,
    }
  })
}
