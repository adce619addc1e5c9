import { sql } from 'drizzle-orm'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { openRest } from './rest-fixture.ts'

const { app, send, newUser, configs, faults, server, db, close } = await openRest()
afterAll(close)
afterEach(() => {
  vi.restoreAllMocks()
})

const NOBODY = '00000000-0000-7000-8000-000000000000'
const INSTANT = 'must be an ISO 8601 date and time with Z or an offset, whose + is %2B in a URL'
const SQL = `'; drop table users; -- " \\ $1 %s`

test('a user is created, read and listed', async () => {
  const created = await send('POST', '/admin/users', {
    name: SQL,
    email: 'ada@example.com',
    time_zone: 'Europe/Berlin',
  })
  expect(created.status).toBe(201)
  expect(created.body).toEqual({
    id: expect.any(String),
    name: SQL,
    email: 'ada@example.com',
    issuer: null,
    subject: null,
    time_zone: 'Europe/Berlin',
    status: 'active',
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*\.\d{3}Z$/),
    updated_at: expect.any(String),
  })
  expect((await send('GET', `/admin/users/${created.body.id.toUpperCase()}`)).body).toEqual(created.body)
  expect((await send('GET', '/admin/users?limit=1')).body.data).toEqual([created.body])
  expect((await send('POST', '/admin/users', { name: 'B' })).body).toMatchObject({ email: null, time_zone: 'UTC' })
})

test('a change is in the ledger before it is answered', async () => {
  const id = await newUser()
  const changed = await send('PATCH', `/admin/users/${id}`, { time_zone: 'America/New_York', email: null })
  expect(changed).toMatchObject({ status: 200, body: { id, name: 'Ada', time_zone: 'America/New_York' } })
  expect(configs.get(id)).toMatchObject({ version: 2, time_zone: 'America/New_York', status: 'active' })

  expect(await send('POST', `/admin/users/${id}/suspend`)).toMatchObject({ status: 200, body: { status: 'suspended' } })
  expect(configs.get(id)).toMatchObject({ version: 3, status: 'suspended' })
  expect(await send('POST', `/admin/users/${id}/activate`)).toMatchObject({ status: 200, body: { status: 'active' } })
  expect(configs.get(id)).toMatchObject({ version: 4, status: 'active' })

  for (const field of [{ name: 'Bea' }, { email: 'bea@example.com' }, { email: null }])
    expect(await send('PATCH', `/admin/users/${id}`, field)).toMatchObject({ status: 200, body: field })
})

test('a change of what is so already is none, but is brought into force', async () => {
  const id = await newUser({ name: ' Ada ' })
  await send('POST', `/admin/users/${id}/suspend`)
  const { body } = await send('GET', `/admin/users/${id}`)
  for (const [method, path, fields] of [
    ['POST', '/suspend', undefined],
    ['PATCH', '', {}],
    ['PATCH', '', { name: 'Ada', email: null }],
  ] as const) {
    configs.delete(id)
    expect(await send(method, `/admin/users/${id}${path}`, fields)).toMatchObject({ status: 200, body })
    expect(configs.get(id)).toMatchObject({ version: 2, status: 'suspended' })
  }
})

test('a ledger is found by the id in lower case, however the admin writes it', async () => {
  const id = await newUser()
  await send('POST', `/admin/users/${id.toUpperCase()}/suspend`)
  expect(configs.get(id)?.status).toBe('suspended')
  expect(configs.has(id.toUpperCase())).toBe(false)
})

test("deleting a user ends nobody else's keys, nor anew those that had ended", async () => {
  const [id, other] = [await newUser(), await newUser()]
  await send('POST', `/admin/users/${other}/keys`, { name: 'k' })
  const { body: ended } = await send('POST', `/admin/users/${id}/keys`, { name: 'k' })
  await send('DELETE', `/admin/users/${id}/keys/${ended.id}`)
  const keysOf = async (user: string) => (await send('GET', `/admin/users/${user}/keys`)).body.data
  const [{ revoked_at }] = await keysOf(id)
  await send('DELETE', `/admin/users/${id}`)
  expect(await keysOf(other)).toMatchObject([{ status: 'active', revoked_at: null }])
  expect(await keysOf(id)).toMatchObject([{ status: 'revoked', revoked_at }])
})

