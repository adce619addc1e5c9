// How each operation of OpenAI's is called, and what it costs by OpenAI's list prices.

import { alsoStreamed, type Case, free, refused, type UnderCap } from './case.ts'

const CHAT = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }], max_completion_tokens: 50 }
const RESPONSE = { model: 'gpt-4.1-mini', input: 'Hello', max_output_tokens: 50 }

const CHAT_SAYS = {
  prompt_tokens: 40,
  completion_tokens: 30,
  total_tokens: 70,
  prompt_tokens_details: { cached_tokens: 16, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 12, audio_tokens: 0 },
}
const RESPONSE_SAYS = {
  input_tokens: 40,
  input_tokens_details: { cached_tokens: 16 },
  output_tokens: 30,
  output_tokens_details: { reasoning_tokens: 12 },
  total_tokens: 70,
}
const USED = { input_tokens: 40, cached_input_tokens: 16, output_tokens: 30, reasoning_tokens: 12 }

const unbounded = (field: string): UnderCap => ({ code: 'unbounded_request', field })
const unpriced: UnderCap = { code: 'unpriced_model', field: 'model' }

const MADE_RESPONSE = { path: '/v1/responses', json: { ...RESPONSE, background: true } }
const MADE_FILE = { path: '/v1/files', form: { purpose: 'batch', file: null } }
const BATCH = { input_file_id: 'file-1', endpoint: '/v1/chat/completions', completion_window: '24h' }
const MADE_BATCH = { path: '/v1/batches', json: BATCH }

const IMAGE = { model: 'gpt-image-1', prompt: 'a cat', quality: 'medium' }
const IMAGE_PAID = {
  says: { input_tokens: 100, input_tokens_details: { text_tokens: 60, image_tokens: 40 }, output_tokens: 1_000 },
  used: { input_tokens: 100, image_input_tokens: 40, output_tokens: 1_000, image_output_tokens: 1_000 },
  // $5 (text), $10 (images) and $40 a million.
  cost: 60 * 5_000 + 40 * 10_000 + 1_000 * 40_000,
  priced_as: 'gpt-image-1',
}
/** Paid by the image, at a price that nobody has set. */
const DALL_E_PAID = {
  used: {},
  cost: 0,
  priced_as: null,
  under_token_cap: 'fits',
  under_cost_cap: unpriced,
} as const

const TRANSCRIPT_PAID = {
  says: {
    type: 'tokens',
    input_tokens: 100,
    input_token_details: { text_tokens: 10, audio_tokens: 90 },
    output_tokens: 20,
    total_tokens: 120,
  },
  used: { input_tokens: 100, audio_input_tokens: 90, output_tokens: 20 },
  // $2.50 (text), $6 (audio) and $10 a million.
  cost: 10 * 2_500 + 90 * 6_000 + 20 * 10_000,
  priced_as: 'gpt-4o-transcribe',
}
/** $0.006 a minute, which is 100,000 nano-dollars a second. Nothing bounds how long a file is. */
const whisper = (seconds: number) => ({
  used: {},
  cost: seconds * 100_000,
  priced_as: 'whisper-1',
  under_token_cap: unbounded('file'),
  under_cost_cap: unbounded('file'),
})

