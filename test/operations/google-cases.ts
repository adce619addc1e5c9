// How each operation of Gemini's and of the services that are paid by the call is called, and what it costs.

import type { Case, Paid } from './case.ts'

const GENERATE = { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }], generationConfig: { maxOutputTokens: 50 } }
const FLASH: Paid = {
  says: {
    promptTokenCount: 40,
    cachedContentTokenCount: 16,
    toolUsePromptTokenCount: 5,
    candidatesTokenCount: 20,
    thoughtsTokenCount: 10,
    totalTokenCount: 75,
  },
  used: { input_tokens: 45, cached_input_tokens: 16, output_tokens: 30, reasoning_tokens: 10 },
  // $0.30, $0.03 (cached) and $2.50 a million.
  cost: 29 * 300 + 16 * 30 + 30 * 2_500,
  priced_as: 'gemini-2.5-flash',
}
const EMBEDDING: Paid = {
  says: { promptTokenCount: 6 },
  says_at: 'usageMetadata',
  used: { input_tokens: 6 },
  // $0.15 a million.
  cost: 6 * 150,
  priced_as: 'gemini-embedding-001',
}
const CONTENT = { parts: [{ text: 'Hello' }] }
const model = (call: string) => `/v1beta/models/${call}`

export const GEMINI_CASES: Case[] = [
  {
    operation: 'generate_content',
    send: { path: model('gemini-2.5-flash:generateContent'), json: GENERATE },
    is: FLASH,
  },
  ...['', '?alt=sse'].map((query) => ({
    operation: 'stream_generate_content',
    how: query === '' ? 'as an array that grows' : 'as events',
    stream: true,
    send: { path: `${model('gemini-2.5-flash:streamGenerateContent')}${query}`, json: GENERATE },
    is: FLASH,
  })),
  {
    operation: 'embed_content',
    send: { path: model('gemini-embedding-001:embedContent'), json: { content: CONTENT } },
    is: EMBEDDING,
  },
  {
    operation: 'batch_embed_contents',
    send: {
      path: model('gemini-embedding-001:batchEmbedContents'),
      json: { requests: [{ model: 'models/gemini-embedding-001', content: CONTENT }] },
    },
    is: EMBEDDING,
  },
  {
    operation: 'count_tokens',
    send: { path: model('gemini-2.5-flash:countTokens'), json: { contents: GENERATE.contents } },
    is: 'free',
  },
  { operation: 'models_list', send: { method: 'GET', path: '/v1beta/models' }, is: 'free' },
  { operation: 'models_get', send: { method: 'GET', path: model('gemini-2.5-flash') }, is: 'free' },
]

/** Of dollars a thousand calls. */
const perCall = (priced_as: string, usd_per_thousand: number): Paid => ({
  used: {},
  cost: usd_per_thousand * 1_000_000,
  priced_as,
  under_token_cap: 'fits',
})
const masked = (mask: string) => ({ 'x-goog-fieldmask': mask })

export const PLACES_CASES: Case[] = [
  {
    operation: 'search_text',
    send: { path: '/v1/places:searchText', headers: masked('places.displayName'), json: { textQuery: 'cafe' } },
    is: perCall('text-search-pro', 32),
  },
  {
    operation: 'search_nearby',
    send: { path: '/v1/places:searchNearby', headers: masked('places.id,places.rating'), json: { maxResultCount: 1 } },
    is: perCall('nearby-search-enterprise', 35),
  },
  {
    operation: 'autocomplete',
    send: { path: '/v1/places:autocomplete', json: { input: 'caf' } },
    is: perCall('autocomplete-request', 2.83),
  },
  {
    operation: 'place_details',
    send: { method: 'GET', path: '/v1/places/ChIJfake', headers: masked('id,formattedAddress') },
    is: perCall('place-details-essentials', 5),
  },
  {
    operation: 'place_details',
    how: 'with a field of the dearest kind',
    send: { method: 'GET', path: '/v1/places/ChIJfake', headers: masked('id,reviews') },
    is: perCall('place-details-enterprise-atmosphere', 25),
  },
  {
    operation: 'place_photo',
    send: { method: 'GET', path: '/v1/places/ChIJfake/photos/a/media?skipHttpRedirect=true' },
    is: perCall('place-photo', 7),
  },
]

/** A service by configuration alone. */
export const THINGS_ROUTES = [
  { name: 'make', method: 'POST', path: '/things', usd_per_request: 0.002 },
  { name: 'look', method: 'GET', path: '/things/:id', usd_per_request: 0.0005 },
]

export const THINGS_CASES: Case[] = [
  { operation: 'make', send: { path: '/things', json: { a: 1 } }, is: perCall('make', 2) },
  { operation: 'look', send: { method: 'GET', path: '/things/1' }, is: perCall('look', 0.5) },
]
