// OpenAI's files and batches. A batch is as large as its file, and no field says how large that is: it has no bound. What it
// used is known once it has ended and anyone asks for it. Pure.

import { errorClass, isObject, meterAnswer, NO_USAGE, PLAIN_BOUND, stringOrNull, UNREAD } from './answer.ts'
import type { Concluded, JsonObject, Meter, Operation, TokenUsage } from './dialect.ts'
import { imagesAmong } from './openai-images-meter.ts'
import { readTotals } from './openai-responses-meter.ts'
import { refusedList, unmetered } from './refusals.ts'

/** A batch has 24 hours to run, and then there are 24 more for someone to ask for it. */
const BATCH_HELD_MS = 48 * 3_600_000

/** OpenAI's own limit of the requests in a batch: their sum may be more tokens than one model takes. */
const MAX_REQUESTS = 50_000

const ENDED = new Set<unknown>(['completed', 'failed', 'expired', 'cancelled'])

export const fileOperations: Operation[] = [
  { ...unmetered('files_create', '/v1/files', 'POST'), takes: 'form' },
  refusedList('files_list', '/v1/files', 'Files'),
  unmetered('files_get', '/v1/files/:id'),
  unmetered('files_content', '/v1/files/:id/content'),
  unmetered('files_delete', '/v1/files/:id', 'DELETE'),
]

export const batchOperations: Operation[] = [
  {
    name: 'batches_create',
    method: 'POST',
    path: '/v1/batches',
    readBound: ({ bytes }) => ({
      ...PLAIN_BOUND,
      model: null,
      stream: false,
      input_tokens: bytes,
      unbounded: 'input_file_id',
      output: { max_tokens: null, min_tokens: 1, choices: 1 },
      service_tier: 'batch',
    }),
    meter: () => () => meterBatch(true),
    continues_for_ms: BATCH_HELD_MS,
    ended_told_by: 'batches_get',
  },
  refusedList('batches_list', '/v1/batches', 'Batches'),
  { ...unmetered('batches_get', '/v1/batches/:id'), meter: () => () => meterBatch(false) },
  { ...unmetered('batches_cancel', '/v1/batches/:id/cancel', 'POST'), meter: () => () => meterBatch(false) },
]

function meterBatch(created: boolean): Meter {
  return meterAnswer((answer) => {
    const blank = { ...UNREAD, may_hide_output: created }
    const error_class = answer.error ? errorClass(answer.error) : null
    const id = answer.object === 'batch' ? stringOrNull(answer.id) : null
    if (id === null) return { ...blank, complete: !created, error_class }
    return {
      ...blank,
      complete: true,
      service_tier: 'batch',
      // Also where it is over at once: the price is that of its model, which the call that made it does not name.
      continues_as: created ? id : null,
      concluded: ENDED.has(answer.status) ? [concludeBatch(id, answer)] : [],
    }
  })
}

function concludeBatch(id: string, batch: JsonObject): Concluded {
  // `failed` means that the file was not valid: none of its requests ran.
  const neverRan = batch.status === 'failed' && !(isObject(batch.request_counts) && batch.request_counts.completed)
  return {
    id,
    usage: readUsage(batch) ?? (neverRan ? NO_USAGE : null),
    longest_input_tokens: null,
    model: stringOrNull(batch.model),
    service_tier: 'batch',
    error_class: batch.status === 'failed' ? 'upstream_invalid_request' : null,
  }
}

function readUsage({ usage, model }: JsonObject): TokenUsage | null {
  const read = readTotals(usage, MAX_REQUESTS)
  if (read === null || !isObject(usage) || !/image/.test(String(model))) return read
  return {
    ...read,
    image_input_tokens: imagesAmong(read.input_tokens, usage.input_tokens_details, MAX_REQUESTS),
    image_output_tokens: imagesAmong(read.output_tokens, usage.output_tokens_details, MAX_REQUESTS),
  }
}
