// Whom Tollgate asks by itself how a call ended, and how: only what is configured, by ids that stay within their path.

import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { type Config, parseConfig } from '../../../src/config.ts'
import { conclusionOf } from '../../../src/gateway/overdue.ts'
import { providersOf } from '../../../src/gateway/upstreams.ts'
import { type FakeProvider, startFakeProvider } from '../../../src/local/fake-provider.ts'
import { HANG, json } from '../../../src/local/fake-script.ts'
import { encodeOverrides } from '../../../src/pricing/overrides.ts'
import { DRAFT } from '../../support/ledger-fixtures.ts'

const MADE = { ...DRAFT, operation: 'batches_create', path: '/openai/v1/batches', request_model: null }

const batchThatFailed = (id?: string) => ({ id, object: 'batch', status: 'failed' })

let provider: FakeProvider
let config: Config
beforeAll(async () => {
  provider = await startFakeProvider()
  config = parseConfig({
    DATABASE_URL: 'postgresql://user:password@db.example/tollgate',
    KEY_SIGNING_SECRETS: 'a-signing-secret-for-tests-only-0123456789',
    ADMIN_TOKEN: 'admin-token-for-tests-only',
    OPENAI_API_KEY: 'sk-fake',
    OPENAI_BASE_URL: provider.url,
    ANTHROPIC_BASE_URL: provider.url,
  })
})
beforeEach(() => {
  provider.requests.length = 0
  provider.reply = ({ path }) => json(batchThatFailed(path.split('/').at(-1)))
})
afterAll(() => provider.close())

test('the provider is asked by GET, for this id alone', async () => {
  expect(await conclusionOf({ provider_id: 'batch_1', draft: MADE }, config, null)).toMatchObject({
    usage: { requests: 0, input_tokens: 0, cost_nano_usd: 0 },
    draft: MADE,
  })
  expect(provider.requests).toMatchObject([{ method: 'GET', path: '/v1/batches/batch_1' }])
})

test('it is charged at the price that an admin has set for the model that was asked for', async () => {
  const usage = { input_tokens: 10, output_tokens: 20 }
  provider.reply = () => json({ id: 'resp_1', object: 'response', status: 'completed', model: 'gpt-4o-2024', usage })
  const price = { rates: { input: 7_000_000, output: 9_000_000 } }
  const overrides = [{ id: '1', provider: 'openai', model: 'gpt-4o', effective_from: 0, price }]
  const draft = { ...DRAFT, operation: 'responses', request_model: 'gpt-4o' }
  const store = { get: async () => encodeOverrides(overrides), put: async () => {} }
  expect(await conclusionOf({ provider_id: 'resp_1', draft }, config, store)).toMatchObject({
    usage: { requests: 0, ...usage, cost_nano_usd: 10 * 7 + 20 * 9 },
    facts: { price_source: 'override:1' },
  })
})

test('a provider that has not told all within 20 s has told nothing', async () => {
  const limit = new AbortController()
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(limit.signal)
  onTestFinished(() => timeout.mockRestore())
  provider.reply = () => ({ headers: { 'content-type': 'application/json' }, steps: ['{"id": "batch_1"', HANG] })
  const told = conclusionOf({ provider_id: 'batch_1', draft: MADE }, config, null)
  await vi.waitUntil(() => provider.requests.length > 0)
  limit.abort(new DOMException('no answer in time', 'TimeoutError'))
  await expect(told).rejects.toThrow('no answer in time')
  expect(timeout).toHaveBeenCalledWith(20_000)
})

test.each([
  ['of another call', () => json(batchThatFailed('batch_2'))],
  ['with the status of an error', () => json(batchThatFailed('batch_1'), 500)],
  ['that redirects', () => json(batchThatFailed('batch_1'), 302, { location: `${provider.url}/v1/batches/batch_1` })],
])('an answer %s says nothing of this call, and nobody else is asked', async (_, reply) => {
  provider.reply = reply
  expect(await conclusionOf({ provider_id: 'batch_1', draft: MADE }, config, null)).toBeNull()
  expect(provider.requests).toHaveLength(1)
})

test.each([
  ['an id that would leave its path', '../files', MADE],
  ['an id with a query', 'batch_1?x=1', MADE],
  ['an id that would become another host', '@evil.example', MADE],
  ['no id', '', MADE],
  ['a provider that is not here', 'batch_1', { ...MADE, provider: 'azure' }],
  [
    'a provider without a credential here',
    'batch_1',
    { ...MADE, provider: 'anthropic', operation: 'message_batches_create' },
  ],
  ['an operation that does not go on', 'batch_1', { ...MADE, operation: 'chat_completions' }],
])('nobody is asked for %s', async (_, provider_id, draft) => {
  expect(await conclusionOf({ provider_id, draft }, config, null)).toBeNull()
  expect(provider.requests).toEqual([])
})

test('each operation whose calls go on for hours says which one tells of their end, by a GET of one id', () => {
  for (const { dialect } of providersOf(config)) {
    for (const { name, continues_for_ms, ended_told_by } of dialect.operations) {
      if (continues_for_ms === undefined) continue
      const told = dialect.operations.find((operation) => operation.name === ended_told_by)
      expect([name, told]).toMatchObject([name, { method: 'GET', path: expect.stringMatching(/^[^:]*:id[^:]*$/) }])
    }
  }
})
