// What the official OpenAI client sees through Tollgate, and what the provider sees of it.

import OpenAI, {
  AuthenticationError,
  BadRequestError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
} from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { json } from '../../src/local/fake-script.ts'
import {
  answerWith,
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
  openaiOf,
  post,
  type User,
} from '../support/client-calls.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'

const PNG =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user' as const, content: 'hello' }] }
const TOOL = {
  type: 'function' as const,
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } },
  },
}

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
    const { client, attempts } = openaiOf(gateway, user.key)

    const { data, response, request_id } = await client.chat.completions.create(HELLO).withResponse()

    expect(data).toEqual(JSON.parse(bytesOf(last()).toString()))
    expect(lastRequest(gateway).body.toString()).toBe(attempts[0]?.body)
    expect(request_id).toMatch(/^req_/)
    expect(response.headers.get('x-tollgate-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    expect(response.headers.get('openai-processing-ms')).toBe('12')
  })

  test('a stream brings the provider’s chunks in their order and not the usage chunk that only Tollgate asked for', async () => {
    const { last } = answerWith(gateway)
    const { client } = openaiOf(gateway, user.key)

    const chunks = await collect(await client.chat.completions.create({ ...HELLO, stream: true }))

    const sent = eventsIn(bytesOf(last()).toString())
    expect(sent.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: expect.any(Number) } })
    expect(chunks).toEqual(sent.slice(0, -1))
    expect(JSON.parse(lastRequest(gateway).body.toString())).toEqual({
      ...HELLO,
      stream: true,
      stream_options: { include_usage: true },
    })
  })

  test('a stream whose client asked for usage is byte for byte the provider’s, and so is its request', async () => {
    const { last } = answerWith(gateway)
    const body = JSON.stringify({ ...HELLO, stream: true, stream_options: { include_usage: true } })

    const answer = await post(gateway, 'openai', user.key, body)

    expect(await answer.text()).toBe(bytesOf(last()).toString())
    expect(lastRequest(gateway).body.toString()).toBe(body)
  })

  test('tools: the call comes back whole, as JSON and from a stream', async () => {
    const { client, attempts } = openaiOf(gateway, user.key)
    const body = { ...HELLO, messages: [{ role: 'user' as const, content: 'use the tool' }], tools: [TOOL] }

    const answer = await client.chat.completions.create(body)
    const streamed = await client.chat.completions.stream(body).finalChatCompletion()

    const wanted = { name: 'weather', arguments: '{"city":"Paris","days":3}' }
    expect(answer.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: wanted })
    expect(streamed.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: wanted })
    expect(gateway.provider.requests[0]?.body.toString()).toBe(attempts[0]?.body)
  })

  test('structured output is parsed, as JSON and from a stream', async () => {
    const { client } = openaiOf(gateway, user.key)
    const trip = z.object({ city: z.string(), stops: z.array(z.object({ days: z.int() })).min(1) })
    const body = { ...HELLO, response_format: zodResponseFormat(trip, 'trip') }
    const wanted = { city: 'Paris', stops: [{ days: 3 }] }
    expect((await client.chat.completions.parse(body)).choices[0]?.message.parsed).toEqual(wanted)
    const streamed = await client.chat.completions.stream(body).finalChatCompletion()
    expect(streamed.choices[0]?.message.parsed).toEqual(wanted)
    const loose = await client.chat.completions.create({ ...HELLO, response_format: { type: 'json_object' } })
    expect(JSON.parse(loose.choices[0]?.message.content ?? '')).toEqual({ city: 'Paris' })
  })

  test.each([
    ['required', 'weather'],
    [{ type: 'function' as const, function: { name: 'other' } }, 'other'],
    ['auto', undefined],
    ['none', undefined],
  ] as const)('a tool_choice of %j calls %s', async (tool_choice, name) => {
    const tools = [TOOL, { ...TOOL, function: { ...TOOL.function, name: 'other' } }]
    const answer = await openaiOf(gateway, user.key).client.chat.completions.create({ ...HELLO, tools, tool_choice })
    expect(answer.choices[0]?.message.tool_calls?.[0]).toEqual(
      name && expect.objectContaining({ function: { name, arguments: '{"city":"Paris","days":3}' } }),
    )
  })

  test('an image as a data URL reaches the provider untouched', async () => {
    const { client, attempts } = openaiOf(gateway, user.key)

    await client.chat.completions.create({
      ...HELLO,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'what is this?' },
            { type: 'image_url', image_url: { url: PNG } },
          ],
        },
      ],
    })

    expect(lastRequest(gateway).body.toString()).toBe(attempts[0]?.body)
    expect(attempts[0]?.body).toContain(PNG)
  })

  test('models are listed and retrieved, and count as requests that cost nothing', async () => {
    const capped = await gateway.admin.user(GENEROUS)
    const { client } = openaiOf(gateway, capped.key)
    gateway.provider.reply = ({ path }, usual) => (path === '/v1/models/gpt-4o' ? json({ id: 'gpt-4o' }) : usual())

    const listed = await client.models.list()
    const model = await client.models.retrieve('gpt-4o')

    expect(listed.data.map(({ id }) => id)).toContain('gpt-4o-mini')
    expect(model.id).toBe('gpt-4o')
    const { current_usage } = await eventually(
      () => capOf(gateway, capped.id),
      ({ held }) => held.requests === 0,
    )
    expect(current_usage).toEqual({ ...NOTHING_USED, requests: 2 })
  })
})

