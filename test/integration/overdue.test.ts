// Calls that go on at the provider and that nobody asks for again: before they expire the provider is asked how they ended.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { HANG, json } from '../../src/local/fake-script.ts'
import { openStage, type Stage } from '../chaos/stage.ts'
import { checkBooks, statusOf } from '../support/books.ts'
import { anthropicOf, eventsOf, openaiOf, type UsageEventView, type User } from '../support/client-calls.ts'
import { eventually } from '../support/gateway.ts'
import { chat, read } from '../support/held-calls.ts'

const HOUR = 3_600_000
const REQUESTS = [{ cap_type: 'total', limits: { requests: 1e6 } }]
const ALL = [{ cap_type: 'total', limits: { requests: 1e6, tokens: 1e9, cost_usd: 1e6 } }]
const BATCH = { input_file_id: 'file-1', endpoint: '/v1/chat/completions', completion_window: '24h' } as const
const PARAMS = {
  model: 'claude-haiku-4-5-20251001',
  max_tokens: 7,
  messages: [{ role: 'user' as const, content: 'Hello' }],
}

let stage: Stage
beforeAll(async () => {
  stage = await openStage()
})
beforeEach(() => stage.moveClock(0))
afterEach(() => {
  stage.provider.reply = undefined
})
afterAll(() => stage.close())

const batchOf = ({ key }: User, headers = {}) => openaiOf(stage, key).client.batches.create(BATCH, { headers })

/** It is over at the provider, and its user has not been told. */
async function batchThatEnded(user: User) {
  const { id } = await batchOf(user)
  const stranger = await stage.admin.user(REQUESTS)
  const poll = () => openaiOf(stage, stranger.key).client.batches.retrieve(id)
  await eventually(poll, ({ status }) => status === 'completed')
  return id
}

/** Every request to the provider for what goes on under this id, since it was made. */
const asked = (id: string) =>
  stage.provider.requests.filter(({ method, path }) => method === 'GET' && path.includes(id))

/** The second event of the user's only call that went on. */
async function secondEvent({ id }: User): Promise<UsageEventView | undefined> {
  const ofCall = (events: UsageEventView[]) => events.filter(({ requests }) => requests === 0)
  const events = await eventually(
    () => eventsOf(stage, id),
    (events) => ofCall(events).length > 0,
  )
  expect(ofCall(events)).toHaveLength(1)
  await checkBooks(stage, [id])
  return ofCall(events)[0]
}

/** Nobody asks the ledger: its alarm alone ends the call. */
async function after(hours: number) {
  await stage.moveClock(hours * HOUR + 1_000)
}

test('a finished batch of OpenAI’s that nobody fetched is recorded with its tokens, at the price of batches', async () => {
  const user = await stage.admin.user(REQUESTS)
  const id = await batchThatEnded(user)
  const polls = asked(id).length
  await after(48)
  expect(await secondEvent(user)).toMatchObject({
    operation: 'batches_create',
    input_tokens: 1_000,
    cached_input_tokens: 200,
    output_tokens: 500,
    cost_nano_usd: 1_000 * 75 + 500 * 300,
    usage_source: 'reported',
    outcome: 'settled',
    service_tier: 'batch',
    priced_as: 'gpt-4o-mini',
    provider_request_id: id,
  })
  expect(asked(id)).toHaveLength(polls + 1)
  expect(asked(id).at(-1)?.headers).toContainEqual(['Authorization', 'Bearer sk-fake'])
  expect((await statusOf(stage, user.id)).data[0]?.current_usage.requests).toBe(1)
})

test('a batch of Anthropic’s whose results nobody fetched is charged what they say', async () => {
  const user = await stage.admin.user(ALL)
  const requests = ['a', 'b'].map((custom_id) => ({ custom_id, params: PARAMS }))
  await anthropicOf(stage, user.key).client.messages.batches.create({ requests })
  await after(48)
  const input = 2 * Math.ceil(JSON.stringify(PARAMS).length / 4)
  expect(await secondEvent(user)).toMatchObject({
    input_tokens: input,
    output_tokens: 14,
    cost_nano_usd: input * 500 + 14 * 2_500,
    usage_source: 'reported',
    service_tier: 'batch',
  })
})