export const OPENAI_CASES: Case[] = [
  ...alsoStreamed({
    operation: 'chat_completions',
    send: { path: '/v1/chat/completions', json: CHAT },
    // $0.15, $0.075 (cached) and $0.60 a million.
    is: { says: CHAT_SAYS, used: USED, cost: 24 * 150 + 16 * 75 + 30 * 600, priced_as: 'gpt-4o-mini' },
  }),
  {
    operation: 'chat_completions',
    how: 'at the priority tier',
    send: { path: '/v1/chat/completions', json: { ...CHAT, service_tier: 'priority' } },
    is: {
      says: CHAT_SAYS,
      used: USED,
      // $0.25, $0.125 and $1 a million: 167 percent, rounded up.
      cost: 24 * 250.5 + 16 * 125.25 + 30 * 1_002,
      priced_as: 'gpt-4o-mini',
      service_tier: 'priority',
    },
  },
  ...alsoStreamed({
    operation: 'completions',
    send: { path: '/v1/completions', json: { model: 'gpt-3.5-turbo-instruct', prompt: 'Hello', max_tokens: 30 } },
    is: {
      says: { prompt_tokens: 20, completion_tokens: 30, total_tokens: 50 },
      used: { input_tokens: 20, output_tokens: 30 },
      // $1.50 and $2 a million.
      cost: 20 * 1_500 + 30 * 2_000,
      priced_as: 'gpt-3.5-turbo-instruct',
    },
  }),
  ...alsoStreamed({
    operation: 'responses',
    send: { path: '/v1/responses', json: RESPONSE },
    // $0.40, $0.10 (cached) and $1.60 a million.
    is: { says: RESPONSE_SAYS, used: USED, cost: 24 * 400 + 16 * 100 + 30 * 1_600, priced_as: 'gpt-4.1-mini' },
  }),
  {
    operation: 'responses',
    how: 'with two web searches',
    send: { path: '/v1/responses', json: { ...RESPONSE, tools: [{ type: 'web_search' }], max_tool_calls: 2 } },
    is: {
      says: RESPONSE_SAYS,
      used: { ...USED, web_search_requests: 2 },
      // $10 a thousand searches, and 8,000 tokens of input for what each of them finds.
      cost: 24 * 400 + 16 * 100 + 30 * 1_600 + 2 * (10_000_000 + 8_000 * 400),
      priced_as: 'gpt-4.1-mini',
    },
  },
  {
    operation: 'responses',
    how: 'in the background',
    send: { path: '/v1/responses', json: { ...RESPONSE, background: true } },
    is: {
      says: RESPONSE_SAYS,
      used: USED,
      cost: 24 * 400 + 16 * 100 + 30 * 1_600,
      priced_as: 'gpt-4.1-mini',
      goes_on_until: '/v1/responses/:id',
    },
  },
  free('responses_input_tokens', {
    path: '/v1/responses/input_tokens',
    json: { model: 'gpt-4.1-mini', input: 'Hello' },
  }),
  free('responses_get', { method: 'GET', path: '/v1/responses/:id' }, MADE_RESPONSE),
  free('responses_cancel', { method: 'POST', path: '/v1/responses/:id/cancel' }, MADE_RESPONSE),
  free('responses_delete', { method: 'DELETE', path: '/v1/responses/:id' }, MADE_RESPONSE),
  free('responses_input_items', { method: 'GET', path: '/v1/responses/:id/input_items' }, MADE_RESPONSE),
  {
    operation: 'embeddings',
    send: { path: '/v1/embeddings', json: { model: 'text-embedding-3-small', input: 'Hello' } },
    is: {
      says: { prompt_tokens: 12, total_tokens: 12 },
      used: { input_tokens: 12 },
      // $0.02 a million.
      cost: 12 * 20,
      priced_as: 'text-embedding-3-small',
    },
  },
  free('moderations', { path: '/v1/moderations', json: { model: 'omni-moderation-latest', input: 'Hello' } }),
  ...alsoStreamed({
    operation: 'images_generations',
    send: { path: '/v1/images/generations', json: IMAGE },
    is: IMAGE_PAID,
  }),
  {
    operation: 'images_generations',
    how: 'by the piece',
    send: { path: '/v1/images/generations', json: { model: 'dall-e-3', prompt: 'a cat' } },
    is: DALL_E_PAID,
  },
  ...alsoStreamed(
    {
      operation: 'images_edits',
      send: { path: '/v1/images/edits', form: { ...IMAGE, image: null } },
      is: IMAGE_PAID,
    },
    { form: { ...IMAGE, image: null, stream: 'true' } },
  ),
  {
    operation: 'images_variations',
    send: { path: '/v1/images/variations', form: { model: 'dall-e-2', image: null } },
    is: DALL_E_PAID,
  },
  ...alsoStreamed(
    {
      operation: 'audio_transcriptions',
      send: { path: '/v1/audio/transcriptions', form: { model: 'gpt-4o-transcribe', file: null } },
      is: TRANSCRIPT_PAID,
    },
    { form: { model: 'gpt-4o-transcribe', file: null, stream: 'true' } },
  ),
  {
    operation: 'audio_transcriptions',
    how: 'by the second',
    send: { path: '/v1/audio/transcriptions', form: { model: 'whisper-1', file: null } },
    is: { ...whisper(90), says: { type: 'duration', seconds: 90 } },
  },
  {
    operation: 'audio_translations',
    // The fake's file lasts 61.2 seconds.
    send: { path: '/v1/audio/translations', form: { model: 'whisper-1', file: null, response_format: 'verbose_json' } },
    is: whisper(62),
  },
  {
    operation: 'audio_speech',
    send: { path: '/v1/audio/speech', json: { model: 'tts-1', input: 'Hello there', voice: 'alloy' } },
    // $15 a million characters, of which there are 11.
    is: { used: {}, cost: 11 * 15_000, priced_as: 'tts-1', under_token_cap: 'fits' },
  },
  {
    operation: 'audio_speech',
    how: 'streamed, by the token',
    stream: true,
    send: {
      path: '/v1/audio/speech',
      json: { model: 'gpt-4o-mini-tts', input: 'Hello there', voice: 'alloy', stream_format: 'sse' },
    },
    is: {
      says: { input_tokens: 14, output_tokens: 101, total_tokens: 115 },
      used: { input_tokens: 14, output_tokens: 101 },
      // $0.60 and $12 a million.
      cost: 14 * 600 + 101 * 12_000,
      priced_as: 'gpt-4o-mini-tts',
      under_token_cap: unbounded('model'),
      under_cost_cap: unbounded('model'),
    },
  },
  free('files_create', MADE_FILE),
  refused('files_list', '/v1/files', /other callers/),
  free('files_get', { method: 'GET', path: '/v1/files/:id' }, MADE_FILE),
  free('files_content', { method: 'GET', path: '/v1/files/:id/content' }, MADE_FILE),
  free('files_delete', { method: 'DELETE', path: '/v1/files/:id' }, MADE_FILE),
  {
    operation: 'batches_create',
    send: MADE_BATCH,
    is: {
      // The fake's batch says: 1,000 in (200 of them cached), 500 out (100 of them reasoning).
      used: { input_tokens: 1_000, cached_input_tokens: 200, output_tokens: 500, reasoning_tokens: 100 },
      // Half of $0.15 and $0.60 a million: batches have no discount for what was cached.
      cost: 1_000 * 75 + 500 * 300,
      priced_as: 'gpt-4o-mini',
      service_tier: 'batch',
      under_token_cap: unbounded('input_file_id'),
      under_cost_cap: unbounded('input_file_id'),
      goes_on_until: '/v1/batches/:id',
    },
  },
  refused('batches_list', '/v1/batches', /other callers/),
  free('batches_get', { method: 'GET', path: '/v1/batches/:id' }, MADE_BATCH),
  free('batches_cancel', { method: 'POST', path: '/v1/batches/:id/cancel' }, MADE_BATCH),
  refused('realtime', '/v1/realtime', /realtime/),
  free('models_list', { method: 'GET', path: '/v1/models' }),
  free('models_get', { method: 'GET', path: '/v1/models/gpt-4o-mini' }),
]

/** What OpenAI's dialect shares with those of compatible providers. */
export { CHAT_SAYS, RESPONSE_SAYS, USED }