describe('the body on its way to the provider', () => {
  const ODD =
    '{ "messages":[{"content":"caf\\u00e9 \\ud83d\\ude00 日本","role":"user"}],\n\t"seed": 123456789012345678901234567890, "temperature":1.0e0,"model":"gpt-4o-mini" }\n'

  test('odd but valid JSON (big integers, escapes, whitespace, key order) goes through as it came', async () => {
    expect((await post(gateway, 'openai', user.key, ODD)).status).toBe(200)
    expect(lastRequest(gateway).body.toString()).toBe(ODD)
  })

  test('what must be set is set, and no other byte changes', async () => {
    const streamed = ODD.replace('"seed"', '"stream" : true, "stream_options": {"include_usage" :false,"x":1} ,"seed"')

    await (await post(gateway, 'openai', user.key, streamed)).text()

    expect(lastRequest(gateway).body.toString()).toBe(
      streamed.replace('{"include_usage" :false,"x":1}', '{"include_usage":true,"x":1}'),
    )
  })

  test('a clamped bound is written in its place and said in a header', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 1_000 } }])
    const body = ODD.replace('"seed"', '"max_tokens" :  50000, "seed"')

    const answer = await post(gateway, 'openai', key, body)

    const granted = grantedIn(answer)
    expect(granted).toBeGreaterThan(500)
    expect(lastRequest(gateway).body.toString()).toBe(body.replace('50000', String(granted)))
  })

  test('under a token cap an absent bound is added at the end', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 1_000 } }])

    const answer = await post(gateway, 'openai', key, ODD)

    const granted = grantedIn(answer)
    const added = ODD.replace(/\}\n$/, `,"max_completion_tokens":${granted}}\n`)
    expect(lastRequest(gateway).body.toString()).toBe(added)
  })

  test('the gateway’s credential reaches the provider, and the key is in none of its headers', async () => {
    const { client } = openaiOf(gateway, user.key, {
      organization: 'org-of-the-caller',
      project: 'proj-of-the-caller',
      defaultHeaders: { cookie: 'session=1', 'x-forwarded-for': '203.0.113.9', 'x-api-key': user.key },
    })

    await client.chat.completions.create(HELLO)

    const { headers } = lastRequest(gateway)
    const names = headers.map(([name]) => name.toLowerCase())
    expect(headers.find(([name]) => name.toLowerCase() === 'authorization')?.[1]).toBe('Bearer sk-fake')
    expect(JSON.stringify(headers)).not.toContain(user.key)
    expect(names.filter((name) => /tollgate|cookie|openai-|forwarded|api-key/.test(name))).toEqual([])
    expect(names).toContain('x-stainless-lang')
  })

  test('the id that a client gives its call reaches the provider, who finds by it what was never answered', async () => {
    const { client } = openaiOf(gateway, user.key)
    await client.chat.completions.create(HELLO, { headers: { 'X-Client-Request-Id': 'call-1' } })
    expect(new Headers(lastRequest(gateway).headers).get('x-client-request-id')).toBe('call-1')
  })

  test('a caller’s own provider key passes beside x-tollgate-key, with its organization', async () => {
    gateway.provider.reply = () => json({ object: 'list', data: [] })
    const { client } = openaiOf(gateway, 'sk-of-the-caller', {
      organization: 'org-of-the-caller',
      defaultHeaders: { 'x-tollgate-key': user.key },
    })

    await client.models.list()

    const headers = new Headers(lastRequest(gateway).headers)
    expect(headers.get('authorization')).toBe('Bearer sk-of-the-caller')
    expect(headers.get('openai-organization')).toBe('org-of-the-caller')
    expect(JSON.stringify([...headers])).not.toContain(user.key)
  })
})

