// GET /prices/{provider}/{model}: which price applies to a model, and why.

import { afterAll, beforeEach, expect, test } from 'vitest'
import { later, openPrices } from './prices-fixture.ts'

const { store, standing, send, newPrice, reset, close } = await openPrices()
afterAll(close)
beforeEach(reset)

const get = (path: string) => send('GET', `/prices/${path}`)

test('explains an override, with all that it leaves out filled in', async () => {
  const { id, effective_from } = (await newPrice({ model: 'gpt-4o-mini', usd_per_mtok: { input: '1', output: '2' } }))
    .body
  const next = (await newPrice({ model: 'gpt-4o-mini', effective_from: later(1) })).body
  expect(await get('openai/gpt-4o-mini')).toMatchObject({
    status: 200,
    body: {
      provider: 'openai',
      model: 'gpt-4o-mini',
      price: {
        usd_per_mtok: { input: '1', cached_input: '1', cache_write_5m: '1.25', output: '2', audio_input: null },
        usd_per_request: '0',
        usd_per_unit: null,
        // The fee, and 8,000 input tokens that each search finds.
        usd_per_thousand_web_searches: '18',
        tier_percent: { batch: 50, flex: 50, priority: 167 },
        context_window: 128_000,
      },
      priced_as: 'gpt-4o-mini',
      price_source: `override:${id}`,
      source: 'override',
      override: { id, effective_from },
      next_override: { id: next.id, effective_from: next.effective_from },
    },
  })
})

test('explains a price of the catalogue, and which entry it is', async () => {
  expect((await get('anthropic/claude-sonnet-4-5-20250929')).body).toMatchObject({
    price: {
      usd_per_mtok: { input: '3', cache_write_1h: '6' },
      long_context: [{ above_input_tokens: 200_000, usd_per_mtok: { input: '6' } }],
    },
    priced_as: 'claude-sonnet-4-5',
    price_source: 'catalogue',
    source: 'catalogue',
    override: null,
    explanation: expect.stringContaining('claude-sonnet-4-5'),
  })
})

test('says that there is no price, and what that means', async () => {
  expect(await get('openai/gpt-of-tomorrow')).toMatchObject({
    status: 200,
    body: { price: null, priced_as: null, source: 'none', explanation: expect.stringContaining('refused') },
  })
  const { explanation } = (await get('openai/gpt-of-tomorrow')).body
  expect(explanation).toContain('in force within 2 minutes, by the time in the tollgate-in-force-by header')
  store.get = async () => Promise.reject(new Error('away'))
  expect((await get('openai/gpt-4o')).body).toMatchObject({ price: null, source: 'overrides_unknown' })
})

test('a provider that does not exist is named, with those that do', async () => {
  for (const path of ['nosuch/x', 'OpenAI/gpt-4o', 'nosuch/a/b'])
    expect(await get(path)).toMatchObject({
      status: 404,
      body: { code: 'not_found', field: 'provider', detail: expect.stringContaining('one of anthropic, azure,') },
    })
})

test.each([
  ['workers-ai/@cf/meta/llama-3.1-8b-instruct', '@cf/meta/llama-3.1-8b-instruct'],
  ['workers-ai/%40cf%2Fmeta%2Fllama-3.1-8b-instruct', '@cf/meta/llama-3.1-8b-instruct'],
  ['bedrock/amazon.nova-lite-v1%3A0', 'amazon.nova-lite-v1:0'],
  [
    'bedrock/arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0',
    'arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0',
  ],
])('takes the id in %s as it is', async (path, model) => {
  expect((await get(path)).body).toMatchObject({ model, source: 'catalogue' })
})

test('any valid key may ask, and who is no user yet; no other', async () => {
  standing.refusal = { reason: 'missing_scope', scope: 'call' }
  expect((await get('openai/gpt-4o')).status).toBe(200)
  standing.refusal = { reason: 'no_config' }
  standing.key_id = null
  expect((await get('openai/gpt-4o')).status).toBe(200)
  standing.key_id = 'k'
  for (const [refusal, status] of [
    [{ reason: 'suspended' }, 403],
    [{ reason: 'unknown_key' }, 401],
    [{ reason: 'deleted' }, 401],
    [{ reason: 'no_config' }, 401],
  ] as const) {
    standing.refusal = refusal
    expect((await get('openai/gpt-4o')).status).toBe(status)
    expect((await get('workers-ai/@cf/meta/llama-3.1-8b-instruct')).status).toBe(status)
  }
})

test.each(['openai/gpt-4o', 'workers-ai/@cf/meta/llama-3.1-8b-instruct'])('%s takes no query', async (path) => {
  expect(await get(`${path}?currency=eur`)).toMatchObject({ status: 400, body: { field: 'currency' } })
})

test('an id that is too long is refused', async () => {
  expect((await get(`openai/${'m'.repeat(501)}`)).status).toBe(400)
  expect((await get(`openai/a/${'m'.repeat(501)}`)).body).toMatchObject({ status: 400, field: 'model' })
})

test('a provider that nobody knows is refused by its name, however long that is', async () => {
  expect((await get(`${'p'.repeat(70)}/a/b`)).body).toMatchObject({ status: 404, field: 'provider' })
})
