// Requests that two parsers could read differently, written byte by byte over a socket. None may change the upstream
// host, reach the provider as another operation than the one that was metered, or slip in a second request.

import { createServer, type Server } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { bodyOf, type User } from '../support/client-calls.ts'
import { ADMIN_TOKEN, eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { sendRaw } from '../support/raw-http.ts'

let gateway: Gateway
let user: User
let evil: Server
let evilRequests: string[]
let evilHost: string
/** Requests that the provider has had, over all tests. */
let reached = 0
beforeAll(async () => {
  const BEDROCK_MODELS = JSON.stringify({ 'claude-on-bedrock': 'us.anthropic.claude-sonnet-4-5-20250929-v1:0' })
  gateway = await startGateway({ vars: { BEDROCK_MODELS }, onLog: () => undefined })
  gateway.provider.reply = () => {
    reached += 1
    return undefined
  }
  user = await gateway.admin.user()
  evilRequests = []
  evil = createServer((request, response) => {
    evilRequests.push(`${request.method} ${request.url}`)
    response.end()
  })
  await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve))
  const address = evil.address()
  evilHost = `127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
})
afterEach(() => {
  gateway.provider.requests.length = 0
})
afterAll(async () => {
  await gateway.close()
  evil.closeAllConnections()
  evil.close()
})

const BODY = JSON.stringify(bodyOf('openai'))
const SMUGGLED = `GET /openai/v1/models HTTP/1.1\r\nHost: x\r\n\r\n`

interface Raw {
  method?: string
  target?: string
  headers?: string[]
  host?: string
  body?: string
  credential?: string
}

function raw({
  method = 'POST',
  target = '/openai/v1/chat/completions',
  headers,
  host = 'x',
  body = BODY,
  credential = user.key,
}: Raw): string {
  const lines = headers ?? [`Content-Length: ${Buffer.byteLength(body)}`]
  const head = [
    `${method} ${target} HTTP/1.1`,
    `Host: ${host}`,
    `Authorization: Bearer ${credential}`,
    'Content-Type: application/json',
    ...lines,
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

const forwarded = () => gateway.provider.requests.map(({ method, path }) => `${method} ${path}`)
const CHAT = 'POST /v1/chat/completions'

test('the same request without tricks reaches the provider', async () => {
  const [answer] = await sendRaw(gateway.url, raw({}))
  expect(answer?.status).toBe(200)
  expect(forwarded()).toEqual([CHAT])
})

describe('framing', () => {
  const length = `Content-Length: ${BODY.length}`
  const chunkedBody = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`

  test.each([
    ['two different content lengths', { headers: [length, 'Content-Length: 5'] }],
    ['two equal content lengths', { headers: [length, length] }],
    ['a list of content lengths', { headers: [`${length}, 5`] }],
    ['a negative content length', { headers: ['Content-Length: -1'] }],
    ['a content length with a plus', { headers: [`Content-Length: +${BODY.length}`] }],
    ['a hexadecimal content length', { headers: ['Content-Length: 0x10'] }],
    ['content length and chunks', { headers: ['Content-Length: 5', 'Transfer-Encoding: chunked'], body: chunkedBody }],
    ['chunks and content length', { headers: ['Transfer-Encoding: chunked', 'Content-Length: 5'], body: chunkedBody }],
    ['an unknown transfer encoding', { headers: ['Transfer-Encoding: xchunked', length] }],
    ['two transfer encodings', { headers: ['Transfer-Encoding: identity', 'Transfer-Encoding: chunked', length] }],
    ['a space before the colon', { headers: ['Content-Length : 5', length] }],
    ['a folded header', { headers: ['X-Fold: one', ' Content-Length: 5', length] }],
    ['a folded content length', { headers: ['Content-Length:', ` ${BODY.length}`] }],
    ['a bare LF', { headers: [`X-A: b\nContent-Length: 5`, length] }],
    ['a bare CR', { headers: [`X-A: b\rContent-Length: 5`, length] }],
    ['a NUL in a header', { headers: ['X-A: b\0c', length] }],
  ])('%s: refused, or read one way only; what follows is not run with the caller’s credential', async (_, more) => {
    const answers = await sendRaw(gateway.url, raw(more) + SMUGGLED)
    for (const path of forwarded()) expect(path).toBe(CHAT)
    expect(forwarded().length).toBeLessThanOrEqual(1)
    for (const { body } of gateway.provider.requests) expect(body.toString()).toBe(BODY)
    // Whatever is read as a request of its own has no credential, so nothing but the first can have succeeded.
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1)
    expect(answers.slice(1).every(({ status }) => status >= 400)).toBe(true)
  })
})