test('deleting a user ends its keys at once and can be repeated; nothing else can be done with it', async () => {
  const id = await newUser()
  await send('POST', `/admin/users/${id}/keys`, { name: 'k' })
  expect(configs.get(id)?.keys).toHaveLength(1)
  expect(await send('DELETE', `/admin/users/${id}`)).toMatchObject({ status: 204, body: null })
  expect(configs.get(id)).toMatchObject({ status: 'deleted', keys: [] })
  await db.execute(sql`update users set updated_at = '2020-01-01' where id = ${id}`)
  const { version } = configs.get(id) ?? {}
  expect((await send('DELETE', `/admin/users/${id}`)).status).toBe(204)
  expect(configs.get(id)?.version).toBe(version)
  const { body } = await send('GET', `/admin/users/${id}`)
  expect(body).toMatchObject({ status: 'deleted', updated_at: '2020-01-01T00:00:00.000Z' })
  for (const [method, path, body] of [
    ['PATCH', '', { name: 'B' }],
    ['PATCH', '', {}],
    ['POST', '/activate', undefined],
    ['POST', '/keys', { name: 'k' }],
    ['POST', '/caps', { cap_type: 'daily', limits: { requests: 1 } }],
  ] as const)
    expect(await send(method, `/admin/users/${id}${path}`, body)).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    })
  expect(configs.get(id)?.status).toBe('deleted')
})

test('a user whom the database has lost is lost to its ledger with the first change that finds nobody', async () => {
  for (const [method, path, body] of [
    ['POST', '/suspend', undefined],
    ['DELETE', '', undefined],
    ['DELETE', `/keys/${crypto.randomUUID()}`, undefined],
    ['POST', `/keys/${crypto.randomUUID()}/rotate`, undefined],
    ['PATCH', `/caps/${crypto.randomUUID()}`, {}],
  ] as const) {
    const id = await newUser()
    await send('PATCH', `/admin/users/${id}`, { name: 'B' })
    expect(configs.get(id)?.status).toBe('active')
    await db.execute(sql`delete from users where id = ${id}`)
    expect(await send(method, `/admin/users/${id}${path}`, body)).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    })
    expect(configs.has(id)).toBe(false)
  }
})

test('a change that the ledger does not hear of is a 503 that says it is saved, and repeating it brings it into force', async () => {
  const id = await newUser()
  faults.configure = 3
  const failed = await send('POST', `/admin/users/${id}/suspend`)
  expect(failed).toMatchObject({ status: 503, body: { code: 'not_yet_in_force', request_id: 'req-1' } })
  expect(failed.body.detail).toMatch(/^What is saved is not yet in force/)
  expect((await send('GET', `/admin/users/${id}`)).body.status).toBe('suspended')
  expect(configs.get(id)?.status).not.toBe('suspended')
  expect((await send('POST', `/admin/users/${id}/suspend`)).status).toBe(200)
  expect(configs.get(id)?.status).toBe('suspended')

  faults.configure = 2
  expect((await send('POST', `/admin/users/${id}/activate`)).status).toBe(200)
  faults.configure = 3
  expect((await send('DELETE', `/admin/users/${id}`)).body.code).toBe('not_yet_in_force')
  expect((await send('DELETE', `/admin/users/${id}`)).status).toBe(204)
  expect(configs.get(id)?.status).toBe('deleted')
})

test('a database that is down is a 503, and nothing is half done', async () => {
  const id = await newUser()
  await server.pause()
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
    await server.resume()
  }
  expect((await send('GET', `/admin/users/${id}`)).body).toMatchObject({ name: 'Ada', status: 'active' })
})

test('what is not the client’s fault is logged with its cause, and not with what was sent; a fault of the client is not', async () => {
  const id = await newUser()
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  await send('POST', '/admin/users', { name: '' })
  await send('GET', '/admin/nothing')
  expect(error).not.toHaveBeenCalled()

  faults.configure = 3
  await send('POST', `/admin/users/${id}/suspend`)
  await server.pause()
  await send('POST', '/admin/users', { name: 'a-name-of-nobody' })
  await server.resume()
  const logged = error.mock.calls.map(([line]) => JSON.parse(String(line)))
  expect(logged).toMatchObject([
    { code: 'not_yet_in_force', cause: 'Error: the ledger is away' },
    { code: 'database_unavailable', cause: expect.stringMatching(/^\w*Error/) },
  ])
  for (const [line] of error.mock.calls) expect(line).not.toMatch(/a-name-of-nobody|insert into/)
})