describe('errors are typed and raised once', () => {
  async function raised(key: string, body: object = HELLO) {
    const { client, attempts } = openaiOf(gateway, key)
    const error = await failure(client.chat.completions.create(body as OpenAI.ChatCompletionCreateParamsNonStreaming))
    expect(attempts).toHaveLength(1)
    expect(attempts[0]?.answer?.headers.get('x-tollgate-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    expect(attempts[0]?.answer?.headers.get('x-request-id')).toBeTruthy()
    if (!(error instanceof OpenAI.APIError)) throw error
    return error
  }
  const facts = (error: InstanceType<typeof OpenAI.APIError>) => error.error as { [field: string]: unknown }

  test('an exceeded cap is a RateLimitError that carries the cap’s facts', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 1 } }])
    await openaiOf(gateway, key).client.chat.completions.create(HELLO)

    const error = await raised(key)

    expect(error).toBeInstanceOf(RateLimitError)
    expect(error).toMatchObject({ status: 429, code: 'insufficient_quota', type: 'insufficient_quota' })
    const cap = facts(error).cap as { reset_time: string; retry_after_seconds: number }
    expect(cap).toMatchObject({ cap_type: 'daily', limit_type: 'requests', current_usage: 1, limit: 1 })
    const seconds = (Date.parse(cap.reset_time) - Date.now()) / 1_000
    // Midnight in one of the time zones in which tests' users live.
    expect(cap.reset_time).toMatch(/T(09:30|10:00|18:30|19:00):00\.000Z$/)
    expect(Math.abs(cap.retry_after_seconds - seconds)).toBeLessThan(60)
    expect(error.headers?.get('ratelimit')).toMatch(/^"daily-requests";r=0;t=\d+$/)
    expect(gateway.provider.requests).toHaveLength(1)
    expect(await onlyEvent(gateway, id)).toMatchObject({ status: 200 })
  })

  test('a cost cap tells its facts in cents, and a total one that waiting does not help', async () => {
    const { key } = await gateway.admin.user([
      { cap_type: 'total', limits: { cost_cents: 0.0001 }, on_exceed: 'refuse' },
    ])
    expect(facts(await raised(key)).cap).toEqual({
      cap_type: 'total',
      limit_type: 'cost',
      unit: 'cents',
      current_usage: 0,
      in_flight: 0,
      limit: 0.0001,
      requested: expect.any(Number),
      reset_time: null,
      retry_after_seconds: null,
    })
  })

  test('where only calls in flight are in the way, the SDK tries again and gets in when they have ended', async () => {
    const { id, key } = await gateway.admin.user([
      { cap_type: 'total', limits: { tokens: 2_000 }, on_exceed: 'refuse' },
    ])
    const { client, attempts } = openaiOf(gateway, key)
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
    gateway.provider.reply = (_, usual) => {
      const { steps, ...script } = usual()
      return { ...script, steps: [{ until: answered }, ...steps] }
    }
    const body = { ...HELLO, max_tokens: 1_500 }
    const first = client.chat.completions.create(body)
    await eventually(
      () => capOf(gateway, id),
      ({ held }) => held.tokens > 1_500,
    )
    const second = client.chat.completions.create(body)
    await eventually(
      async () => attempts[1]?.answer,
      (refused) => Boolean(refused),
    )
    answer()

    expect((await Promise.all([first, second])).map(({ object }) => object)).toEqual(Array(2).fill('chat.completion'))
    const refused = attempts[1]?.answer
    expect([refused?.status, refused?.headers.get('retry-after')]).toEqual([
      429,
      expect.stringMatching(/^([5-9]|1[0-5])$/),
    ])
    expect(attempts).toHaveLength(3)
  })

  test('a key that is mistyped, revoked or missing is an AuthenticationError', async () => {
    const { id, key } = await gateway.admin.user()
    const { data } = await gateway.admin.call<{ data: { id: string }[] }>('GET', `/admin/users/${id}/keys`)
    await gateway.admin.call('DELETE', `/admin/users/${id}/keys/${data[0]?.id}`)
    for (const bad of [key, `${user.key.slice(0, -1)}x`, 'sk-something-else']) {
      const error = await raised(bad)
      expect(error).toBeInstanceOf(AuthenticationError)
      expect(error.code).toBe('invalid_api_key')
    }
    expect(gateway.provider.requests).toHaveLength(0)
  })

  test('a suspended user gets a PermissionDeniedError', async () => {
    const { id, key } = await gateway.admin.user()
    await gateway.admin.call('POST', `/admin/users/${id}/suspend`)
    expect(await raised(key)).toBeInstanceOf(PermissionDeniedError)
  })

  test('a wrong field is a BadRequestError that names it', async () => {
    const error = await raised(user.key, { ...HELLO, max_tokens: -1 })
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error.param).toBe('max_tokens')
    expect(error.message).toContain('max_tokens')
  })

  test('a route that Tollgate cannot meter is a NotFoundError', async () => {
    const { client, attempts } = openaiOf(gateway, user.key)
    const error = await failure(client.vectorStores.create({ name: 'hello' }))
    expect(error).toBeInstanceOf(NotFoundError)
    expect(attempts).toHaveLength(1)
    expect(gateway.provider.requests).toHaveLength(0)
  })
})

