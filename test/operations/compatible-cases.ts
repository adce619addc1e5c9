// How each operation of each OpenAI-compatible provider is called, and what it costs by their list prices.

import { KNOWN_PROVIDERS } from '../../src/providers/compatible/table.ts'
import { alsoStreamed, type Case, type Paid } from './case.ts'
import { CHAT_SAYS, RESPONSE_SAYS, USED } from './openai-cases.ts'

interface Models {
  chat: string
  priced_as?: string
  /** Nano-dollars a token: input, cached input, output. */
  rates: [input: number, cached: number, output: number]
  completions?: { model: string; rates: [input: number, output: number] }
  /** A price of null: none is known. */
  embeddings?: { model: string; rate: number | null }
  responses?: true
  models?: string
}

/** Dollars a million tokens are thousands of nano-dollars a token. */
const MODELS: Record<string, Models> = {
  groq: { chat: 'openai/gpt-oss-20b', rates: [75, 37.5, 300], responses: true, models: 'gpt-4o-mini' },
  mistral: {
    chat: 'mistral-large-latest',
    priced_as: 'mistral-large',
    rates: [2_000, 2_000, 6_000],
    embeddings: { model: 'mistral-embed', rate: 100 },
    models: 'gpt-4o-mini',
  },
  deepseek: { chat: 'deepseek-v3.2', rates: [228.8, 228.8, 343.2], models: 'gpt-4o-mini' },
  xai: { chat: 'grok-4.3', rates: [1_250, 200, 2_500], responses: true, models: 'gpt-4o-mini' },
  together: {
    chat: 'meta-llama/Llama-3.3-70B-Instruct-Turbo',
    rates: [1_040, 1_040, 1_040],
    completions: { model: 'mistralai/Mixtral-8x7B-Instruct-v0.1', rates: [900, 900] },
    embeddings: { model: 'BAAI/bge-large-en-v1.5', rate: null },
    models: 'gpt-4o-mini',
  },
  openrouter: {
    chat: 'openai/gpt-4o-mini',
    rates: [150, 75, 600],
    responses: true,
    embeddings: { model: 'openai/text-embedding-3-small', rate: null },
    models: 'gpt-4o-mini',
  },
  azure: {
    chat: 'gpt-4o-mini',
    rates: [150, 75, 600],
    completions: { model: 'gpt-3.5-turbo-instruct', rates: [1_500, 2_000] },
    embeddings: { model: 'text-embedding-3-small', rate: 20 },
    responses: true,
    models: 'gpt-4o-mini',
  },
  'workers-ai': {
    chat: '@cf/meta/llama-3.1-8b-instruct',
    rates: [282, 282, 827],
    embeddings: { model: '@cf/baai/bge-m3', rate: 12 },
    responses: true,
  },
}

export const COMPATIBLE_PROVIDERS = KNOWN_PROVIDERS.map(({ name }) => name)

export const COMPATIBLE_CASES: Record<string, Case[]> = Object.fromEntries(
  Object.entries(MODELS).map(([provider, models]) => [provider, casesOf(models)]),
)

function casesOf({ chat, priced_as = chat, rates, completions, embeddings, responses, models }: Models): Case[] {
  const [input, cached, output] = rates
  const paid = { used: USED, cost: Math.ceil(24 * input + 16 * cached + 30 * output), priced_as }
  const messages = [{ role: 'user', content: 'Hello' }]
  return [
    ...alsoStreamed({
      operation: 'chat_completions',
      send: { path: '/v1/chat/completions', json: { model: chat, messages, max_tokens: 50 } },
      is: { ...paid, says: CHAT_SAYS },
    }),
    ...(responses
      ? alsoStreamed({
          operation: 'responses',
          send: { path: '/v1/responses', json: { model: chat, input: 'Hello', max_output_tokens: 50 } },
          is: { ...paid, says: RESPONSE_SAYS },
        })
      : []),
    ...(completions ? completed(completions) : []),
    ...(embeddings ? [embedded(embeddings)] : []),
    ...(models ? listed(models) : []),
  ]
}

function completed({ model, rates: [input, output] }: NonNullable<Models['completions']>): Case[] {
  return alsoStreamed({
    operation: 'completions',
    send: { path: '/v1/completions', json: { model, prompt: 'Hello', max_tokens: 30 } },
    is: {
      says: { prompt_tokens: 20, completion_tokens: 30, total_tokens: 50 },
      used: { input_tokens: 20, output_tokens: 30 },
      cost: 20 * input + 30 * output,
      priced_as: model,
    },
  })
}

function embedded({ model, rate }: NonNullable<Models['embeddings']>): Case {
  const price: Pick<Paid, 'cost' | 'priced_as' | 'under_cost_cap'> =
    rate === null
      ? { cost: 0, priced_as: null, under_cost_cap: { code: 'unpriced_model', field: 'model' } }
      : { cost: 12 * rate, priced_as: model }
  return {
    operation: 'embeddings',
    send: { path: '/v1/embeddings', json: { model, input: 'Hello' } },
    is: { says: { prompt_tokens: 12, total_tokens: 12 }, used: { input_tokens: 12 }, ...price },
  }
}

function listed(model: string): Case[] {
  return [
    { operation: 'models_list', send: { method: 'GET', path: '/v1/models' }, is: 'free' },
    { operation: 'models_get', send: { method: 'GET', path: `/v1/models/${model}` }, is: 'free' },
  ]
}
