// Calls that go on at the provider after their answer: their hold stays until an answer shows how they ended, and then
// their usage is recorded once.

import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { json } from '../../src/local/fake-script.ts'
import { checkBooks } from '../support/books.ts'
import { capOf, eventsOf, GENEROUS } from '../support/client-calls.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway()
  // Before the first call: later ones take half a minute to be seen.
  const usd_per_mtok = { input: '7', output: '9' }
  await gateway.admin.call('POST', '/admin/prices', { provider: 'openai', model: 'gpt-4.1', usd_per_mtok })
})
afterAll(() => gateway.close())

const clientOf = (apiKey: string) => new OpenAI({ baseURL: `${gateway.url}/openai/v1`, apiKey })

test('a background response is held until it is fetched complete, and its usage is recorded once', async () => {
  const { id, key } = await gateway.admin.user(GENEROUS)
  const client = clientOf(key)
  const created = await client.responses.create({
    model: 'gpt-4.1-mini',
    input: 'Hello',
    max_output_tokens: 64,
    background: true,
  })
  expect(['queued', 'in_progress']).toContain(created.status)
  const held = (await capOf(gateway, id)).held
  expect(held.tokens).toBeGreaterThan(64)
  expect(held.requests).toBe(0)

  const fetched = () => client.responses.retrieve(created.id)
  const response = await eventually(fetched, ({ status }) => status === 'completed')
  // Fetching it again, at once and many times, changes nothing.
  await Promise.all(Array.from({ length: 5 }, fetched))
  expect((await capOf(gateway, id)).held.tokens).toBe(0)

  const { input_tokens = 0, output_tokens = 0 } = response.usage ?? {}
  expect(output_tokens).toBeGreaterThan(0)
  const { events } = await checkBooks(gateway, [id])
  const used = events.filter(({ tokens }) => tokens > 0)
  expect(used).toHaveLength(1)
  expect(used[0]).toMatchObject({
    requests: 0,
    tokens: input_tokens + output_tokens,
    outcome: 'settled',
    usage_source: 'reported',
  })
})

test('another user who fetches it is charged nothing for it, and it stays held for its own', async () => {
  const [owner, stranger] = await Promise.all([gateway.admin.user(GENEROUS), gateway.admin.user(GENEROUS)])
  const body = { model: 'gpt-4.1-mini', input: 'Hello', max_output_tokens: 64, background: true }
  const created = await clientOf(owner.key).responses.create(body)
  const theirs = clientOf(stranger.key)
  await eventually(
    () => theirs.responses.retrieve(created.id),
    ({ status }) => status === 'completed',
  )
  expect((await capOf(gateway, stranger.id)).current_usage.tokens).toBe(0)
  expect((await capOf(gateway, owner.id)).held.tokens).toBeGreaterThan(64)
})

test('its end costs what an admin has set for the model that was asked for, whatever its full name', async () => {
  const { id, key } = await gateway.admin.user(GENEROUS)
  const client = clientOf(key)
  const usage = { input_tokens: 10, output_tokens: 20, total_tokens: 30 }
  const answer = {
    id: 'resp_named',
    object: 'response',
    model: 'gpt-4.1-2025-04-14',
    service_tier: 'default',
    output: [],
  }
  gateway.provider.reply = ({ method }) =>
    json(method === 'POST' ? { ...answer, status: 'queued' } : { ...answer, status: 'completed', usage })
  await client.responses.create({ model: 'gpt-4.1', input: 'Hello', max_output_tokens: 64, background: true })
  await client.responses.retrieve('resp_named')

  const ended = await eventually(
    async () => (await eventsOf(gateway, id)).find(({ output_tokens }) => output_tokens > 0),
    (event) => event !== undefined,
  )
  expect(ended).toMatchObject({ response_model: 'gpt-4.1-2025-04-14', cost_nano_usd: 10 * 7_000 + 20 * 9_000 })
})