test('pages are complete and without repeats, also where users were created in the same millisecond', async () => {
  const ids = await Promise.all(Array.from({ length: 11 }, () => newUser({ name: 'same' })))
  await db.execute(`update users set created_at = '2020-01-01' where name = 'same'`)
  await send('POST', `/admin/users/${ids[0]}/suspend`)
  const seen: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const { body } = await send('GET', `/admin/users?limit=2&status=active${cursor && `&cursor=${cursor}`}`)
    seen.push(...body.data.map((user: { id: string }) => user.id))
    cursor = body.next_cursor
  }
  expect(seen.filter((id) => ids.includes(id)).sort()).toEqual(ids.slice(1).sort())
  expect(new Set(seen).size).toBe(seen.length)
})

test('a user is found by email, in any case, and by the subject of their JWTs', async () => {
  const [ada, bob] = [await newUser({ email: 'Findable@example.com' }), await newUser({ email: 'bob@example.com' })]
  await db.execute(sql`update users set issuer = 'https://id', subject = 'auth0|bob' where id = ${bob}`)
  const found = async (query: string) =>
    (await send('GET', `/admin/users?${query}`)).body.data.map((user: { id: string }) => user.id)
  expect(await found('email=findable@EXAMPLE.com')).toEqual([ada])
  expect(await found('subject=auth0%7Cbob')).toEqual([bob])
  expect(await found('subject=auth0%7Cbob&email=findable@example.com')).toEqual([])
  expect(await found('subject=AUTH0%7Cbob')).toEqual([])
})

test('users are listed newest first, whatever their ids', async () => {
  const ids: string[] = []
  for (let at = 0; at < 5; at++) {
    const id = await newUser()
    await db.execute(
      sql`update users set created_at = '2040-01-01'::timestamptz + (${at} || ' h')::interval where id = ${id}`,
    )
    ids.unshift(id)
  }
  const { data } = (await send('GET', '/admin/users?limit=5')).body
  expect(data.map(({ id }: { id: string }) => id)).toEqual(ids)
  await db.execute(sql`delete from users where created_at > '2039-01-01'`)
})