describe('headers', () => {
  const length = `Content-Length: ${BODY.length}`

  test.each([
    ['two Authorization headers', [length, 'Authorization: Bearer sk-other'], [400, 401]],
    ['two different keys', [length, 'x-api-key: tg_other'], [400]],
    ['the gateway’s own credential from outside', [length, 'Authorization: Bearer sk-fake'], [400, 401]],
    ['two x-tollgate-key headers', [length, `x-tollgate-key: a`, 'x-tollgate-key: b'], [400, 401]],
  ])('%s are refused', async (_, headers, statuses) => {
    const [answer] = await sendRaw(gateway.url, raw({ headers }))
    expect(statuses).toContain(answer?.status)
    expect(forwarded()).toEqual([])
  })

  test.each([
    ['Host', { host: '' }, []],
    ['Host', { host: 'api.evil.example' }, []],
    ['Host with a path', { host: 'x/openai/v1/files?' }, []],
    ['Host with a question mark', { host: 'x?' }, []],
    ['Host with a hash', { host: 'x#' }, []],
    ['Host with credentials', { host: 'u:p@x' }, []],
    ['Host that is none', { host: '[' }, []],
    ['Host with a percent sign', { host: '%zz' }, []],
    ['two hosts', {}, ['Host: api.evil.example']],
    ['X-Forwarded-Host', {}, ['X-Forwarded-Host: HOST', 'X-Forwarded-Proto: http', 'X-Forwarded-Port: 1']],
    ['Forwarded', {}, ['Forwarded: host=HOST;proto=http']],
    ['X-Original-URL', {}, ['X-Original-URL: /admin/users', 'X-Rewrite-URL: /admin/users']],
    ['X-HTTP-Method-Override', {}, ['X-HTTP-Method-Override: DELETE', 'X-Method: DELETE']],
    ['hop-by-hop', {}, ['Connection: authorization, keep-alive', 'TE: trailers', 'Proxy-Authorization: Basic eDp5']],
    ['Upgrade', {}, ['Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA']],
    ['Expect', {}, ['Expect: 100-continue']],
  ])('%s games change neither the upstream nor the operation', async (_, more, headers) => {
    const lines = headers.map((line) => line.replace('HOST', evilHost))
    const [answer] = await sendRaw(gateway.url, raw({ ...more, headers: [length, ...lines] }))
    expect(answer?.status ?? 0).not.toBe(500)
    for (const path of forwarded()) expect(path).toBe(CHAT)
    for (const { headers } of gateway.provider.requests) {
      const names = headers.map(([name]) => name.toLowerCase())
      expect(new Headers(headers).get('authorization')).toBe('Bearer sk-fake')
      expect(new Headers(headers).get('host')).toBe(new URL(gateway.provider.url).host)
      expect(
        names.filter((name) => /forwarded|original|rewrite|override|proxy|^te$|http2|x-method/.test(name)),
      ).toEqual([])
    }
    expect(evilRequests).toEqual([])
  })
})

describe('a host that is none', () => {
  test.each([
    ['/openai/v1/chat/completions', BODY],
    ['/v1/chat/completions', JSON.stringify({ ...bodyOf('openai'), model: 'openai/gpt-4o-mini' })],
    ['/anthropic/v1/messages', JSON.stringify(bodyOf('anthropic'))],
    ['/anthropic/v1/messages', JSON.stringify({ ...bodyOf('anthropic'), model: 'claude-on-bedrock' })],
    ['/admin/users', '{"name":"Ada"}'],
  ])('is a 400 of %s, and no fault of Tollgate’s', async (target, body) => {
    const credential = target.startsWith('/admin') ? ADMIN_TOKEN : user.key
    for (const host of ['[', '%zz', 'a.example, b.example']) {
      const [answer] = await sendRaw(gateway.url, raw({ target, host, body, credential }))
      expect([host, answer?.status, answer?.text]).toEqual([host, 400, expect.stringContaining('host is not valid.')])
    }
    expect(forwarded()).toEqual([])
  })
})

