// What the official Anthropic client sees through Tollgate, and what the provider sees of it.

import type Anthropic from '@anthropic-ai/sdk'
import { APIError, AuthenticationError, BadRequestError, NotFoundError, PermissionDeniedError } from '@anthropic-ai/sdk'
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { json } from '../../src/local/fake-script.ts'
import {
  answerWith,
  anthropicOf,
  bodyOf,
  bytesOf,
  capOf,
  collect,
  eventsIn,
  failure,
  GENEROUS,
  grantedIn,
  lastRequest,
  NOTHING_USED,
  onlyEvent,
  post,
  type User,
  WIRE,
} from '../support/client-calls.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'

const HELLO = {
  model: 'claude-haiku-4-5-20251001',
  max_tokens: 100,
  messages: [{ role: 'user' as const, content: 'hello' }],
}
const TOOL = {
  name: 'weather',
  input_schema: { type: 'object' as const, properties: { city: { type: 'string' }, days: { type: 'integer' } } },
}
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

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
afterAll(() => gateway.close())

describe('answers', () => {
  test('a JSON answer is the provider’s, byte for byte, and the provider got the client’s body, byte for byte', async () => {
    const { last } = answerWith(gateway)
    const { client, attempts } = anthropicOf(gateway, user.key)

    const { data, response, request_id } = await client.messages.create(HELLO).withResponse()

    expect(data).toEqual(JSON.parse(bytesOf(last()).toString()))
    expect(lastRequest(gateway).body.toString()).toBe(attempts[0]?.body)
    expect(request_id).toMatch(/^req_01/)
    expect(response.headers.get('x-tollgate-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    expect(response.headers.get('anthropic-ratelimit-requests-remaining')).toBe('3999')
    expect(response.headers.get('anthropic-organization-id')).toBeNull()
  })

  test('a stream is the provider’s, event for event and byte for byte', async () => {
    const { last } = answerWith(gateway)
    const { client } = anthropicOf(gateway, user.key)

    const events = await collect(await client.messages.create({ ...HELLO, stream: true }))
    expect(events).toEqual(eventsIn(bytesOf(last()).toString()).filter(({ type }) => type !== 'ping'))

    const raw = await post(gateway, 'anthropic', user.key, { ...HELLO, stream: true })
    expect(await raw.text()).toBe(bytesOf(last()).toString())
  })

  test('tools: the call comes back whole, as JSON and from a stream', async () => {
    const { client, attempts } = anthropicOf(gateway, user.key)
    const body = { ...HELLO, messages: [{ role: 'user' as const, content: 'use the tool' }], tools: [TOOL] }

    const answer = await client.messages.create(body)
    const streamed = await client.messages.stream(body).finalMessage()

    const wanted = { type: 'tool_use', name: 'weather', input: { city: 'Paris', days: 3 } }
    expect(answer.content[0]).toMatchObject(wanted)
    expect(streamed.content[0]).toMatchObject(wanted)
    expect(gateway.provider.requests.map(({ body }) => body.toString())).toEqual(attempts.map(({ body }) => body))
  })

  test('structured output is parsed, as JSON and from a stream', async () => {
    const capped = await gateway.admin.user(GENEROUS)
    const { client } = anthropicOf(gateway, capped.key)
    const format = zodOutputFormat(z.object({ city: z.string(), days: z.int() }))
    const wanted = { city: 'Paris', days: 3 }
    const body = { ...HELLO, output_config: { format } }
    expect((await client.messages.parse(body)).parsed_output).toEqual(wanted)
    expect((await client.messages.stream(body).finalMessage()).parsed_output).toEqual(wanted)
    const answer = await post(gateway, 'anthropic', capped.key, { ...HELLO, output_format: format })
    expect(await answer.json()).toMatchObject({ content: [{ text: JSON.stringify(wanted) }] })
  })

  test.each([
    [{ type: 'any' }, 'weather'],
    [{ type: 'tool', name: 'other' }, 'other'],
    [{ type: 'none' }, undefined],
  ] as const)('a tool_choice of %j calls %s', async (tool_choice, name) => {
    const tools = [TOOL, { ...TOOL, name: 'other' }]
    const { client } = anthropicOf(gateway, user.key)
    const { content } = await client.messages.create({ ...HELLO, tools, tool_choice })
    expect(content).toMatchObject([
      name ? { type: 'tool_use', name, input: { city: 'Paris', days: 3 } } : { type: 'text' },
    ])
  })

  test('an image as base64 reaches the provider untouched', async () => {
    const { client, attempts } = anthropicOf(gateway, user.key)
    await client.messages.create({
      ...HELLO,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } },
            { type: 'text', text: 'what is this?' },
          ],
        },
      ],
    })
    expect(lastRequest(gateway).body.toString()).toBe(attempts[0]?.body)
    expect(attempts[0]?.body).toContain(PNG)
  })

  test('models and count_tokens pass, count as requests and cost nothing', async () => {
    const capped = await gateway.admin.user(GENEROUS)
    const { client, attempts } = anthropicOf(gateway, capped.key)
    const model = { type: 'model', id: 'claude-x', display_name: 'x', created_at: '2025-09-29T00:00:00Z' }
    gateway.provider.reply = ({ path }, usual) => (path === '/v1/models/claude-x' ? json(model) : usual())
    const { max_tokens: _, ...counted } = HELLO

    const listed = await client.models.list()
    const retrieved = await client.models.retrieve('claude-x')
    const count = await client.messages.countTokens(counted)

    expect(listed.data.map(({ id }) => id)).toContain('claude-haiku-4-5-20251001')
    expect(retrieved.id).toBe('claude-x')
    expect(count.input_tokens).toBeGreaterThan(0)
    expect(lastRequest(gateway).body.toString()).toBe(attempts[2]?.body)
    const { current_usage } = await eventually(
      () => capOf(gateway, capped.id),
      ({ held }) => held.requests === 0,
    )
    expect(current_usage).toEqual({ ...NOTHING_USED, requests: 3 })
  })
})

