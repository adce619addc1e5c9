// How each operation of Anthropic's and of Bedrock's is called, and what it costs by their list prices.

import { alsoStreamed, type Case, free, type Paid, refused } from './case.ts'

const CONTENT = [{ type: 'text', text: 'Hello', cache_control: { type: 'ephemeral', ttl: '1h' } }]
const MESSAGE = {
  model: 'claude-haiku-4-5-20251001',
  max_tokens: 50,
  messages: [{ role: 'user', content: CONTENT }],
}
const SAYS = {
  input_tokens: 20,
  cache_read_input_tokens: 8,
  cache_creation_input_tokens: 10,
  cache_creation: { ephemeral_5m_input_tokens: 4, ephemeral_1h_input_tokens: 6 },
  output_tokens: 30,
  service_tier: 'standard',
}
const USED = {
  input_tokens: 38,
  cached_input_tokens: 8,
  cache_write_5m_tokens: 4,
  cache_write_1h_tokens: 6,
  output_tokens: 30,
}
const HAIKU = {
  says: SAYS,
  used: USED,
  // $1, $0.10 (cached), $1.25 and $2 (written for 5 minutes and an hour) and $5 a million.
  cost: 20 * 1_000 + 8 * 100 + 4 * 1_250 + 6 * 2_000 + 30 * 5_000,
  priced_as: 'claude-haiku-4-5',
  service_tier: 'standard',
}
const BATCH = {
  path: '/v1/messages/batches',
  json: { requests: ['a', 'b'].map((custom_id) => ({ custom_id, params: MESSAGE })) },
}

export const ANTHROPIC_CASES: Case[] = [
  ...alsoStreamed({ operation: 'messages', send: { path: '/v1/messages', json: MESSAGE }, is: HAIKU }),
  {
    operation: 'messages',
    how: 'with two web searches',
    send: {
      path: '/v1/messages',
      json: { ...MESSAGE, tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 2 }] },
    },
    is: {
      ...HAIKU,
      says: { ...SAYS, server_tool_use: { web_search_requests: 2 } },
      used: { ...USED, web_search_requests: 2 },
      // $10 a thousand searches.
      cost: HAIKU.cost + 2 * 10_000_000,
    },
  },
  {
    operation: 'message_batches_create',
    send: BATCH,
    is: {
      ...HAIKU,
      // Each of the two messages.
      says: { ...SAYS, service_tier: 'batch' },
      used: {
        input_tokens: 76,
        cached_input_tokens: 16,
        cache_write_5m_tokens: 8,
        cache_write_1h_tokens: 12,
        output_tokens: 60,
      },
      // Half of a message's price, and two messages.
      cost: HAIKU.cost,
      service_tier: 'batch',
      goes_on_until: '/v1/messages/batches/:id/results',
    },
  },
  refused('message_batches_list', '/v1/messages/batches', /other callers/),
  free('message_batches_get', { method: 'GET', path: '/v1/messages/batches/:id' }, BATCH),
  free('message_batches_results', { method: 'GET', path: '/v1/messages/batches/:id/results' }, BATCH),
  free('message_batches_cancel', { method: 'POST', path: '/v1/messages/batches/:id/cancel' }, BATCH),
  free('message_batches_delete', { method: 'DELETE', path: '/v1/messages/batches/:id' }, BATCH),
  free('count_tokens', {
    path: '/v1/messages/count_tokens',
    json: { model: MESSAGE.model, messages: MESSAGE.messages },
  }),
  free('models_list', { method: 'GET', path: '/v1/models' }),
  free('models_get', { method: 'GET', path: '/v1/models/claude-haiku-4-5-20251001' }),
]

const CLAUDE = encodeURIComponent('us.anthropic.claude-haiku-4-5-20251001-v1:0')
/** A tenth more than elsewhere: an inference profile of a region. */
const REGIONAL = {
  used: USED,
  cost: 20 * 1_100 + 8 * 110 + 4 * 1_375 + 6 * 2_200 + 30 * 5_500,
  priced_as: 'regional.anthropic.claude-haiku-4-5-20251001-v1:0',
}
const INVOKE = { anthropic_version: 'bedrock-2023-05-31', max_tokens: 50, messages: MESSAGE.messages }
const CONVERSE = {
  messages: [{ role: 'user', content: [{ text: 'Hello' }, { cachePoint: { type: 'default', ttl: '1h' } }] }],
  inferenceConfig: { maxTokens: 50 },
}
const CONVERSE_SAYS = {
  inputTokens: 20,
  outputTokens: 30,
  totalTokens: 68,
  cacheReadInputTokens: 8,
  cacheWriteInputTokens: 10,
  cacheDetails: [
    { ttl: '5m', inputTokens: 4 },
    { ttl: '1h', inputTokens: 6 },
  ],
}
const INVOKED: Paid = { ...REGIONAL, says: SAYS }
const CONVERSED: Paid = { ...REGIONAL, says: CONVERSE_SAYS }

export const BEDROCK_CASES: Case[] = [
  { operation: 'invoke_model', send: { path: `/model/${CLAUDE}/invoke`, json: INVOKE }, is: INVOKED },
  {
    operation: 'invoke_model_stream',
    stream: true,
    send: { path: `/model/${CLAUDE}/invoke-with-response-stream`, json: INVOKE },
    is: INVOKED,
  },
  { operation: 'converse', send: { path: `/model/${CLAUDE}/converse`, json: CONVERSE }, is: CONVERSED },
  {
    operation: 'converse_stream',
    stream: true,
    send: { path: `/model/${CLAUDE}/converse-stream`, json: CONVERSE },
    is: CONVERSED,
  },
  free('count_tokens', { path: `/model/${CLAUDE}/count-tokens`, json: { input: { converse: CONVERSE } } }),
]
