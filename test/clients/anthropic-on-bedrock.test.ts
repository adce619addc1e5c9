// What the official Anthropic client sees of a model that Bedrock serves, and what Bedrock sees of the call.

import type Anthropic from '@anthropic-ai/sdk'
import {
  APIError,
  AuthenticationError,
  BadRequestError,
  PermissionDeniedError,
  RateLimitError,
} from '@anthropic-ai/sdk'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { json } from '../../src/local/fake-script.ts'
import { encodeFrame, exceptionFrame, jsonFrame } from '../../src/providers/eventstream.ts'
import {
  allEvents,
  answerWith,
  anthropicOf,
  capOf,
  collect,
  failure,
  GENEROUS,
  grantedIn,
  lastRequest,
  NOTHING_USED,
  onlyEvent,
  post,
  type User,
} from '../support/client-calls.ts'
import type { Gateway } from '../support/gateway.ts'
import { afterSteps, inPieces } from '../support/script-changes.ts'
import { CLAUDE, startBedrock } from './bedrock-gateway.ts'

const SENTENCE = 'Hello from the fake provider : every word of this sentence counts as one token .'
const HELLO = {
  model: 'claude-on-bedrock',
  max_tokens: 100,
  messages: [{ role: 'user' as const, content: 'hello' }],
}

let gateway: Gateway
let user: User
beforeAll(async () => {
  gateway = await startBedrock()
  user = await gateway.admin.user(GENEROUS)
})
afterEach(() => {
  gateway.provider.reply = undefined
  gateway.provider.requests.length = 0
})
afterAll(() => gateway?.close())

describe('answers', () => {
  test('a JSON answer is the model’s own message; the call is one event, of Bedrock, and charged once', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { client, attempts } = anthropicOf(gateway, key)

    const { data, request_id, response } = await client.messages.create(HELLO).withResponse()

    expect(data.content).toEqual([{ type: 'text', text: SENTENCE }])
    expect(data.model).toBe('claude-haiku-4-5-20251001')
    expect(attempts).toHaveLength(1)
    expect(request_id).toMatch(/^\w{32}$/)
    expect([...response.headers.keys()].filter((name) => name.startsWith('x-amzn'))).toEqual([])
    const event = await onlyEvent(gateway, id)
    expect(event).toMatchObject({
      id: response.headers.get('x-tollgate-request-id'),
      provider: 'bedrock',
      operation: 'invoke_model',
      request_model: CLAUDE,
      provider_request_id: request_id,
      usage_source: 'reported',
      input_tokens: data.usage.input_tokens,
      output_tokens: 16,
    })
    expect((await capOf(gateway, id)).current_usage).toMatchObject({
      requests: 1,
      tokens: data.usage.input_tokens + 16,
    })
  })

  test('a stream is Anthropic’s events, in any chunking of Bedrock’s frames', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { client } = anthropicOf(gateway, key)
    const sent = await collect(await client.messages.create({ ...HELLO, stream: true }))
    expect([sent[0]?.type, sent.at(-1)?.type]).toEqual(['message_start', 'message_stop'])
    answerWith(gateway, (usual) => inPieces(usual, 5))
    const message = await client.messages.stream(HELLO).finalMessage()
    expect(message).toMatchObject({
      content: [{ text: SENTENCE }],
      stop_reason: 'end_turn',
      usage: { output_tokens: 16 },
    })
    const raw = await (await post(gateway, 'anthropic', key, { ...HELLO, stream: true })).text()
    expect(raw).not.toContain('amazon-bedrock')
    const events = await allEvents(gateway, id, 3)
    for (const event of events)
      expect(event).toMatchObject({
        operation: 'invoke_model_stream',
        usage_source: 'reported',
        output_tokens: 16,
        stream: true,
      })
  })
})

