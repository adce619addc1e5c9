// What Tollgate refuses before it holds, forwards or records anything: each a clear error in the client's own dialect.

import { request as httpRequest } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  bodyOf,
  capOf,
  eventsOf,
  GENEROUS,
  lastRequest,
  NOTHING_USED,
  onlyEvent,
  type Provider,
  post,
  type RawCall,
  type User,
  WIRE,
} from '../support/client-calls.ts'
import { ADMIN_TOKEN, type Gateway, startGateway } from '../support/gateway.ts'

const PROVIDERS = ['openai', 'anthropic'] satisfies Provider[]
const MIB = 1024 * 1024

let gateway: Gateway
let keyless: Gateway
let user: User
beforeAll(async () => {
  gateway = await startGateway()
  keyless = await startGateway({ vars: { OPENAI_API_KEY: '', ANTHROPIC_API_KEY: '' } })
  user = await gateway.admin.user(GENEROUS)
})
afterEach(() => {
  gateway.provider.requests.length = 0
})
afterAll(() => Promise.all([gateway.close(), keyless.close()]))

interface Refused {
  status: number
  code: string
  field: string | null
  message: string
}

/** The refusal in the dialect's own words; nothing may have been held, forwarded or recorded. */
async function refused(provider: Provider, call: Promise<Response>): Promise<Refused> {
  const answer = await call
  const body = JSON.parse(await answer.text())
  expect(answer.headers.get('x-tollgate-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
  if (provider === 'anthropic') {
    expect(body).toMatchObject({ type: 'error', request_id: expect.any(String), error: { type: expect.any(String) } })
    expect(answer.headers.get('request-id')).toBe(body.request_id)
  } else {
    expect(body.error).toMatchObject({ type: expect.any(String), param: body.error.param })
    expect(answer.headers.get('x-request-id')).toBeTruthy()
  }
  expect(gateway.provider.requests).toHaveLength(0)
  expect(await capOf(gateway, user.id)).toMatchObject({ current_usage: NOTHING_USED, held: NOTHING_USED })
  expect(await eventsOf(gateway, user.id)).toEqual([])
  const { code, message, param = null, field = null } = body.error
  return { status: answer.status, code, message, field: param ?? field }
}

const badRequest = (field: string) => ({ status: 400, field, message: expect.stringContaining(field) })

test('whoever is told no before the body was read hears it, however long the body is', async () => {
  // More than sockets keep; what is longer is met as rarely. Each try finds fault with four of ten that nobody reads to the end.
  const body = 'x'.repeat(5 * MIB)
  for (let tries = 0; tries < 4; tries++)
    for (const [path, credential, status] of [
      ['/openai/v1/uploads', user.key, 404],
      ['/v1/audio/speech', user.key, 404],
      ['/groq/v1/chat/completions', user.key, 503],
      ['/nothing', user.key, 404],
      ['/usage/caps', user.key, 405],
      ['/admin/prices/csv', 'nobody', 401],
      ['/admin/prices/csv', ADMIN_TOKEN, 413],
    ] as const) {
      const headers = { authorization: `Bearer ${credential}`, 'content-type': 'text/csv' }
      const answer = await fetch(gateway.url + path, { method: 'POST', headers, body })
      expect([path, answer.status]).toEqual([path, status])
      await answer.text()
    }
})

describe.each(PROVIDERS)('%s refuses', (provider) => {
  const call = (body: unknown, more: RawCall = {}) => refused(provider, post(gateway, provider, user.key, body, more))
  const text = JSON.stringify(bodyOf(provider))

  test('a body over 20 MiB, with and without a content length', async () => {
    const big = JSON.stringify(bodyOf(provider, { user: 'x'.repeat(20 * MIB) }))
    const tooLarge = { status: 413, message: expect.stringContaining('20 MiB') }
    expect(await call(big)).toMatchObject(tooLarge)
    expect(await refused(provider, chunked(provider, big))).toMatchObject(tooLarge)
  })

  test.each([
    ['no JSON', '{"model": '],
    ['nothing', ''],
    ['a list', '[]'],
    ['a string', '"hello"'],
    ['null', 'null'],
    ['a byte order mark', `\uFEFF${text}`],
    ['bytes that are no UTF-8', new Uint8Array([...new TextEncoder().encode(text.slice(0, -1)), 0xff, 0x7d])],
    ['two objects', `${text}${text}`],
    ['thousands of levels', `{"messages":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
  ])('a body that is %s', async (_, body) => {
    expect(await call(body)).toMatchObject({ status: 400, message: expect.stringContaining('body') })
  })

  test.each([
    ['text/plain', { 'content-type': 'text/plain' }, 'content-type'],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'content-type'],
    ['multipart', { 'content-type': 'multipart/form-data; boundary=x' }, 'content-type'],
    ['two content types', { 'content-type': 'application/json, text/plain' }, 'content-type'],
    ['UTF-7 to some parsers', { 'content-type': "application/json; charset*=x''utf-7" }, 'content-type'],
    ['gzip', { 'content-encoding': 'gzip' }, 'content-encoding'],
    ['br', { 'content-encoding': 'br' }, 'content-encoding'],
  ])('%s', async (_, headers, field) => {
    const body = field === 'content-encoding' ? new Uint8Array(gzipSync(text)) : text
    expect(await call(body, { headers })).toMatchObject({ status: 415, field })
  })

  test.each([
    ['max_tokens twice', (body: string) => body.replace('{', '{"max_tokens":1,'), 'max_tokens'],
    [
      'max_tokens and its escaped spelling',
      (body: string) => body.replace('{', '{"max\\u005ftokens":1,'),
      'max_tokens',
    ],
    ['model twice', (body: string) => body.replace('{', '{"model":"x",'), 'model'],
    ['stream twice', (body: string) => body.replace('{', '{"stream":false,"stream":true,'), 'stream'],
  ])('%s', async (_, change, field) => {
    expect(await call(change(text))).toMatchObject(badRequest(field))
  })

  // Anthropic's takes 0, which fills a cache.
  const zero = provider === 'anthropic' ? [] : ['0']
  test.each([...zero, '-1', '0.5', '1e400', '9007199254740993', '"10"', 'true', '[10]', '{}'])(
    'max_tokens: %s',
    async (bound) => {
      const body = text.replace('"max_tokens":10', `"max_tokens":${bound}`)
      expect(await call(body)).toMatchObject(badRequest('max_tokens'))
    },
  )

  test.each([
    ['stream', { stream: 'yes' }],
    ['model', { model: 5 }],
    ['model', { model: '' }],
    ['messages', { messages: 'hello' }],
    ['tools', { tools: {} }],
  ])('%s of the wrong kind', async (field, more) => {
    expect(await call(bodyOf(provider, more))).toMatchObject(badRequest(field))
  })

  test.each([
    ['metadata over 2 KiB', 'x-tollgate-metadata', JSON.stringify({ a: 'x'.repeat(2_048) })],
    ['metadata that is no object', 'x-tollgate-metadata', '[1]'],
    ['metadata that is no JSON', 'x-tollgate-metadata', '{'],
    ['nested metadata', 'x-tollgate-metadata', '{"a":{"b":1}}'],
    ['a job id of 129 characters', 'x-tollgate-job-id', 'x'.repeat(129)],
    ['an empty session id', 'x-tollgate-session-id', ''],
    ['an unknown header', 'x-tollgate-request-id', 'mine'],
    ['a mistyped header', 'x-tollgate-jobid', '1'],
  ])('%s', async (_, header, value) => {
    expect(await call(text, { headers: { [header]: value } })).toMatchObject(badRequest(header))
  })

  test.each([
    ['POST', '/v1/nowhere'],
    ['POST', '/v1/fine_tuning/jobs'],
    ['POST', '/v1/chat/completions/'],
    ['POST', '/v1/complete'],
    ['DELETE', '/v1/models/some-model'],
    ['PUT', '/v1/models'],
    ['POST', '/v1/models'],
    ['POST', ''],
  ])('the route %s %s', async (method, path) => {
    const answer = await call(text, { method, path: `/${provider}${path}` })
    expect(answer).toMatchObject({ status: 404, message: expect.stringContaining(method) })
  })

  test('a wrong method on a known route', async () => {
    const answer = fetch(gateway.url + WIRE[provider].path, { headers: { authorization: `Bearer ${user.key}` } })
    expect(await refused(provider, answer)).toMatchObject({ status: 404 })
  })

  test('a model without a price under a cost cap', async () => {
    const answer = await call(bodyOf(provider, { model: 'nobody-knows-this-model' }))
    expect(answer).toMatchObject({ status: 400, field: 'model', code: 'unpriced_model' })
  })

  test('what nothing bounds under a token cap', async () => {
    const tool = provider === 'openai' ? { type: 'web_search' } : { type: 'web_search_20250305', name: 'web_search' }
    expect(await call(bodyOf(provider, { tools: [tool] }))).toMatchObject({
      ...badRequest('tools[0]'),
      code: 'unbounded_request',
    })
    expect(await call(bodyOf(provider, { field_of_2030: true }))).toMatchObject({
      ...badRequest('field_of_2030'),
      message: expect.stringMatching(/cap needs\. field_of_2030 is unknown to Tollgate, not set or has no limit\.$/),
    })
    const long = await call(bodyOf(provider, { ['x'.repeat(MIB)]: true }))
    expect(long).toMatchObject({ code: 'unbounded_request', field: 'x'.repeat(200) })
    expect(long.message.length).toBeLessThan(500)
  })

  test('a call where nobody has a provider key', async () => {
    const { id, key } = await keyless.admin.user(GENEROUS)
    const answer = await refused(provider, post(keyless, provider, key, text))
    expect(answer).toMatchObject({ status: 503, message: expect.stringContaining(provider) })
    expect(await capOf(keyless, id)).toMatchObject({ current_usage: NOTHING_USED, held: NOTHING_USED })
    expect(await eventsOf(keyless, id)).toEqual([])
    expect(keyless.provider.requests).toHaveLength(0)
  })
})

describe.each(PROVIDERS)('%s accepts', (provider) => {
  test('a body of nearly 20 MiB: it is for the provider to find it too long', async () => {
    const { key } = await gateway.admin.user()
    const frame = JSON.stringify(bodyOf(provider, { messages: [{ role: 'user', content: '' }] }))
    const content = 'x'.repeat(20 * MIB - frame.length)
    const body = frame.replace('"content":""', `"content":"${content}"`)
    const answer = await post(gateway, provider, key, body)
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringMatching(/maximum/)])
    expect(lastRequest(gateway).body.length).toBe(20 * MIB)
  })

  test('a model without a price where no cost cap applies: its event has no price', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 100_000 } }])
    const answer = await post(gateway, provider, key, bodyOf(provider, { model: 'nobody-knows-this-model' }))
    expect(answer.status).toBe(200)
    expect(await onlyEvent(gateway, id)).toMatchObject({
      request_model: 'nobody-knows-this-model',
      priced_as: null,
      price_source: 'none',
      cost_nano_usd: 0,
      output_tokens: 10,
    })
  })

  test('ids and metadata, which end in the event', async () => {
    const { id, key } = await gateway.admin.user()
    await post(gateway, provider, key, bodyOf(provider), {
      headers: {
        'x-tollgate-job-id': 'job 1',
        'x-tollgate-batch-id': 'batch-1',
        'x-tollgate-session-id': 's',
        'x-tollgate-metadata': '{"team":"caf\\u00e9","n":1,"ok":true,"none":null}',
      },
    })
    expect(await onlyEvent(gateway, id)).toMatchObject({
      job_id: 'job 1',
      batch_id: 'batch-1',
      session_id: 's',
      metadata: { team: 'café', n: 1, ok: true, none: null },
    })
  })
})

/** Sends a body in chunks, so that nothing says how long it is, and reads an answer that comes before its end. */
function chunked(provider: Provider, body: string): Promise<Response> {
  const { path, headers } = WIRE[provider]
  return new Promise((resolve, reject) => {
    const request = httpRequest(gateway.url + path, {
      method: 'POST',
      headers: { ...headers, authorization: `Bearer ${user.key}`, 'content-type': 'application/json' },
    })
    request.once('error', reject)
    request.once('response', async (response) => {
      const parts: Buffer[] = []
      for await (const part of response) parts.push(part)
      const pairs = Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)])
      resolve(new Response(Buffer.concat(parts), { status: response.statusCode ?? 0, headers: pairs }))
      request.destroy()
    })
    const bytes = Buffer.from(body)
    for (let at = 0; at < bytes.length; at += MIB) request.write(bytes.subarray(at, at + MIB))
    request.end()
  })
}
