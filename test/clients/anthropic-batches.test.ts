// Message batches as the official Anthropic client runs them through Tollgate.

import { APIError, NotFoundError } from '@anthropic-ai/sdk'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CUT, json, type Script } from '../../src/local/fake-script.ts'
import {
  allEvents,
  anthropicOf,
  capOf,
  collect,
  failure,
  GENEROUS,
  lastRequest,
  type User,
} from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { inPieces } from '../support/script-changes.ts'

const params = (more: object = {}) => ({
  model: 'claude-haiku-4-5-20251001',
  max_tokens: 100,
  messages: [{ role: 'user' as const, content: 'hello' }],
  ...more,
})
const REQUESTS = [
  { custom_id: 'a', params: params() },
  { custom_id: 'b', params: params({ max_tokens: 5 }) },
]

let gateway: Gateway
let user: User
beforeAll(async () => {
  gateway = await startGateway()
  user = await gateway.admin.user()
})
afterEach(() => {
  gateway.provider.reply = undefined
  gateway.provider.requests.length = 0
})
afterAll(() => gateway?.close())

describe('a message batch', () => {
  test('is created with the client’s own bytes, polled, and its results are fetched through Tollgate', async () => {
    const { client, attempts } = anthropicOf(gateway, user.key)
    const created = await client.messages.batches.create({ requests: REQUESTS })
    expect(lastRequest(gateway).body.toString()).toBe(attempts[0]?.body)
    const polled = await client.messages.batches.retrieve(created.id)
    expect(polled.processing_status).toBe('ended')
    expect(polled.results_url).toBe(`${gateway.url}/anthropic/v1/messages/batches/${created.id}/results`)

    const results = await collect(await client.messages.batches.results(created.id))

    expect(results.map(({ custom_id, result }) => [custom_id, result.type])).toEqual([
      ['a', 'succeeded'],
      ['b', 'succeeded'],
    ])
    expect(attempts.every(({ url }) => url.startsWith(gateway.url))).toBe(true)
    expect(await client.messages.batches.delete(created.id)).toMatchObject({ type: 'message_batch_deleted' })
  })

  test('is cancelled by a POST without a body, at no cost, and its hold waits for how it ended', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { client, attempts } = anthropicOf(gateway, key)
    const created = await client.messages.batches.create({ requests: REQUESTS })
    const { held } = await capOf(gateway, id)
    attempts.length = 0

    const cancelled = await client.messages.batches.cancel(created.id)

    expect(cancelled).toMatchObject({ id: created.id, processing_status: 'canceling', results_url: null })
    expect(attempts).toHaveLength(1)
    const { method, path, body } = lastRequest(gateway)
    expect([method, path, body.length]).toEqual(['POST', `/v1/messages/batches/${created.id}/cancel`, 0])
    const events = await allEvents(gateway, id, 2)
    expect(events.map(({ operation }) => operation).sort()).toEqual([
      'message_batches_cancel',
      'message_batches_create',
    ])
    for (const event of events) expect(event).toMatchObject({ cost_nano_usd: 0, input_tokens: 0, output_tokens: 0 })
    expect(held.tokens).toBeGreaterThan(0)
    expect((await capOf(gateway, id)).held).toEqual(held)
  })

  const chunked = (...steps: Script['steps']): Script => ({ headers: { 'content-type': 'application/json' }, steps })
  test.each([
    ['breaks off', chunked('{"id":"msgbatch_1","type":"mess', CUT)],
    [
      'cannot be decompressed',
      { ...chunked('x'), headers: { 'content-type': 'application/json', 'content-encoding': 'zstd' } },
    ],
    ['is far too long', chunked('{"id":"', 'x'.repeat(2 * 1_048_576), '"}')],
  ])('whose answer %s is one error of Anthropic’s', async (_, answer) => {
    const { client, attempts } = anthropicOf(gateway, user.key, { maxRetries: 2 })
    gateway.provider.reply = () => answer
    const error = await failure(client.messages.batches.retrieve('msgbatch_1'))
    expect(error).toBeInstanceOf(APIError)
    expect(error).toMatchObject({
      status: 502,
      error: { type: 'error', error: { type: 'api_error', code: 'upstream_unreachable' } },
    })
    expect(attempts).toHaveLength(1)
    expect(attempts[0]?.answer?.headers.get('x-tollgate-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('names its results here, wherever the provider says that they are', async () => {
    for (const results_url of [
      'https://proxy.example/anthropic/v1/messages/batches/msgbatch_1/results',
      'https://proxy.example/v1/messages/batches/msgbatch_1/results?beta=true',
      'https://files.example/msgbatch_1.jsonl',
    ]) {
      gateway.provider.reply = () => json({ id: 'msgbatch_1', type: 'message_batch', results_url })
      const batch = await anthropicOf(gateway, user.key).client.messages.batches.retrieve('msgbatch_1')
      expect(batch.results_url).toBe(`${gateway.url}/anthropic/v1/messages/batches/msgbatch_1/results`)
    }
  })

  test('names its results here, whatever its content type says beside the type', async () => {
    const results_url = 'https://api.anthropic.com/v1/messages/batches/msgbatch_1/results'
    const steps = [JSON.stringify({ id: 'msgbatch_1', type: 'message_batch', results_url })]
    gateway.provider.reply = () => ({ headers: { 'content-type': 'application/json ; charset=utf-8' }, steps })
    const batch = await anthropicOf(gateway, user.key).client.messages.batches.retrieve('msgbatch_1')
    expect(batch.results_url).toBe(`${gateway.url}/anthropic/v1/messages/batches/msgbatch_1/results`)
  })

  test('is, but for that, what the provider sent, in any chunking', async () => {
    const batch = { id: 'a/b', type: 'message_batch', note: 'é'.repeat(200) }
    const said = JSON.stringify({ ...batch, results_url: 'https://files.example/a/b' })
    gateway.provider.reply = () => inPieces(chunked(said), 7)
    expect(await anthropicOf(gateway, user.key).client.messages.batches.retrieve('msgbatch_1')).toEqual({
      ...batch,
      results_url: `${gateway.url}/anthropic/v1/messages/batches/a%2Fb/results`,
    })
  })

  test('has the text that the provider sent, also where a piece begins with a byte order mark', async () => {
    const [start, rest] = ['{"type":"message_batch","note":"a', '\ufeffb"}']
    gateway.provider.reply = () => chunked(start, { delay_ms: 100 }, rest)
    const headers = { 'x-api-key': user.key, 'anthropic-version': '2023-06-01' }
    const answer = await fetch(`${gateway.url}/anthropic/v1/messages/batches/msgbatch_1`, { headers })
    expect(await answer.text()).toBe(start + rest)
  })

  test('that is refused in a compression that nobody here undoes is refused with the provider’s status', async () => {
    gateway.provider.reply = () => json({}, 404, { 'content-encoding': 'compress' })
    const error = await failure(anthropicOf(gateway, user.key).client.messages.batches.retrieve('msgbatch_1'))
    expect(error).toMatchObject({ status: 404 })
  })

  test.each(['application/jsonl', 'application/json'])(
    'has results that flow as they come, as %s too',
    async (type) => {
      const first = Promise.withResolvers<void>()
      const line = `${JSON.stringify({ custom_id: 'a', result: { type: 'canceled' } })}\n`
      gateway.provider.reply = () => ({
        headers: { 'content-type': type },
        // The piece that came last is kept back; so many do not come as one.
        steps: [...Array.from({ length: 20 }, () => [line, { delay_ms: 50 }]).flat(), { until: first.promise }, line],
      })
      const path = '/anthropic/v1/messages/batches/msgbatch_1/results'
      const headers = { 'x-api-key': user.key, 'anthropic-version': '2023-06-01' }
      const answer = await fetch(gateway.url + path, { headers })
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = (await reader?.read())?.value ?? ''
      expect(text.startsWith(line)).toBe(true)
      first.resolve()
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) text += part.value
      expect(text).toBe(line.repeat(21))
    },
  )

  test('that is more than a cap has room for is refused whole', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 600 } }])
    const { client, attempts } = anthropicOf(gateway, key)
    const many = Array.from({ length: 10 }, (_, at) => ({ custom_id: String(at), params: params() }))
    expect(await failure(client.messages.batches.create({ requests: many }))).toMatchObject({ status: 402 })
    expect(attempts).toHaveLength(1)
    expect(gateway.provider.requests).toHaveLength(0)
  })

  test('of two models is refused with the field at fault; a list of everyone’s batches is not passed through', async () => {
    const { client } = anthropicOf(gateway, user.key)
    const mixed = [...REQUESTS, { custom_id: 'c', params: params({ model: 'claude-opus-4-1-20250805' }) }]
    expect(await failure(client.messages.batches.create({ requests: mixed }))).toMatchObject({
      status: 400,
      error: { error: { field: 'requests[2].params.model' } },
    })
    const listed = await failure(client.messages.batches.list())
    expect(listed).toBeInstanceOf(NotFoundError)
    expect(listed).toMatchObject({ message: expect.stringContaining('other callers') })
    expect(gateway.provider.requests).toHaveLength(0)
  })
})