describe('the request on its way to Bedrock', () => {
  test('is Bedrock’s: version and betas in the body, no model or stream, all else as it came', async () => {
    const body = `{"top_k": 123456789012345678901234567890,"model":"claude-on-bedrock", "stream":false,"max_tokens":10,
      "messages":[{"role":"user","content":"caf\\u00e9"}],"anthropic_version":"x"}`
    const answer = await post(gateway, 'anthropic', user.key, body, {
      headers: { 'anthropic-beta': 'one-2025-01-01, two-2025-01-01' },
    })
    expect(answer.status).toBe(200)
    const { path, body: sent, headers } = lastRequest(gateway)
    expect(path).toBe(`/model/${encodeURIComponent(CLAUDE)}/invoke`)
    expect(sent.toString()).toBe(
      '{"top_k":123456789012345678901234567890,"max_tokens":10,"messages":[{"role":"user","content":"caf\\u00e9"}],' +
        '"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["one-2025-01-01","two-2025-01-01"]}',
    )
    expect(JSON.stringify(headers)).not.toMatch(/anthropic|tg_/)
  })

  test('sent in chunks is metered and served like one of a known length', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    for (const model of [HELLO.model, 'claude-haiku-4-5-20251001']) {
      const answer = await fetch(`${gateway.url}/anthropic/v1/messages`, {
        method: 'POST',
        headers: { 'x-api-key': key, 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
        body: new Blob([JSON.stringify({ ...HELLO, model })]).stream(),
        duplex: 'half',
      } as RequestInit)
      expect(answer.status).toBe(200)
      expect(await answer.json()).toMatchObject({ type: 'message' })
    }
    const events = await allEvents(gateway, id, 2)
    expect(events.map(({ provider }) => provider).sort()).toEqual(['anthropic', 'bedrock'])
  })

  test('is clamped where a cap has room for less', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 300 } }])
    const answer = await post(gateway, 'anthropic', key, { ...HELLO, max_tokens: 50_000 })
    const granted = grantedIn(answer)
    expect(JSON.parse(lastRequest(gateway).body.toString()).max_tokens).toBe(granted)
  })

  test('other models, and callers with an Anthropic key of their own, go to Anthropic with their very bytes', async () => {
    const { client, attempts } = anthropicOf(gateway, user.key)
    await client.messages.create({ ...HELLO, model: 'claude-haiku-4-5-20251001' })
    expect(lastRequest(gateway).path).toBe('/v1/messages')
    expect(lastRequest(gateway).body.toString()).toBe(attempts[0]?.body)
    const own = anthropicOf(gateway, 'sk-ant-own-1', { defaultHeaders: { 'x-tollgate-key': user.key } })
    await own.client.messages.create({ ...HELLO, model: 'claude-haiku-4-5-20251001' })
    expect(new Headers(lastRequest(gateway).headers).get('x-api-key')).toBe('sk-ant-own-1')
  })
})

