// Calls that go on at the provider, as the official clients make them: what they use is recorded once, at the price of
// batches where they are batches, by whichever route shows it first and however often it is asked for.

import type Anthropic from '@anthropic-ai/sdk'
import { BadRequestError } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { json } from '../../src/local/fake-script.ts'
import { checkBooks } from '../support/books.ts'
import {
  anthropicOf,
  capOf,
  collect,
  eventsOf,
  failure,
  GENEROUS,
  lastRequest,
  openaiOf,
  type UsageEventView,
} from '../support/client-calls.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { times } from '../support/held-calls.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway()
  // Before the first call: later ones take half a minute to be seen.
  const usd_per_mtok = { input: '7', output: '9' }
  await gateway.admin.call('POST', '/admin/prices', { provider: 'openai', model: 'gpt-4.1', usd_per_mtok })
})
afterEach(() => {
  gateway.provider.reply = undefined
})
afterAll(() => gateway.close())

const REQUESTS = [{ cap_type: 'total', limits: { requests: 1e6 } }]

async function caller(caps: typeof GENEROUS | typeof REQUESTS = GENEROUS) {
  const user = await gateway.admin.user(caps)
  const { id, key } = user
  return { id, openai: openaiOf(gateway, key).client, anthropic: anthropicOf(gateway, key).client }
}

/** The second event of a call, once the books are balanced: its request was recorded when it was made. */
async function concluded(userId: string, operation: string): Promise<UsageEventView[]> {
  await eventually(
    () => eventsOf(gateway, userId),
    (events) => events.some((event) => event.operation === operation && event.requests === 0),
  )
  await checkBooks(gateway, [userId])
  const ofCall = (await eventsOf(gateway, userId)).filter((event) => event.operation === operation)
  expect(ofCall.filter(({ requests }) => requests === 1)).toMatchObject([{ input_tokens: 0, cost_nano_usd: 0 }])
  return ofCall.filter(({ requests }) => requests === 0)
}

describe('a batch of OpenAI’s', () => {
  const BATCH = {
    input_file_id: 'file-1',
    endpoint: '/v1/chat/completions' as const,
    completion_window: '24h' as const,
  }
  /** What the fake says of every batch, at half of gpt-4o-mini's $0.15 and $0.60 a million; cached input costs no less. */
  const HALF = {
    input_tokens: 1_000,
    cached_input_tokens: 200,
    output_tokens: 500,
    reasoning_tokens: 100,
    cost_nano_usd: 1_000 * 75 + 500 * 300,
    usage_source: 'reported',
    outcome: 'settled',
    service_tier: 'batch',
    priced_as: 'gpt-4o-mini',
  }

  test.each([
    ['tokens', { tokens: 1e9 }],
    ['cost', { cost_usd: 1e6 }],
  ])('is refused under a cap of %s, however large: nothing bounds its file', async (_, limits) => {
    const { key } = await gateway.admin.user([{ cap_type: 'total', limits }])
    const { client, attempts } = openaiOf(gateway, key)
    const before = gateway.provider.requests.length
    const error = await failure(client.batches.create(BATCH))
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error).toMatchObject({ code: 'unbounded_request', param: 'input_file_id' })
    expect(attempts).toHaveLength(1)
    expect(gateway.provider.requests).toHaveLength(before)
  })

  test('is charged half when it is fetched complete, and once however often and at once it is', async () => {
    const { id, openai } = await caller(REQUESTS)
    const { id: batch } = await openai.batches.create(BATCH)
    expect((await openai.batches.retrieve(batch)).status).toBe('in_progress')
    expect((await eventsOf(gateway, id)).every(({ input_tokens }) => input_tokens === 0)).toBe(true)
    const polled = await Promise.all(times(8, () => openai.batches.retrieve(batch)))
    expect(polled.every(({ status }) => status === 'completed')).toBe(true)
    expect(await concluded(id, 'batches_create')).toMatchObject([HALF])
  })

  test('that is cancelled is charged what it had used until then', async () => {
    const { id, openai } = await caller(REQUESTS)
    const { id: batch } = await openai.batches.create(BATCH)
    expect((await openai.batches.cancel(batch)).status).toBe('cancelling')
    const ended = () => openai.batches.retrieve(batch)
    await eventually(ended, ({ status }) => status === 'cancelled')
    await ended()
    expect(await concluded(id, 'batches_create')).toMatchObject([HALF])
  })

  test('whose file was not valid used nothing', async () => {
    const { id, openai } = await caller(REQUESTS)
    const made = await openai.batches.create(BATCH)
    const request_counts = { total: 0, completed: 0, failed: 0 }
    gateway.provider.reply = () => json({ ...made, status: 'failed', request_counts, usage: null })
    await Promise.all(times(2, () => openai.batches.retrieve(made.id)))
    expect(await concluded(id, 'batches_create')).toMatchObject([{ input_tokens: 0, cost_nano_usd: 0 }])
  })

  test('that is over when it is made is charged half, too', async () => {
    const { id, openai } = await caller(REQUESTS)
    const usage = { input_tokens: 1_000, output_tokens: 500 }
    const made = { object: 'batch', status: 'completed', model: 'gpt-4o-mini-2024-07-18', usage }
    gateway.provider.reply = () => json({ ...made, id: `batch_${crypto.randomUUID()}` })
    await openai.batches.create(BATCH)
    const { cost_nano_usd, priced_as } = HALF
    expect(await concluded(id, 'batches_create')).toMatchObject([{ ...usage, cost_nano_usd, priced_as }])
  })

  test('of another user changes nothing for the one who fetches it, nor for its owner until they do', async () => {
    const [owner, stranger] = await Promise.all([caller(REQUESTS), caller(REQUESTS)])
    const { id: batch } = await owner.openai.batches.create(BATCH)
    const theirs = () => stranger.openai.batches.retrieve(batch)
    await eventually(theirs, ({ status }) => status === 'completed')
    await checkBooks(gateway, [stranger.id])
    expect((await eventsOf(gateway, stranger.id)).every((event) => event.cost_nano_usd === 0)).toBe(true)
    expect((await eventsOf(gateway, owner.id)).every((event) => event.cost_nano_usd === 0)).toBe(true)
    await owner.openai.batches.retrieve(batch)
    expect(await concluded(owner.id, 'batches_create')).toMatchObject([HALF])
  })
})

