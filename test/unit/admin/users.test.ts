import { sql } from 'drizzle-orm'
import { afterAll, describe, expect, test } from 'vitest'
import { idsOnPages, NOBODY, openRest } from './rest-fixture.ts'

const { send, newUser, newKey, configs, faults, db, close } = await openRest()
afterAll(close)

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
  await newKey(other)
  const { body: ended } = await newKey(id)
  await send('DELETE', `/admin/users/${id}/keys/${ended.id}`)
  const keysOf = async (user: string) => (await send('GET', `/admin/users/${user}/keys`)).body.data
  const [{ revoked_at }] = await keysOf(id)
  await send('DELETE', `/admin/users/${id}`)
  expect(await keysOf(other)).toMatchObject([{ status: 'active', revoked_at: null }])
  expect(await keysOf(id)).toMatchObject([{ status: 'revoked', revoked_at }])
})

test('deleting a user ends its keys at once and can be repeated; nothing else can be done with it', async () => {
  const id = await newUser()
  await newKey(id)
  const cap = { cap_type: 'weekly', limits: { requests: 1 } }
  const capPath = `/caps/${(await send('POST', `/admin/users/${id}/caps`, cap)).body.id}`
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
    ['PATCH', capPath, { is_active: false }],
    ['PATCH', capPath, {}],
    ['DELETE', capPath, undefined],
  ] as const)
    expect(await send(method, `/admin/users/${id}${path}`, body)).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    })
  expect(configs.get(id)?.status).toBe('deleted')
})

test('a change that is refused changes nothing of the user', async () => {
  const id = await newUser()
  const user = `/admin/users/${id}`
  const revoked = `keys/${(await newKey(id)).body.id}`
  await send('DELETE', `${user}/${revoked}`)
  await db.execute(sql`update users set updated_at = '2020-01-01' where id = ${id}`)
  const { version } = configs.get(id) ?? {}
  const cap = { cap_type: 'daily', limits: { requests: 1 } }
  const others = `caps/${(await send('POST', `/admin/users/${await newUser()}/caps`, cap)).body.id}`
  for (const [method, path, body, status] of [
    ['PATCH', others, { is_active: false }, 404],
    ['DELETE', others, undefined, 404],
    ['PATCH', `caps/${NOBODY}`, { is_active: false }, 404],
    ['PATCH', `caps/${NOBODY}`, {}, 404],
    ['DELETE', `caps/${NOBODY}`, undefined, 404],
    ['DELETE', `keys/${NOBODY}`, undefined, 404],
    ['POST', `keys/${NOBODY}/rotate`, undefined, 404],
    ['POST', `${revoked}/rotate`, undefined, 409],
  ] as const)
    expect(await send(method, `${user}/${path}`, body), path).toMatchObject({ status })
  expect((await send('GET', user)).body.updated_at).toBe('2020-01-01T00:00:00.000Z')
  expect(configs.get(id)?.version).toBe(version)
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

test('pages are complete and without repeats, also where users were created in the same millisecond', async () => {
  const ids = await Promise.all(Array.from({ length: 11 }, () => newUser({ name: 'same' })))
  await db.execute(`update users set created_at = '2020-01-01' where name = 'same'`)
  await send('POST', `/admin/users/${ids[0]}/suspend`)
  const seen = await idsOnPages(send, '/admin/users?limit=2&status=active')
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

  test.each([
    ['?limit=0', 'limit'],
    ['?limit=101', 'limit'],
    ['?limit=1.5', 'limit'],
    ['?limit=0x1', 'limit'],
    ['?limit=1e1', 'limit'],
    ['?limit=%201', 'limit'],
    ['?limit=', 'limit'],
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
})

test.each(['suspend', 'activate'])('%s takes nothing, and what it is given is not passed over', async (action) => {
  const path = `/admin/users/${await newUser()}/${action}`
  const until = await send('POST', path, { until: '2030-01-01T00:00:00Z' })
  expect(until).toMatchObject({ status: 400, body: { field: 'until', detail: 'until: is not a known field' } })
  expect((await send('POST', path, 'for a day', { 'content-type': 'text/plain' })).status).toBe(415)
  for (const nothing of [undefined, '', {}]) expect((await send('POST', path, nothing)).status).toBe(200)
})