describe('the request on its way to the provider', () => {
  const ODD =
    '{ "messages":[{"content":"caf\\u00e9 \\ud83d\\ude00 日本","role":"user"}],\n\t"max_tokens" :  50000, "top_k": 123456789012345678901234567890,"model":"claude-haiku-4-5-20251001" }\n'

  test('odd but valid JSON (big integers, escapes, whitespace, key order) goes through as it came', async () => {
    expect((await post(gateway, 'anthropic', user.key, ODD)).status).toBe(200)
    expect(lastRequest(gateway).body.toString()).toBe(ODD)
  })

  test('a clamped bound is written in its place, said in a header, and ends the answer as max_tokens', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: ODD.length + 60 } }])

    const answer = await post(gateway, 'anthropic', key, ODD)

    const granted = grantedIn(answer)
    expect(granted).toBeGreaterThanOrEqual(16)
    expect(granted).toBeLessThanOrEqual(60)
    expect(lastRequest(gateway).body.toString()).toBe(ODD.replace('50000', String(granted)))
  })

  test.each([
    ['Authorization: Bearer', (key: string) => ({ authorization: `Bearer ${key}` })],
    ['x-api-key', (key: string) => ({ 'x-api-key': key })],
    ['both', (key: string) => ({ 'x-api-key': key, authorization: `Bearer ${key}` })],
    ['x-tollgate-key', (key: string) => ({ 'x-tollgate-key': key })],
  ])('a key in %s is taken off and the gateway’s credential put on', async (_, credential) => {
    const answer = await fetch(gateway.url + WIRE.anthropic.path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01', ...credential(user.key) },
      body: JSON.stringify(HELLO),
    })
    expect(answer.status).toBe(200)
    const headers = new Headers(lastRequest(gateway).headers)
    expect(headers.get('x-api-key')).toBe('sk-ant-fake')
    expect(headers.get('authorization')).toBeNull()
    expect(JSON.stringify([...headers])).not.toContain(user.key)
    expect([...headers.keys()].filter((name) => name.includes('tollgate'))).toEqual([])
  })

  test('a caller’s own provider key passes beside x-tollgate-key', async () => {
    gateway.provider.reply = () => json({ data: [], has_more: false, first_id: null, last_id: null })
    const { client } = anthropicOf(gateway, 'sk-ant-of-the-caller', { defaultHeaders: { 'x-tollgate-key': user.key } })
    await client.models.list()
    const headers = new Headers(lastRequest(gateway).headers)
    expect(headers.get('x-api-key')).toBe('sk-ant-of-the-caller')
    expect(JSON.stringify([...headers])).not.toContain('sk-ant-fake')
    expect(JSON.stringify([...headers])).not.toContain(user.key)
  })

  test('who is billed may be said with a key of one’s own: it is bounded and charged as without it', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { last } = answerWith(gateway)
    const { client } = anthropicOf(gateway, 'sk-ant-own-1', { defaultHeaders: { 'x-tollgate-key': key } })
    const billing_policy = { type: 'billing_policy', bill_to: 'user_profile' } as const
    await client.beta.messages.create({ ...HELLO, billing_policy, user_profile_id: 'uprof_1' })
    const { headers, body } = lastRequest(gateway)
    expect(new Headers(headers).get('anthropic-user-profile-id')).toBe('uprof_1')
    expect(JSON.parse(String(body))).toEqual({ ...HELLO, billing_policy })
    const { input_tokens, output_tokens } = JSON.parse(bytesOf(last()).toString()).usage
    expect(await onlyEvent(gateway, id)).toMatchObject({
      input_tokens,
      output_tokens,
      cost_nano_usd: input_tokens * 1_000 + output_tokens * 5_000,
    })
  })

  test('beta, version and the client’s id of the call pass', async () => {
    const { client } = anthropicOf(gateway, user.key)
    const sent = { 'anthropic-beta': 'one-2025-01-01,two-2025-01-01', 'x-client-request-id': 'call-1' }
    await client.messages.create(HELLO, { headers: sent })
    const headers = new Headers(lastRequest(gateway).headers)
    for (const [name, value] of Object.entries(sent)) expect(headers.get(name)).toBe(value)
    expect(headers.get('anthropic-version')).toMatch(/^\d{4}-\d{2}-\d{2}$/)
  })
})