describe('a response in the background', () => {
  const BODY = { model: 'gpt-4.1-mini', input: 'Hello', max_output_tokens: 64, background: true }

  /** It has ended at the provider, and nobody has been told. */
  async function madeBy({ openai }: Awaited<ReturnType<typeof caller>>) {
    const { id } = await openai.responses.create(BODY)
    const { body } = lastRequest(gateway)
    return { id, said: { input_tokens: body.length, output_tokens: 64, cost_nano_usd: body.length * 400 + 64 * 1_600 } }
  }

  test.each(['retrieve', 'stream'] as const)('is charged once where %s shows that it has ended', async (how) => {
    const user = await caller()
    const { id, said } = await madeBy(user)
    const { held } = await capOf(gateway, user.id)
    expect(held.requests).toBe(0)
    expect(held.tokens).toBeGreaterThan(64)
    await user.openai.responses.retrieve(id)
    const show = async () => {
      if (how === 'retrieve') await user.openai.responses.retrieve(id)
      else for await (const _ of await user.openai.responses.retrieve(id, { stream: true }));
    }
    await Promise.all(times(3, show))
    expect((await capOf(gateway, user.id)).held.tokens).toBe(0)
    expect(await concluded(user.id, 'responses')).toMatchObject([{ ...said, usage_source: 'reported' }])
  })

  test.each(['cancel', 'delete'] as const)(
    'is charged its hold where %s leaves nobody to tell what it used',
    async (how) => {
      const user = await caller()
      const { id } = await madeBy(user)
      const { tokens } = (await capOf(gateway, user.id)).held
      await user.openai.responses[how](id)
      const [event, ...others] = await concluded(user.id, 'responses')
      expect(others).toEqual([])
      expect(event).toMatchObject({ usage_source: 'hold', outcome: 'settled' })
      expect((event?.input_tokens ?? 0) + (event?.output_tokens ?? 0)).toBe(tokens)
      expect((await capOf(gateway, user.id)).held.tokens).toBe(0)
    },
  )

  test('costs what an admin has set for the model that was asked for, whatever its full name', async () => {
    const { id, openai } = await caller()
    const usage = { input_tokens: 10, output_tokens: 20, total_tokens: 30 }
    const named = { id: 'resp_named', object: 'response', model: 'gpt-4.1-2025-04-14', output: [] }
    gateway.provider.reply = ({ method }) =>
      json(method === 'POST' ? { ...named, status: 'queued' } : { ...named, status: 'completed', usage })
    await openai.responses.create({ ...BODY, model: 'gpt-4.1' })
    await openai.responses.retrieve('resp_named')
    expect(await concluded(id, 'responses')).toMatchObject([
      { response_model: 'gpt-4.1-2025-04-14', cost_nano_usd: 10 * 7_000 + 20 * 9_000 },
    ])
  })

  test('that another user fetches, cancels or deletes stays held for its own', async () => {
    const [owner, stranger] = await Promise.all([caller(), caller()])
    const { id } = await madeBy(owner)
    const { held } = await capOf(gateway, owner.id)
    const fetched = () => stranger.openai.responses.retrieve(id)
    await eventually(fetched, ({ status }) => status === 'completed')
    await stranger.openai.responses.cancel(id)
    await stranger.openai.responses.delete(id)
    expect((await capOf(gateway, owner.id)).held).toEqual(held)
    const { events } = await checkBooks(gateway, [stranger.id])
    expect(events.length).toBeGreaterThan(2)
    expect(events.every(({ tokens }) => tokens === 0)).toBe(true)
  })
})