describe('what is not valid names its field', () => {
  test.each([
    ['no name', {}, 'name'],
    ['an empty name', { name: '' }, 'name'],
    ['a name of white space', { name: '   ' }, 'name'],
    ['a long name', { name: 'x'.repeat(201) }, 'name'],
    ['a name of another type', { name: 1 }, 'name'],
    ['NUL', { name: 'a\0' }, 'name'],
    ['a lone surrogate', { name: '\ud800' }, 'name'],
    ['an email that is none', { name: 'A', email: SQL }, 'email'],
    ['a long email', { name: 'A', email: `${'x'.repeat(320)}@example.com` }, 'email'],
    ['a time zone that is none', { name: 'A', time_zone: SQL }, 'time_zone'],
    ['a time zone without daylight saving', { name: 'A', time_zone: '+01:00' }, 'time_zone'],
    ['an unknown field', { name: 'A', status: 'deleted' }, 'status'],
  ])('%s', async (_, body, field) => {
    const answer = await send('POST', '/admin/users', body)
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'invalid_request', field, errors: [{ field }], request_id: 'req-1' },
    })
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
  })

  test.each([[[]], [null], ['"text"'], [1]])('a body that is not an object is said to be none: %j', async (body) => {
    const answer = await send('POST', '/admin/users', body)
    expect(answer).toMatchObject({ status: 400, body: { detail: 'The request body must be a JSON object.' } })
    expect(answer.body).not.toHaveProperty('field')
    expect(answer.body).not.toHaveProperty('errors')
  })

  test.each([
    ['POST', '/admin/users', {}, 'name', 'is required'],
    ['POST', '/admin/users', { name: '   ' }, 'name', 'must not be empty'],
    ['POST', `/admin/users/${NOBODY}/caps`, { limits: { tokens: 1 } }, 'cap_type', 'is required'],
    ['POST', `/admin/users/${NOBODY}/caps`, { cap_type: 'daily' }, 'limits', 'is required'],
    [
      'POST',
      `/admin/users/${NOBODY}/caps`,
      { cap_type: 'daily', limits: {} },
      'limits',
      'must have at least one limit',
    ],
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
    ['POST', `/admin/users/${NOBODY}/keys`, { name: 'x', scopes: [] }, 'scopes', 'must not be empty'],
    [
      'POST',
      `/admin/users/${NOBODY}/caps`,
      { cap_type: 'daily', limits: { tokens: 1.5 } },
      'limits.tokens',
      'must be a whole number',
    ],
    [
      'POST',
      `/admin/users/${NOBODY}/caps`,
      { cap_type: 'daily', limits: { tokens: -1 } },
      'limits.tokens',
      'must be at least 0',
    ],
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

  test.each([
    ['?limit=0', 'limit'],
    ['?limit=101', 'limit'],
    ['?limit=1.5', 'limit'],
    ['?limit=0x1', 'limit'],
    ['?limit=1e1', 'limit'],
    ['?limit=%201', 'limit'],
    ['?limit=', 'limit'],
    ['?limit=1&limit=2', 'limit'],
    ['?status=gone', 'status'],
    ['?email=ada', 'email'],
    ['?subject=', 'subject'],
    ['?cursor=', 'cursor'],
    ['?cursor=!!', 'cursor'],
    ['?cursor=abcde', 'cursor'],
    [`?cursor=${encodeURIComponent(btoa(`1 ${NOBODY}`))}`, 'cursor'],
    [`?cursor=${btoa("1 '; drop table users").replaceAll('=', '')}`, 'cursor'],
    [`?cursor=${btoa(`999999999999999 ${NOBODY}`).replaceAll('=', '')}`, 'cursor'],
    ['?name=Ada', 'name'],
  ])('GET /admin/users%s', async (query, field) => {
    expect(await send('GET', `/admin/users${query}`)).toMatchObject({ status: 400, body: { field } })
  })

  test('an id that is none', async () => {
    expect(await send('GET', `/admin/users/${encodeURIComponent(SQL)}`)).toMatchObject({
      status: 400,
      body: { field: 'id' },
    })
    expect((await send('GET', `/admin/users/${NOBODY}?x=1`)).body.field).toBe('x')
  })

  const utf8 = (text: string) => new TextEncoder().encode(text)
  const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))
  const duplicate = 'occurs more than once'
  test.each([
    ['a field twice', utf8('{"name":"A","name":"B"}'), {}, 400, 'name', duplicate],
    [
      'a field twice, of another type of JSON',
      utf8('{"name":"A","name":"B"}'),
      { 'content-type': 'application/merge-patch+json' },
      400,
      'name',
      duplicate,
    ],
    ['a field twice, once escaped', utf8('{"name":"A","n\\u0061me":"B"}'), {}, 400, 'name', duplicate],
    ['invalid UTF-8', latin1('{"name":"é"}'), {}, 400, undefined, 'UTF-8'],
    ['a byte order mark', utf8('\ufeff{"name":"A"}'), {}, 400, undefined, 'not valid JSON'],
    ['gzip', utf8('{"name":"A"}'), { 'content-encoding': 'gzip' }, 415, 'content-encoding', 'compressed'],
    ['latin1', utf8('{}'), { 'content-type': 'application/json; charset=latin1' }, 415, 'content-type', 'UTF-8'],
    ['UTF-7', utf8('{}'), { 'content-type': 'application/json; charset=utf7' }, 415, 'content-type', 'UTF-8'],
    ['UTF-16', utf8('{}'), { 'content-type': 'application/x+json;charset="utf-16"' }, 415, 'content-type', 'UTF-8'],
    // To Python's parsers.
    [
      'UTF-7 by RFC 2231',
      utf8('{}'),
      { 'content-type': "application/json; charset*=x''utf-7" },
      415,
      'content-type',
      'UTF-8',
    ],
    [
      'UTF-7 behind a blank',
      utf8('{}'),
      { 'content-type': 'application/json; charset=" utf-7"' },
      415,
      'content-type',
      'UTF-8',
    ],
    [
      'two charsets',
      utf8('{}'),
      { 'content-type': 'application/json; charset="utf-8 utf-7"' },
      415,
      'content-type',
      'UTF-8',
    ],
  ] as const)('a body with %s is not taken', async (_, body, headers, status, field, message) => {
    const answer = await send('POST', '/admin/users', body, headers)
    expect(answer.body).toMatchObject({ status, detail: expect.stringContaining(message) })
    expect(answer.body.field).toBe(field)
  })

  test('a field twice inside another is named by its path', async () => {
    const cap = '{"cap_type":"daily","limits":{"tokens":1,"tokens":2}}'
    const answer = await send('POST', `/admin/users/${NOBODY}/caps`, cap)
    expect(answer).toMatchObject({ status: 400, body: { field: 'limits.tokens' } })
    const rotation = await send(
      'POST',
      `/admin/users/${NOBODY}/keys/${NOBODY}/rotate`,
      '{"grace_seconds":1,"grace_seconds":2}',
    )
    expect(rotation).toMatchObject({ status: 400, body: { field: 'grace_seconds' } })
  })

  test('a body that says JSON in UTF-8 in any spelling of its own is taken, whatever its letters', async () => {
    for (const type of [
      'application/json; charset=UTF-8',
      'Application/JSON;charset="utf-8"',
      'application/json ; charset=utf-8',
      'application/json; charset=utf8',
      // A common slip, which is no parameter to any parser.
      'application/json;charset:utf-8',
      'application/json;',
      'application/vnd.acme_1+json',
    ])
      expect(
        await send('POST', '/admin/users', utf8('{"name":"Zoë 🦊"}'), {
          'content-type': type,
          'content-encoding': 'identity',
        }),
      ).toMatchObject({ status: 201, body: { name: 'Zoë 🦊' } })
  })

  test('malformed JSON, another content type, a large body', async () => {
    expect(await send('POST', '/admin/users', '{"name":')).toMatchObject({
      status: 400,
      body: { code: 'invalid_request' },
    })
    const text = await send('POST', '/admin/users', '{"name":"A"}', { 'content-type': 'text/plain' })
    expect(text).toMatchObject({ status: 415, body: { code: 'unsupported_media_type', field: 'content-type' } })
    expect(
      (await send('POST', '/admin/users', 'name=A', { 'content-type': 'application/x-www-form-urlencoded' })).status,
    ).toBe(415)
    expect((await send('POST', '/admin/users')).status).toBe(400)
    const large = await send('POST', '/admin/users', { name: 'x'.repeat(64 * 1024) })
    expect(large).toMatchObject({ status: 413, body: { code: 'payload_too_large' } })
  })
})