test('a response in the background that nobody fetched is charged what it used, at the price that an admin has set', async () => {
  const price = { provider: 'openai', model: 'gpt-4.1-mini', usd_per_mtok: { input: '1', output: '3' } }
  await stage.admin.call('POST', '/admin/prices', price)
  const user = await stage.admin.user(ALL)
  const body = { model: 'gpt-4.1-mini', input: 'Hello', max_output_tokens: 64, background: true }
  const { id } = await openaiOf(stage, user.key).client.responses.create(body)
  const usage = { input_tokens: 10, output_tokens: 20, total_tokens: 30 }
  stage.provider.reply = ({ path }) =>
    path === `/v1/responses/${id}`
      ? json({ id, object: 'response', status: 'completed', model: body.model, output: [], usage })
      : undefined
  await after(24)
  const cost_nano_usd = 10 * 1_000 + 20 * 3_000
  expect(await secondEvent(user)).toMatchObject({ ...{ input_tokens: 10, output_tokens: 20 }, cost_nano_usd })
})

test.each([
  ['still runs', undefined],
  ['is unknown to the provider', () => json({ error: { message: 'No batch found' } }, 404)],
  ['is asked for where the provider is down', () => ({ steps: [{ act: 'cut' as const }] })],
  ['is told to another call', () => json({ id: 'batch_other', object: 'batch', status: 'completed' })],
])('a batch that %s expires a minute later, and is asked for once', async (_, answer) => {
  const user = await stage.admin.user(REQUESTS)
  const { id } = await batchOf(user)
  stage.provider.reply = ({ path }) => (path.endsWith(id) ? answer?.() : undefined)
  await after(48)
  await eventually(
    async () => asked(id).length,
    (count) => count > 0,
  )
  await stage.moveClock(49 * HOUR)
  expect(await secondEvent(user)).toMatchObject({ outcome: 'expired', usage_source: 'hold', cost_nano_usd: 0 })
  expect(asked(id)).toHaveLength(1)
})

test('a batch of a caller with an own key expires as soon as its time is up, and is never asked for', async () => {
  const user = await stage.admin.user(REQUESTS)
  const { id } = await batchOf({ ...user, key: 'sk-own-1' }, { 'x-tollgate-key': user.key })
  await after(48)
  expect(await secondEvent(user)).toMatchObject({ outcome: 'expired', brings_own_key: true })
  expect(asked(id)).toEqual([])
})

test('a ledger that dies while it asks lets the call expire, once, and asks no more', async () => {
  const user = await stage.admin.user(REQUESTS)
  const id = await batchThatEnded(user)
  const polls = asked(id).length
  stage.provider.reply = ({ path }) => (path.endsWith(id) ? { steps: [HANG] } : undefined)
  await after(48)
  await eventually(
    async () => asked(id).length,
    (count) => count > polls,
  )
  await stage.restart()
  await stage.moveClock(49 * HOUR)
  expect(await secondEvent(user)).toMatchObject({ outcome: 'expired', revision: 0 })
  expect(asked(id)).toHaveLength(polls + 1)
})

test('while a provider keeps a ledger waiting, its calls go on and their events reach Postgres', async () => {
  const user = await stage.admin.user(REQUESTS)
  const id = await batchThatEnded(user)
  const polls = asked(id).length
  const gate = Promise.withResolvers<void>()
  stage.provider.reply = ({ path }, usual) =>
    path.endsWith(id) ? { ...usual(), steps: [{ until: gate.promise }, ...usual().steps] } : undefined
  await after(48)
  await eventually(
    async () => asked(id).length,
    (count) => count > polls,
  )
  const { status, request_id } = await read(chat(stage, user.key))
  expect(status).toBe(200)
  await eventually(
    () => eventsOf(stage, user.id),
    (events) => events.some((event) => event.id === request_id),
    5_000,
  )
  gate.resolve()
  expect(
    await eventually(
      () => eventsOf(stage, user.id),
      (events) => events.length === 3,
    ),
  ).toContainEqual(
    expect.objectContaining({ operation: 'batches_create', input_tokens: 1_000, usage_source: 'reported' }),
  )
})
