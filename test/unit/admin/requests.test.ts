// What no route takes, and how each says so: fields, bodies, paths and methods that are not right; and a database that is
// away.

import { afterAll, afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { NOBODY, openRest } from './rest-fixture.ts'

const { app, send, newUser, configs, faults, server, close } = await openRest()
afterAll(close)
afterEach(() => {
  vi.restoreAllMocks()
})

const INSTANT = 'must be an ISO 8601 date and time with Z or an offset, whose + is %2B in a URL'
const CAPS = `/admin/users/${NOBODY}/caps`
const KEYS = `/admin/users/${NOBODY}/keys`
const ROTATION = `${KEYS}/${NOBODY}/rotate`

describe('a field that is not valid is named, with what it must be', () => {
  test.each([
    ['POST', '/admin/users', {}, 'name', 'is required'],
    ['POST', '/admin/users', { name: '   ' }, 'name', 'must not be empty'],
    ['POST', CAPS, { limits: { tokens: 1 } }, 'cap_type', 'is required'],
    ['POST', CAPS, { cap_type: 'daily' }, 'limits', 'is required'],
    ['POST', CAPS, { cap_type: 'daily', limits: {} }, 'limits', 'must have at least one limit'],
    ['POST', '/admin/users', { name: 5 }, 'name', 'must be a text'],
    ['POST', '/admin/users', { name: 'x', email: 'me' }, 'email', 'must be a valid email'],
    [
      'POST',
      '/admin/users',
      { name: 'x', email: `${'x'.repeat(320)}@a.com` },
      'email',
      'must have at most 320 characters',
    ],
    ['GET', '/admin/users?status=x', undefined, 'status', 'must be one of active, suspended, deleted'],
    ['POST', KEYS, { name: 'x', scopes: [] }, 'scopes', 'must not be empty'],
    ['POST', CAPS, { cap_type: 'daily', limits: { tokens: 1.5 } }, 'limits.tokens', 'must be a whole number'],
    ['POST', CAPS, { cap_type: 'daily', limits: { tokens: -1 } }, 'limits.tokens', 'must be at least 0'],
    ['GET', '/admin/users?limit=abc', undefined, 'limit', 'must be a whole number from 1 to 100'],
    ['GET', '/admin/users?limit=1&limit=2', undefined, 'limit', 'must be given once'],
    ['GET', '/admin/usage/events?overrun=true&overrun=true', undefined, 'overrun', 'must be given once'],
    ['POST', '/admin/users', { name: ['a'] }, 'name', 'must be a text'],
    ['GET', '/admin/users?limit=0.5', undefined, 'limit', 'must be a whole number from 1 to 100'],
    ['GET', '/admin/users/1', undefined, 'id', 'must be a UUID'],
    ['POST', '/admin/users/11111111-1111-1111-1111-111111111111/keys', { name: 'x' }, 'id', 'must be a UUID'],
    ['GET', '/admin/usage/events?key_id=', undefined, 'key_id', 'must be a UUID'],
    ['GET', '/admin/usage/events?from=2026-01-01', undefined, 'from', INSTANT],
    ['GET', '/admin/usage/events?to=2026-01-01T00:00:00+01:00', undefined, 'to', INSTANT],
  ])('%s %s %j: %s %s, once', async (method, path, body, field, message) => {
    const answer = await send(method, path, body)
    expect(answer).toMatchObject({
      status: 400,
      body: { detail: `${field}: ${message}`, errors: [{ field, message }] },
    })
  })

  test('every field at fault at once', async () => {
    const { body } = await send('POST', '/admin/users', { name: '', time_zone: 'Mars', a: 1, b: 2 })
    expect(body).toMatchObject({ status: 400, title: 'Invalid request', type: 'urn:tollgate:problem:invalid_request' })
    expect(body.errors.map(({ field }: { field: string }) => field).sort()).toEqual(['a', 'b', 'name', 'time_zone'])
  })

  test('a field twice inside another, by its path', async () => {
    const cap = '{"cap_type":"daily","limits":{"tokens":1,"tokens":2}}'
    expect(await send('POST', CAPS, cap)).toMatchObject({ status: 400, body: { field: 'limits.tokens' } })
    const rotation = '{"grace_seconds":1,"grace_seconds":2}'
    expect(await send('POST', ROTATION, rotation)).toMatchObject({ status: 400, body: { field: 'grace_seconds' } })
  })
})

describe('a body', () => {
  test.each([[[]], [null], ['"text"'], [1]])('that is not an object is said to be none: %j', async (body) => {
    const answer = await send('POST', '/admin/users', body)
    expect(answer).toMatchObject({ status: 400, body: { detail: 'The request body must be a JSON object.' } })
    expect(answer.body).not.toHaveProperty('field')
    expect(answer.body).not.toHaveProperty('errors')
  })

  const utf8 = (text: string) => new TextEncoder().encode(text)
  const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))
  const merge = { 'content-type': 'application/merge-patch+json' }
  const duplicate = 'occurs more than once'
  test.each([
    ['a field twice', utf8('{"name":"A","name":"B"}'), {}, 400, 'name', duplicate],
    ['a field twice, of another type of JSON', utf8('{"name":"A","name":"B"}'), merge, 400, 'name', duplicate],
    ['a field twice, once escaped', utf8('{"name":"A","n\\u0061me":"B"}'), {}, 400, 'name', duplicate],
    ['invalid UTF-8', latin1('{"name":"é"}'), {}, 400, undefined, 'UTF-8'],
    ['a byte order mark', utf8('\ufeff{"name":"A"}'), {}, 400, undefined, 'not valid JSON'],
    ['gzip', utf8('{"name":"A"}'), { 'content-encoding': 'gzip' }, 415, 'content-encoding', 'compressed'],
  ] as const)('with %s is not taken', async (_, body, headers, status, field, message) => {
    const answer = await send('POST', '/admin/users', body, headers)
    expect(answer.body).toMatchObject({ status, detail: expect.stringContaining(message) })
    expect(answer.body.field).toBe(field)
  })

  test.each([
    'application/json; charset=latin1',
    'application/json; charset=utf7',
    'application/x+json;charset="utf-16"',
    // UTF-7 to Python's parsers.
    "application/json; charset*=x''utf-7",
    'application/json; charset=" utf-7"',
    'application/json; charset="utf-8 utf-7"',
  ])('of type %s is not taken', async (type) => {
    const answer = await send('POST', '/admin/users', '{"name":"A"}', { 'content-type': type })
    expect(answer).toMatchObject({ status: 415, body: { field: 'content-type' } })
    expect(answer.body.detail).toContain('UTF-8')
  })

  test('that says JSON in UTF-8 in any spelling of its own is taken, whatever its letters', async () => {
    for (const type of [
      'application/json; charset=UTF-8',
      'Application/JSON;charset="utf-8"',
      'application/json ; charset=utf-8',
      'application/json; charset=utf8',
      // A common slip, which is no parameter to any parser.
      'application/json;charset:utf-8',
      'application/json;',
      'application/vnd.acme_1+json',
    ]) {
      const headers = { 'content-type': type, 'content-encoding': 'identity' }
      const answer = await send('POST', '/admin/users', utf8('{"name":"Zoë 🦊"}'), headers)
      expect(answer, type).toMatchObject({ status: 201, body: { name: 'Zoë 🦊' } })
    }
  })

  test('of malformed JSON, of another type, or too large, is not taken, nor none', async () => {
    expect(await send('POST', '/admin/users', '{"name":')).toMatchObject({
      status: 400,
      body: { code: 'invalid_request' },
    })
    const text = await send('POST', '/admin/users', '{"name":"A"}', { 'content-type': 'text/plain' })
    expect(text).toMatchObject({ status: 415, body: { code: 'unsupported_media_type', field: 'content-type' } })
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await send('POST', '/admin/users', 'name=A', form)).status).toBe(415)
    expect((await send('POST', '/admin/users')).status).toBe(400)
    const large = await send('POST', '/admin/users', { name: 'x'.repeat(64 * 1024) })
    expect(large).toMatchObject({ status: 413, body: { code: 'payload_too_large' } })
  })

  test.each([
    ['/admin/users', 'application/json'],
    [ROTATION, 'text/plain'],
    ['/admin/prices/csv', 'text/csv'],
  ])('that breaks off is the fault of its client, announced or not: %s', async (path, type) => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    for (const announced of [{ 'content-length': '60' }, {}] as Record<string, string>[]) {
      const body = new ReadableStream({ pull: (controller) => controller.error(new Error('the client has left')) })
      const init = { method: 'POST', body, headers: { 'content-type': type, ...announced }, duplex: 'half' }
      const answer = await app.request(path, init)
      expect(await answer.json()).toMatchObject({ status: 400, detail: 'The request body ended early.' })
    }
    expect(error).not.toHaveBeenCalled()
  })
})