describe('a batch of Anthropic’s', () => {
  const params = {
    model: 'claude-haiku-4-5-20251001',
    max_tokens: 7,
    messages: [{ role: 'user' as const, content: 'Hello' }],
  }
  const requests = ['a', 'b', 'c'].map((custom_id) => ({ custom_id, params }))
  /** The fake: a token for four bytes of each message, and seven tokens of answer; half of $1 and $5 a million. */
  const input = 3 * Math.ceil(JSON.stringify(params).length / 4)
  const HALF = {
    input_tokens: input,
    output_tokens: 21,
    cost_nano_usd: input * 500 + 21 * 2_500,
    usage_source: 'reported',
    outcome: 'settled',
    service_tier: 'batch',
    priced_as: 'claude-haiku-4-5',
    overrun: false,
  }

  async function fetchResults(anthropic: Anthropic, batch: string) {
    return collect(await anthropic.messages.batches.results(batch))
  }

  test('is held under caps until its results go past, then charged half, once however often they do', async () => {
    const { id, anthropic } = await caller()
    const { id: batch } = await anthropic.messages.batches.create({ requests })
    const { held } = await capOf(gateway, id)
    expect(held).toMatchObject({ requests: 0 })
    expect(held.tokens).toBeGreaterThan(21)
    // Neither of these tells what it used.
    await anthropic.messages.batches.cancel(batch)
    expect((await anthropic.messages.batches.retrieve(batch)).processing_status).toBe('ended')
    expect((await capOf(gateway, id)).held).toEqual(held)

    const fetched = await Promise.all(times(4, () => fetchResults(anthropic, batch)))
    expect(fetched.map(({ length }) => length)).toEqual([3, 3, 3, 3])
    await anthropic.messages.batches.delete(batch)
    expect(await concluded(id, 'message_batches_create')).toMatchObject([HALF])
    expect((await capOf(gateway, id)).held.tokens).toBe(0)
  })

  test('that was cancelled before its first answer used nothing, which polling it shows', async () => {
    const { id, anthropic } = await caller()
    const made = await anthropic.messages.batches.create({ requests })
    const request_counts = { processing: 0, succeeded: 0, errored: 0, canceled: 3, expired: 0 }
    gateway.provider.reply = () => json({ ...made, processing_status: 'ended', request_counts })
    await Promise.all(times(3, () => anthropic.messages.batches.retrieve(made.id)))
    expect(await concluded(id, 'message_batches_create')).toMatchObject([{ input_tokens: 0, cost_nano_usd: 0 }])
    expect((await capOf(gateway, id)).held.tokens).toBe(0)
  })

  test('of another user changes nothing for the one who fetches its results, and stays held for its own', async () => {
    const [owner, stranger] = await Promise.all([caller(), caller()])
    const { id: batch } = await owner.anthropic.messages.batches.create({ requests })
    const { held } = await capOf(gateway, owner.id)
    expect(await fetchResults(stranger.anthropic, batch)).toHaveLength(3)
    expect((await capOf(gateway, stranger.id)).current_usage).toMatchObject({ tokens: 0, cost_cents: 0 })
    expect((await capOf(gateway, owner.id)).held).toEqual(held)
    await fetchResults(owner.anthropic, batch)
    expect(await concluded(owner.id, 'message_batches_create')).toMatchObject([HALF])
  })

  test('whose results are cut off stays held, and is charged when they come whole', async () => {
    const { id, anthropic } = await caller()
    const { id: batch } = await anthropic.messages.batches.create({ requests })
    const { held } = await capOf(gateway, id)
    cutAnswers(/results$/)
    await fetchResults(anthropic, batch).catch(() => null)
    const idle = await eventually(
      () => capOf(gateway, id),
      (cap) => cap.held.requests === 0,
    )
    expect(idle.held).toEqual(held)
    gateway.provider.reply = undefined
    await fetchResults(anthropic, batch)
    expect(await concluded(id, 'message_batches_create')).toMatchObject([HALF])
  })

  test('whose results are cut off is not taken for whole by its client', async () => {
    const { anthropic } = await caller()
    const { id: batch } = await anthropic.messages.batches.create({ requests })
    cutAnswers(/results$/)
    expect(await failure(fetchResults(anthropic, batch))).toBeInstanceOf(Error)
  })
})

test('a file that is cut off is not taken for whole by its client', async () => {
  const { openai } = await caller()
  const { id } = await openai.files.create({ file: new File(['x'.repeat(100_000)], 'a.jsonl'), purpose: 'batch' })
  cutAnswers(/content$/)
  expect(await failure(openai.files.content(id).then((answer) => answer.text()))).toBeInstanceOf(Error)
})

/** Answers to these paths break off after their first piece. */
function cutAnswers(paths: RegExp) {
  gateway.provider.reply = ({ path }, usual) => {
    const { steps, ...script } = usual()
    return paths.test(path) ? { ...script, steps: [...steps.slice(0, 1), { act: 'cut' }] } : undefined
  }
}