describe('the provider’s own errors', () => {
  const OVERLOADED = { error: { message: 'The server is overloaded', type: 'server_error', param: null, code: null } }

  test.each([
    [400, { 'x-request-id': 'req_bad' }],
    [429, { 'x-request-id': 'req_busy', 'retry-after-ms': '1', 'x-ratelimit-remaining-requests': '0' }],
    [500, { 'x-request-id': 'req_broken' }],
    [503, { 'x-request-id': 'req_overloaded', 'x-should-retry': 'true' }],
  ])('%i passes with its bytes and headers, and is released: nothing charged', async (status, headers) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    gateway.provider.reply = () => json(OVERLOADED, status, headers)

    const answer = await post(gateway, 'openai', key, bodyOf('openai'))

    expect(answer.status).toBe(status)
    expect(await answer.text()).toBe(JSON.stringify(OVERLOADED))
    for (const [name, value] of Object.entries(headers)) expect(answer.headers.get(name)).toBe(value)
    expect(await onlyEvent(gateway, id)).toMatchObject({
      status,
      outcome: 'released',
      cost_nano_usd: 0,
      requests: 0,
      provider_request_id: headers['x-request-id'],
      error_class: expect.stringMatching(/^upstream_/),
    })
    expect(await capOf(gateway, id)).toMatchObject({ current_usage: NOTHING_USED, held: NOTHING_USED })
  })

  test('the SDK retries what the provider says may be retried, as it would without Tollgate', async () => {
    let calls = 0
    gateway.provider.reply = (_, usual) => (++calls < 3 ? json(OVERLOADED, 429, { 'retry-after-ms': '1' }) : usual())
    const { client, attempts } = openaiOf(gateway, user.key)
    await client.chat.completions.create(HELLO)
    expect(attempts).toHaveLength(3)
  })
})