test('nobody and nothing is a 404', async () => {
  for (const [method, path, body] of [
    ['GET', `/admin/users/${NOBODY}`, undefined],
    ['PATCH', `/admin/users/${NOBODY}`, { name: 'B' }],
    ['POST', `/admin/users/${NOBODY}/suspend`, undefined],
    ['DELETE', `/admin/users/${NOBODY}`, undefined],
    ['GET', KEYS, undefined],
    ['POST', KEYS, { name: 'k' }],
    ['GET', CAPS, undefined],
    ['GET', `${CAPS}/status`, undefined],
    ['POST', CAPS, { cap_type: 'daily', limits: { tokens: 1 } }],
    ['GET', '/admin/nothing', undefined],
    ['GET', '/usage/nothing', undefined],
    ['PATCH', '/admin/users/', undefined],
    ['POST', '/nothing', undefined],
  ] as const)
    expect(await send(method, path, body), `${method} ${path}`).toMatchObject({
      status: 404,
      body: { code: 'not_found', request_id: 'req-1' },
    })
  expect(configs.has(NOBODY)).toBe(false)
})

test('another method than a path has is a 405 that names those it has', async () => {
  for (const [method, path, allow] of [
    ['PUT', '/admin/users', 'POST, GET, HEAD'],
    ['POST', `/admin/users/${NOBODY}`, 'GET, HEAD, PATCH, DELETE'],
    ['GET', `/admin/users/${NOBODY}/suspend`, 'POST'],
    ['DELETE', '/usage/caps', 'GET, HEAD'],
    ['PUT', '/admin/prices/csv', 'POST, GET, HEAD'],
    ['POST', `${CAPS}/status`, 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
    ['POST', '/prices/openai/gpt-4o', 'GET, HEAD'],
    ['POST', '/prices/workers-ai/@cf/meta/llama-3', 'GET, HEAD'],
  ] as const) {
    const answer = await send(method, path)
    expect(answer, path).toMatchObject({ status: 405, body: { code: 'method_not_allowed', request_id: 'req-1' } })
    expect(answer.headers.get('allow'), path).toBe(allow)
  }
  expect((await send('HEAD', '/admin/users')).status).toBe(200)
})

test('a database that is down is a 503, and nothing is half done', async () => {
  const id = await newUser()
  server.pause()
  try {
    for (const [method, path, body] of [
      ['POST', '/admin/users', { name: 'B' }],
      ['GET', '/admin/users', undefined],
      ['PATCH', `/admin/users/${id}`, { name: 'B' }],
      ['DELETE', `/admin/users/${id}`, undefined],
      ['POST', `/admin/users/${id}/caps`, { cap_type: 'daily', limits: { tokens: 1 } }],
    ] as const)
      expect(await send(method, path, body)).toMatchObject({ status: 503, body: { code: 'database_unavailable' } })
  } finally {
    server.resume()
  }
  expect((await send('GET', `/admin/users/${id}`)).body).toMatchObject({ name: 'Ada', status: 'active' })
})

test('a user that was created is said to be, also where the database goes away right after', async () => {
  let requests = 0
  server.hooks.beforeQuery = async () => {
    if (++requests > 1) throw new Error('gone')
  }
  onTestFinished(() => {
    delete server.hooks.beforeQuery
  })
  expect(await send('POST', '/admin/users', { name: 'Ada' })).toMatchObject({ status: 201, body: { name: 'Ada' } })
})

test('what is not the client’s fault is logged with its cause, and not with what was sent; a fault of the client is not', async () => {
  const id = await newUser()
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  await send('POST', '/admin/users', { name: '' })
  await send('GET', '/admin/nothing')
  expect(error).not.toHaveBeenCalled()

  faults.configure = 3
  await send('POST', `/admin/users/${id}/suspend`)
  server.pause()
  await send('POST', '/admin/users', { name: 'a-name-of-nobody' })
  server.resume()
  const logged = error.mock.calls.map(([line]) => JSON.parse(String(line)))
  expect(logged).toMatchObject([
    { code: 'not_yet_in_force', cause: 'Error: the ledger is away' },
    { code: 'database_unavailable', cause: expect.stringMatching(/^\w*Error/) },
  ])
  for (const [line] of error.mock.calls) expect(line).not.toMatch(/a-name-of-nobody|insert into/)
})