test.each(['suspend', 'activate'])('%s takes nothing, and what it is given is not passed over', async (action) => {
  const path = `/admin/users/${await newUser()}/${action}`
  const until = await send('POST', path, { until: '2030-01-01T00:00:00Z' })
  expect(until).toMatchObject({ status: 400, body: { field: 'until', detail: 'until: is not a known field' } })
  expect((await send('POST', path, 'for a day', { 'content-type': 'text/plain' })).status).toBe(415)
  for (const nothing of [undefined, '', {}]) expect((await send('POST', path, nothing)).status).toBe(200)
})

test.each([
  ['/admin/users', 'application/json'],
  [`/admin/users/${NOBODY}/keys/${NOBODY}/rotate`, 'text/plain'],
  ['/admin/prices/csv', 'text/csv'],
])('a body that breaks off is the fault of its client, announced or not: %s', async (path, type) => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  for (const announced of [{ 'content-length': '60' }, {}] as Record<string, string>[]) {
    const body = new ReadableStream({ pull: (controller) => controller.error(new Error('the client has left')) })
    const init = { method: 'POST', body, headers: { 'content-type': type, ...announced }, duplex: 'half' }
    const answer = await app.request(path, init)
    expect(await answer.json()).toMatchObject({ status: 400, detail: 'The request body ended early.' })
  }
  expect(error).not.toHaveBeenCalled()
})

test('nobody and nothing is a 404', async () => {
  for (const [method, path, body] of [
    ['GET', `/admin/users/${NOBODY}`, undefined],
    ['PATCH', `/admin/users/${NOBODY}`, { name: 'B' }],
    ['POST', `/admin/users/${NOBODY}/suspend`, undefined],
    ['DELETE', `/admin/users/${NOBODY}`, undefined],
    ['GET', `/admin/users/${NOBODY}/keys`, undefined],
    ['POST', `/admin/users/${NOBODY}/keys`, { name: 'k' }],
    ['GET', `/admin/users/${NOBODY}/caps`, undefined],
    ['GET', `/admin/users/${NOBODY}/caps/status`, undefined],
    ['POST', `/admin/users/${NOBODY}/caps`, { cap_type: 'daily', limits: { tokens: 1 } }],
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
    ['POST', `/admin/users/${NOBODY}/caps/status`, 'GET, HEAD'],
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