describe('errors are typed and raised once', () => {
  async function raised(key: string, body: object = HELLO) {
    const { client, attempts } = anthropicOf(gateway, key)
    const error = await failure(client.messages.create(body as Anthropic.MessageCreateParamsNonStreaming))
    expect(attempts).toHaveLength(1)
    const headers = attempts[0]?.answer?.headers
    expect(headers?.get('request-id')).toBe(headers?.get('x-tollgate-request-id'))
    if (!(error instanceof APIError)) throw error
    expect(error.requestID).toMatch(/^[0-9a-f-]{36}$/)
    return error
  }
  const inside = (error: APIError) => (error.error as { error: { [field: string]: unknown } }).error

  test('an exceeded cap is a 402 billing_error that carries the cap’s facts', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'weekly', limits: { requests: 1 } }], {
      time_zone: 'Europe/Berlin',
    })
    await anthropicOf(gateway, key).client.messages.create(HELLO)

    const error = await raised(key)

    expect(error.constructor.name).toBe('PaymentRequiredError')
    expect(error.status).toBe(402)
    expect(inside(error).type).toBe('billing_error')
    expect(inside(error).cap).toEqual({
      cap_type: 'weekly',
      limit_type: 'requests',
      unit: 'requests',
      current_usage: 1,
      in_flight: 0,
      limit: 1,
      requested: 1,
      reset_time: expect.stringMatching(/T2[23]:00:00\.000Z$/),
      retry_after_seconds: expect.any(Number),
    })
    expect(gateway.provider.requests).toHaveLength(1)
  })

  test('a key that is mistyped, expired or foreign is an AuthenticationError', async () => {
    const { id } = await gateway.admin.user()
    const keys = `/admin/users/${id}/keys`
    const { id: keyId, key: short } = await gateway.admin.call<{ id: string; key: string }>('POST', keys, {
      name: 'short',
    })
    await gateway.admin.call('POST', `${keys}/${keyId}/rotate`, { grace_seconds: 1 })
    for (const bad of [`${user.key.slice(0, -1)}x`, 'sk-ant-something-else']) {
      const error = await raised(bad)
      expect(error).toBeInstanceOf(AuthenticationError)
      expect(inside(error).type).toBe('authentication_error')
    }
    const expired = await eventually(
      () => post(gateway, 'anthropic', short, HELLO).then(({ status }) => status),
      (status) => status !== 200,
    )
    expect(expired).toBe(401)
    expect(await raised(short)).toBeInstanceOf(AuthenticationError)
  })

  test('a suspended user and a key without the scope get a PermissionDeniedError', async () => {
    const { id, key } = await gateway.admin.user()
    const { key: reader } = await gateway.admin.call<{ key: string }>('POST', `/admin/users/${id}/keys`, {
      name: 'reader',
      scopes: ['usage'],
    })
    expect(await raised(reader)).toBeInstanceOf(PermissionDeniedError)
    await gateway.admin.call('POST', `/admin/users/${id}/suspend`)
    expect(await raised(key)).toBeInstanceOf(PermissionDeniedError)
  })

  test('a wrong field is a BadRequestError that names it', async () => {
    const error = await raised(user.key, { ...HELLO, max_tokens: 0.5 })
    expect(error).toBeInstanceOf(BadRequestError)
    expect(inside(error)).toMatchObject({ type: 'invalid_request_error', field: 'max_tokens' })
    expect(error.message).toContain('max_tokens')
  })

  test('a route that Tollgate cannot meter is a NotFoundError', async () => {
    const { client, attempts } = anthropicOf(gateway, user.key)
    expect(await failure(client.messages.batches.list())).toBeInstanceOf(NotFoundError)
    expect(attempts).toHaveLength(1)
    expect(gateway.provider.requests).toHaveLength(0)
  })
})

describe('the provider’s own errors', () => {
  const error = (type: string) => ({ type: 'error', error: { type, message: 'no' }, request_id: 'req_1' })

  test.each([
    [400, 'invalid_request_error', {}],
    [429, 'rate_limit_error', { 'retry-after': '1', 'anthropic-ratelimit-tokens-remaining': '0' }],
    [500, 'api_error', {}],
    [529, 'overloaded_error', { 'x-should-retry': 'true' }],
  ])('%i passes with its bytes and headers, and is released: nothing charged', async (status, type, headers) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    gateway.provider.reply = () => json(error(type), status, { ...headers, 'request-id': 'req_1' })

    const answer = await post(gateway, 'anthropic', key, bodyOf('anthropic'))

    expect(answer.status).toBe(status)
    expect(await answer.text()).toBe(JSON.stringify(error(type)))
    for (const [name, value] of Object.entries(headers)) expect(answer.headers.get(name)).toBe(value)
    expect(answer.headers.get('request-id')).toBe('req_1')
    expect(await onlyEvent(gateway, id)).toMatchObject({ status, outcome: 'released', requests: 0, cost_nano_usd: 0 })
    expect(await capOf(gateway, id)).toMatchObject({ current_usage: NOTHING_USED, held: NOTHING_USED })
  })
})