describe('errors are Anthropic’s, typed and raised once', () => {
  async function raised(key: string, body: object = HELLO) {
    const { client, attempts } = anthropicOf(gateway, key, { maxRetries: 2 })
    const error = await failure(client.messages.create(body as Anthropic.MessageCreateParamsNonStreaming))
    expect(attempts).toHaveLength(1)
    if (!(error instanceof APIError)) throw error
    return error
  }

  test('an exceeded cap is a 402 billing_error with the cap’s facts', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 1 } }])
    await anthropicOf(gateway, key).client.messages.create(HELLO)
    const error = await raised(key)
    expect(error.status).toBe(402)
    expect(error.error).toMatchObject({ error: { type: 'billing_error', cap: { limit: 1 } } })
  })

  test('a wrong key, a suspended user, a wrong field', async () => {
    expect(await raised('tg_nonsense')).toBeInstanceOf(AuthenticationError)
    expect(await raised(user.key, { ...HELLO, max_tokens: 0.5 })).toBeInstanceOf(BadRequestError)
    expect(await raised(user.key, { ...HELLO, stream: 'yes' })).toBeInstanceOf(BadRequestError)
    expect(await raised(user.key, { ...HELLO, model: [HELLO.model] })).toBeInstanceOf(BadRequestError)
    const { id, key } = await gateway.admin.user()
    await gateway.admin.call('POST', `/admin/users/${id}/suspend`)
    expect(await raised(key)).toBeInstanceOf(PermissionDeniedError)
    expect((await post(gateway, 'anthropic', user.key, '{"model":')).status).toBe(400)
    const tooLarge = JSON.stringify({ ...HELLO, system: 'x'.repeat(21 * 1024 * 1024) })
    for (const [headers, status, type] of [
      [{ 'content-type': 'text/plain' }, 415, 'invalid_request_error'],
      [{}, 413, 'request_too_large'],
    ] as const) {
      const refused = await post(gateway, 'anthropic', user.key, tooLarge, { headers })
      expect(refused.status).toBe(status)
      expect(await refused.json()).toMatchObject({ type: 'error', error: { type } })
    }
    expect((await post(gateway, 'anthropic', 'tg_nonsense', tooLarge)).status).toBe(401)
    expect(gateway.provider.requests).toHaveLength(0)
  })

  test('a message thread, which Bedrock does not hold: the SDK’s runner of tools goes on without', async () => {
    const { key } = await gateway.admin.user()
    const { client, attempts } = anthropicOf(gateway, key)
    const messages = [{ role: 'user' as const, content: 'use the tool' }]
    const tool = { type: 'custom' as const, name: 'look_up', input_schema: { type: 'object' as const } }
    const run = { run: () => 'found', parse: (input: unknown) => input }
    await client.beta.messages.toolRunner({ ...HELLO, messages, tools: [{ ...tool, ...run }] }).runUntilDone()
    expect(attempts.map(({ answer }) => answer?.status)).toEqual([400, 200, 200])
    expect(JSON.parse(lastRequest(gateway).body.toString()).messages).toHaveLength(3)
  })

  test.each([
    [400, 'ValidationException', BadRequestError, 'invalid_request_error', 1],
    [403, 'AccessDeniedException', PermissionDeniedError, 'permission_error', 1],
    [429, 'ThrottlingException', RateLimitError, 'rate_limit_error', 3],
  ])('Bedrock’s %i %s', async (status, exception, type, name, tries) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    gateway.provider.reply = () =>
      json({ message: 'No.' }, status, { 'x-amzn-errortype': exception, 'retry-after-ms': '1' })
    const { client, attempts } = anthropicOf(gateway, key)
    const error = await failure(client.messages.create(HELLO))
    expect(error).toBeInstanceOf(type)
    expect((error as APIError).error).toMatchObject({ type: 'error', error: { type: name, message: 'No.' } })
    expect(attempts).toHaveLength(tries)
    const events = await allEvents(gateway, id, tries)
    for (const event of events) expect(event).toMatchObject({ status, outcome: 'released', cost_nano_usd: 0 })
    expect((await capOf(gateway, id)).held).toEqual(NOTHING_USED)
  })

  test('an exception within a stream is thrown as Anthropic’s error, in Bedrock’s words', async () => {
    answerWith(gateway, (usual) => afterSteps(usual, 4, exceptionFrame('throttlingException', 'Slow.')))
    const error = await failure(anthropicOf(gateway, user.key).client.messages.stream(HELLO).finalMessage())
    expect((error as APIError).error).toMatchObject({ error: { type: 'rate_limit_error', message: 'Slow.' } })
  })

  test('so is an error that is not modeled, whose code and words are in headers', async () => {
    const said = { ':error-code': 'ThrottlingException', ':error-message': 'Slow.' }
    const frame = encodeFrame({ ':message-type': 'error', ...said }, new Uint8Array())
    answerWith(gateway, (usual) => afterSteps(usual, 4, frame))
    const error = await failure(anthropicOf(gateway, user.key).client.messages.stream(HELLO).finalMessage())
    expect((error as APIError).error).toMatchObject({ error: { type: 'rate_limit_error', message: 'Slow.' } })
  })

  test('words of which no text can be made leave the exception’s name, and the stream as it is', async () => {
    const message = { toString: 1 }
    gateway.provider.reply = () => json({ message }, 400, { 'x-amzn-errortype': 'ValidationException' })
    const refused = await failure(anthropicOf(gateway, user.key).client.messages.create(HELLO))
    expect((refused as APIError).error).toMatchObject({ error: { message: 'ValidationException' } })

    const type = jsonFrame(
      { ':message-type': 'event', ':event-type': 'chunk' },
      { bytes: btoa('{"type":{"toString":1}}') },
    )
    const exception = jsonFrame({ ':message-type': 'exception', ':exception-type': 'throttlingException' }, { message })
    answerWith(gateway, (usual) => afterSteps(usual, 4, type, exception))
    const broken = await failure(anthropicOf(gateway, user.key).client.messages.stream(HELLO).finalMessage())
    expect((broken as APIError).error).toMatchObject({ error: { message: 'throttlingException' } })
  })
})
