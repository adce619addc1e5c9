// OpenAI's API as Tollgate knows it: which operations it can meter, and how its SDKs expect to be refused. Pure.

import { readBearer } from './bearer.ts'
import type { Dialect, Operation } from './dialect.ts'
import { audioOperations } from './openai-audio.ts'
import { batchOperations, fileOperations } from './openai-batches.ts'
import { editChat, isStreamWithoutUsage, readChatBound } from './openai-chat.ts'
import { completions } from './openai-completions.ts'
import { embeddings, moderations } from './openai-embeddings.ts'
import { wireError } from './openai-errors.ts'
import { imageOperations } from './openai-images.ts'
import { meterChat } from './openai-meter.ts'
import { responseOperations } from './openai-responses.ts'
import { refusal, refused, statusOf, unmetered } from './refusals.ts'
import { sseError } from './sse.ts'
import { createUsageChunkFilter } from './usage-chunk-filter.ts'

const chatCompletions: Operation = {
  name: 'chat_completions',
  method: 'POST',
  path: '/v1/chat/completions',
  readBound: ({ body, bytes }) => readChatBound(body, bytes),
  edits: ({ body }, granted_output_tokens) => editChat(body, granted_output_tokens),
  filter: ({ body }) => (isStreamWithoutUsage(body) ? createUsageChunkFilter() : null),
  meter: ({ body }) => meterChat(body),
}

const realtime = refused(
  'realtime',
  '/v1/realtime',
  'Tollgate does not meter realtime sessions (websockets), so they are refused.',
)

/** Everything else is refused. What bounds each, and how it is metered: README.md beside this file. */
const operations: Operation[] = [
  chatCompletions,
  completions,
  ...responseOperations,
  embeddings,
  moderations,
  ...imageOperations,
  ...audioOperations,
  ...fileOperations,
  ...batchOperations,
  realtime,
  unmetered('models_list', '/v1/models'),
  unmetered('models_get', '/v1/models/:model'),
]

/** The most tokens that known models answer with; a dated or fine-tuned id that is not here is unknown. First match wins. */
const MAX_OUTPUT_TOKENS: [RegExp, number][] = [
  [/^gpt-3\.5-turbo-instruct(-0914)?$/, 4_096],
  [/^(babbage|davinci)-002$/, 16_384],
  [/^gpt-3\.5-turbo(-\d{4}|-16k)?$/, 4_096],
  [/^gpt-4(-0613|-0314)?$/, 8_192],
  [/^gpt-4-turbo(-preview|-2024-04-09)?$/, 4_096],
  [/^gpt-4o-2024-05-13$/, 4_096],
  [/^(gpt-4o(-mini)?(-\d{4}-\d{2}-\d{2})?|chatgpt-4o-latest)$/, 16_384],
  [/^gpt-4\.1(-mini|-nano)?(-\d{4}-\d{2}-\d{2})?$/, 32_768],
  [/^gpt-4\.5-preview/, 16_384],
  [/^o1-preview/, 32_768],
  [/^o1-mini/, 65_536],
  [/^o[134](-mini|-pro)?(-\d{4}-\d{2}-\d{2})?$/, 100_000],
  [/^gpt-5(\.\d+)?-chat/, 16_384],
  [/^gpt-5-pro/, 272_000],
  [/^gpt-[56]([.-]|$)/, 128_000],
]

export const openai: Dialect = {
  provider: 'openai',
  operations,
  request_id_header: 'x-request-id',
  forwarded_headers: ['content-type', 'accept', 'user-agent', 'openai-beta', 'x-client-request-id', 'x-stainless-*'],
  own_key_headers: ['openai-organization', 'openai-project'],
  readCredential: readBearer,
  setCredential(headers, credential) {
    headers.set('authorization', `Bearer ${credential}`)
  },
  errorResponse(error, request_id, cap_status) {
    // 429 as OpenAI's own insufficient_quota; the SDK raises RateLimitError, once because of x-should-retry.
    return refusal(error, statusOf(error, cap_status), { error: wireError(error) }, { 'x-request-id': request_id })
  },
  streamError: (error) => sseError({ error: wireError(error) }),
  maxOutputTokens: (model) => MAX_OUTPUT_TOKENS.find(([family]) => family.test(model))?.[1] ?? null,
}