describe('request targets', () => {
  const get = (target: string, host?: string) =>
    sendRaw(
      gateway.url,
      raw({ method: 'GET', target, headers: ['Connection: close'], body: '', ...(host === undefined ? {} : { host }) }),
    )

  test.each([
    ['absolute form', 'http://HOST/openai/v1/models'],
    ['absolute form with credentials', 'http://u:p@HOST/openai/v1/models'],
    ['authority in the path', '//HOST/openai/v1/models'],
    ['authority after the prefix', '/openai//HOST/v1/models'],
    ['an at sign', '/openai@HOST/v1/models'],
    ['an at sign after the prefix', '/openai/@HOST/v1/models'],
    ['a backslash', '/openai\\HOST/v1/models'],
    ['a port', '/openai:80/v1/models'],
    ['a query', '/openai/v1/models?url=http://HOST/'],
    ['a fragment', '/openai/v1/models#@HOST/'],
  ])('%s: the upstream stays the configured one, the operation the metered one', async (_, target) => {
    await get(target.replace('HOST', evilHost))
    for (const path of forwarded()) expect(path).toMatch(/^GET \/v1\/models(\?url=.*)?$/)
    expect(evilRequests).toEqual([])
  })

  // The rest of `%6Fpenai` after as many characters as `/openai` has would be glued to the upstream's host.
  test.each(['/%6Fpenai', '/%6f%70%65%6e%61%69', '/opena%69', '/openai%2F..', '/OPENAI', '/openai/../%6Fpenai'])(
    'a prefix spelled %s never reaches the provider or another host',
    async (prefix) => {
      const [answer] = await get(`${prefix}/v1/models`)
      expect(answer?.status).toBe(404)
      expect(forwarded()).toEqual([])
    },
  )

  test.each([
    '/openai/v1/models/..%2ffiles',
    '/openai/v1/models/..%2Ffiles',
    '/openai/v1/models/..%5cfiles',
    '/openai/v1/models/..\\files',
    '/openai/v1/models/..\\..\\..\\xxxxxx.evil.example',
    '/openai/v1/models/..\\..\\..\\openai\\v1\\files',
    '/openai/v1/models/..',
    '/openai/v1/models/.',
    '/openai/v1/models/%2e%2e',
    '/openai/v1/files/../models',
    '/openai/v1/models/%2e%2e%2ffiles',
    '/openai/v1/models/../files',
    '/openai/v1/models/%2e%2e/files',
    '/openai/v1/models/.%2e/files',
    '/openai/v1/models/..%252ffiles',
    '/openai/v1/models/x%00y',
    '/openai/v1/models/x;/../../files',
    '/openai/v1/models/..;',
    '/openai/v1/responses/..;/input_items',
    '/openai/v1/responses/.%2E;x=y/input_items',
    '/openai/v1/files/..%2%66files',
    '/openai/v1/models/%',
    '/openai/v1/files/;',
    '/openai/v1/batches/;x=y',
    '/anthropic/v1/messages/batches/;/results',
    '/openai/v1/files/:id',
    '/openai/v1/responses/:id/input_items',
    '/anthropic/v1/messages/batches/:id',
    '/openai/v1/models/a/b',
    '/openai/v1/models/',
    '/openai//v1/models',
    '/openai/v1/./files',
    '/anthropic/v1/models/..%2fmessages%2fbatches',
    '/anthropic/v1/messages/../files',
    '/openai/v1/models/..%2f..%2fadmin%2fusers',
  ])('%s never reaches the provider', async (target) => {
    const [answer] = await get(target)
    expect(answer?.status).toBe(404)
    expect(forwarded()).toEqual([])
  })

  test('a model with encoded letters is the one that the provider sees', async () => {
    await get('/openai/v1/models/ft%3Agpt-4o%3Aorg')
    expect(forwarded()).toEqual(['GET /v1/models/ft%3Agpt-4o%3Aorg'])
  })

  test('a GET with a body, and methods that nobody knows, bring nothing through', async () => {
    await sendRaw(gateway.url, raw({ method: 'GET', target: '/openai/v1/models' }))
    for (const request of gateway.provider.requests) expect(request.body.length).toBe(0)
    gateway.provider.requests.length = 0
    for (const method of ['TRACE', 'CONNECT', 'BREW', 'OPTIONS', 'PUT', 'post', 'GET\tx'])
      await sendRaw(gateway.url, raw({ method }))
    expect(forwarded()).toEqual([])
  })

  test('a GET of an admin with a body is answered as one without', async () => {
    const head = `GET /admin/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\n`
    const answers = await sendRaw(gateway.url, `${head}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`)
    expect(answers.map(({ status }) => status)).toEqual([200])
  })

  test('every call that reached the provider was counted, and no other', async () => {
    const events = async () =>
      (await gateway.admin.call<{ data: { path: string }[] }>('GET', '/admin/usage/events?limit=100')).data
    const counted = await eventually(events, ({ length }) => length >= reached)
    expect(counted).toHaveLength(reached)
    for (const { path } of counted) expect(path).toMatch(/^\/openai\/v1\/(chat\/completions|models(\/.*)?)$/)
  })
})
