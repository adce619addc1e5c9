import { sql } from 'drizzle-orm'
import { afterAll, afterEach, expect, test } from 'vitest'
import { type Answer, idsOnPages, openRest } from './rest-fixture.ts'

const { db, send, newUser, newKey, configs, faults, clock, close } = await openRest()
afterAll(close)
afterEach(() => {
  clock.now = Date.now
})

const activeKeys = (userId: string) => (configs.get(userId)?.keys ?? []).map(({ id }) => id).sort()

test('a key is shown once, and works when the answer is there', async () => {
  const id = await newUser()
  const { status, body } = await newKey(id, { name: `k'; --` })
  expect(status).toBe(201)
  expect(body).toEqual({
    id: expect.any(String),
    user_id: id,
    name: `k'; --`,
    key: `tg_${id}${body.id}`,
    last_four: body.key.slice(-4),
    scopes: ['call', 'usage'],
    status: 'active',
    expires_at: null,
    revoked_at: null,
    created_at: expect.any(String),
  })
  expect(configs.get(id)?.keys).toEqual([{ id: body.id, scopes: ['call', 'usage'], expires_at: null }])
  const { key: _, ...shown } = body
  expect((await send('GET', `/admin/users/${id}/keys`)).body).toEqual({ data: [shown], next_cursor: null })
})

test('scopes and expiry are what was asked for', async () => {
  const id = await newUser()
  const expires_at = new Date(Date.now() + 60_000).toISOString()
  const { body } = await newKey(id, { scopes: ['usage', 'usage'], expires_at })
  expect(body).toMatchObject({ scopes: ['usage'], expires_at })
  expect(configs.get(id)?.keys).toEqual([{ id: body.id, scopes: ['usage'], expires_at: Date.parse(expires_at) }])
  clock.now = () => Date.parse(expires_at)
  expect((await send('GET', `/admin/users/${id}/keys`)).body.data).toMatchObject([{ status: 'expired' }])
  expect(await send('POST', `/admin/users/${id}/keys/${body.id}/rotate`, {})).toMatchObject({ status: 409 })
})

test('a revoked key is gone from the ledger, and revoking can be repeated', async () => {
  const id = await newUser()
  const { body } = await newKey(id)
  expect((await send('DELETE', `/admin/users/${id}/keys/${body.id}`)).status).toBe(204)
  expect(activeKeys(id)).toEqual([])
  const [key] = (await send('GET', `/admin/users/${id}/keys`)).body.data
  expect(key).toMatchObject({ status: 'revoked', revoked_at: expect.any(String) })
  expect((await send('DELETE', `/admin/users/${id}/keys/${body.id}`)).status).toBe(204)
  expect((await send('GET', `/admin/users/${id}/keys`)).body.data).toEqual([key])
})

test('when a key was revoked stays known when its user is deleted', async () => {
  const id = await newUser()
  const { body } = await newKey(id)
  await db.execute(sql`update api_keys set revoked_at = '2020-01-01' where id = ${body.id}`)
  await send('DELETE', `/admin/users/${id}`)
  const [key] = (await send('GET', `/admin/users/${id}/keys`)).body.data
  expect(key.revoked_at).toBe('2020-01-01T00:00:00.000Z')
})

test('keys are listed newest first, whatever their ids', async () => {
  const id = await newUser()
  for (const name of ['a', 'b', 'c', 'd', 'e']) await newKey(id, { name })
  await db.execute(sql`update api_keys set created_at = '2020-01-01'::timestamptz + (ascii(name) || ' h')::interval
    where user_id = ${id}`)
  const { data, next_cursor } = (await send('GET', `/admin/users/${id}/keys?limit=5`)).body
  expect(data.map(({ name }: { name: string }) => name)).toEqual(['e', 'd', 'c', 'b', 'a'])
  // A page that is full may be the last.
  expect(next_cursor).toBeNull()
})

test('a rotated key ends at once, or after its grace', async () => {
  const id = await newUser()
  const expires_at = new Date(Date.now() + 3_600_000).toISOString()
  const first = (await newKey(id, { scopes: ['call'], expires_at })).body
  const second = await send('POST', `/admin/users/${id}/keys/${first.id}/rotate`)
  expect(second).toMatchObject({
    status: 201,
    body: { name: 'k', scopes: ['call'], expires_at, key: expect.any(String) },
  })
  expect(activeKeys(id)).toEqual([second.body.id])

  const third = await send('POST', `/admin/users/${id}/keys/${second.body.id}/rotate`, { grace_seconds: 60 })
  expect(activeKeys(id)).toEqual([second.body.id, third.body.id].sort())
  const ending = configs.get(id)?.keys.find((key) => key.id === second.body.id)
  expect(ending?.expires_at).toBeLessThanOrEqual(Date.now() + 61_000)
  const listed = (await send('GET', `/admin/users/${id}/keys`)).body.data
  expect(listed.find((key: { id: string }) => key.id === second.body.id)).toMatchObject({
    status: 'active',
    expires_at,
  })
})

test('a key that did not come into force is not left active: nobody has seen it', async () => {
  const id = await newUser()
  faults.configure = 3
  expect((await newKey(id)).body.code).toBe('not_yet_in_force')
  const { body } = await newKey(id)
  expect(activeKeys(id)).toEqual([body.id])
  const { data } = (await send('GET', `/admin/users/${id}/keys`)).body
  expect(data.map(({ status }: { status: string }) => status)).toEqual(['active', 'revoked'])

  faults.configure = 3
  const rotated = await send('POST', `/admin/users/${id}/keys/${body.id}/rotate`, { grace_seconds: 60 })
  expect(rotated.body.code).toBe('not_yet_in_force')
  await send('PATCH', `/admin/users/${id}`, { name: 'B' })
  expect(activeKeys(id)).toEqual([body.id])
})

test('a rotation that did not come into force does so when it is repeated, which makes no second successor', async () => {
  const id = await newUser()
  const { body } = await newKey(id)
  const rotate = () => send('POST', `/admin/users/${id}/keys/${body.id}/rotate`, {})
  faults.configure = 3
  expect((await rotate()).body.code).toBe('not_yet_in_force')
  expect(activeKeys(id)).toEqual([body.id])
  expect(await rotate()).toMatchObject({ status: 409, body: { code: 'conflict' } })
  expect(activeKeys(id)).toEqual([])
})

test('a key that is revoked, or in its grace, is not rotated into another', async () => {
  const id = await newUser()
  const path = `/admin/users/${id}/keys`
  const [revoked, replaced] = [(await newKey(id)).body, (await newKey(id)).body]
  await send('DELETE', `${path}/${revoked.id}`)
  await send('POST', `${path}/${replaced.id}/rotate`, { grace_seconds: 60 })
  const before = activeKeys(id)
  expect(before).toHaveLength(2)
  for (const key of [revoked, replaced])
    for (const grace_seconds of [0, 60])
      expect(await send('POST', `${path}/${key.id}/rotate`, { grace_seconds })).toMatchObject({
        status: 409,
        body: { code: 'conflict', detail: 'The key is revoked (or already replaced). Create a new one.' },
      })
  expect(activeKeys(id)).toEqual(before)
  expect((await send('GET', path)).body.data).toHaveLength(3)
})

test.each(['', undefined])(
  'the body of a rotation may be left out, also where it is labelled as JSON (%j)',
  async (body) => {
    const id = await newUser()
    const key = (await newKey(id)).body
    expect((await send('POST', `/admin/users/${id}/keys/${key.id}/rotate`, body)).status).toBe(201)
  },
)

test('a rotation whose body is not labelled as JSON is refused: its grace would be lost, and the old key with it', async () => {
  const id = await newUser()
  const key = (await newKey(id)).body
  const path = `/admin/users/${id}/keys/${key.id}/rotate`
  for (const type of ['text/plain', 'application/x-www-form-urlencoded'])
    expect(await send('POST', path, { grace_seconds: 60 }, { 'content-type': type })).toMatchObject({ status: 415 })
  expect(activeKeys(id)).toEqual([key.id])
})

test('a key is read by its id, without the key itself', async () => {
  const id = await newUser()
  const { key: _, ...key } = (await newKey(id, { name: ' k\n', expires_at: null })).body
  expect(key).toMatchObject({ name: 'k', expires_at: null })
  expect(await send('GET', `/admin/users/${id}/keys/${key.id}`)).toMatchObject({ status: 200, body: key })
  expect((await send('GET', `/admin/users/${id}/keys/${key.id}`)).body).not.toHaveProperty('key')
  expect((await send('GET', `/admin/users/${id}/keys/${crypto.randomUUID()}`)).status).toBe(404)
})

test('more than 100 active keys are a conflict, until one is revoked', async () => {
  const id = await newUser()
  const create = () => newKey(id)
  const made: Answer[] = []
  for (let batch = 0; batch < 10; batch++) made.push(...(await Promise.all(Array.from({ length: 10 }, create))))
  expect(await create()).toMatchObject({ status: 409, body: { code: 'conflict' } })
  const rotate = (grace_seconds: number) =>
    send('POST', `/admin/users/${id}/keys/${made[1]?.body.id}/rotate`, { grace_seconds })
  // With a grace there would be one more.
  expect(await rotate(604_800)).toMatchObject({
    status: 409,
    body: { detail: 'A user may have 100 active keys. Revoke one first.' },
  })
  expect((await rotate(0)).status).toBe(201)
  await send('DELETE', `/admin/users/${id}/keys/${made[0]?.body.id}`)
  expect((await create()).status).toBe(201)

  // As the document says.
  expect((await send('GET', `/admin/users/${id}/keys`)).body.data).toHaveLength(50)
  const seen = await idsOnPages(send, `/admin/users/${id}/keys?limit=30`)
  expect(new Set(seen).size).toBe(102)
  expect(seen).toHaveLength(102)
})

test("another user's key is a 404 and stays as it is", async () => {
  const [ada, bob] = [await newUser(), await newUser()]
  const { body } = await newKey(ada)
  expect((await send('DELETE', `/admin/users/${bob}/keys/${body.id}`)).status).toBe(404)
  expect((await send('GET', `/admin/users/${bob}/keys/${body.id}`)).status).toBe(404)
  expect((await send('POST', `/admin/users/${bob}/keys/${body.id}/rotate`, {})).status).toBe(404)
  expect((await send('GET', `/admin/users/${bob}/keys`)).body.data).toEqual([])
  expect(activeKeys(ada)).toEqual([body.id])
})

test.each([
  [{}, 'name'],
  [{ name: ' \t' }, 'name'],
  [{ name: 'k', scopes: [] }, 'scopes'],
  [{ name: 'k', scopes: ['call', 'admin'] }, 'scopes[1]'],
  [{ name: 'k', expires_at: 'tomorrow' }, 'expires_at'],
  [{ name: 'k', expires_at: '2020-01-01T00:00:00Z' }, 'expires_at'],
  [{ name: 'k', expires_at: '9999-12-31T23:59:59-12:00' }, 'expires_at'],
  [{ name: 'k', expires_at: '2030-01-01T00:00:00' }, 'expires_at'],
  [{ name: 'k', key: 'tg_mine' }, 'key'],
])('a key of %j names the fault', async (body, field) => {
  const id = await newUser()
  expect(await send('POST', `/admin/users/${id}/keys`, body)).toMatchObject({ status: 400, body: { field } })
  expect(configs.has(id)).toBe(false)
})

test('a key cannot end at the instant that it is made', async () => {
  const [id, now] = [await newUser(), Date.now()]
  clock.now = () => now
  const endingAt = (ms: number) => newKey(id, { expires_at: new Date(ms).toISOString() })
  expect(await endingAt(now)).toMatchObject({ status: 400, body: { detail: 'expires_at: must lie in the future' } })
  expect((await endingAt(now + 1)).status).toBe(201)
})

test('a grace may be as long as a week', async () => {
  const id = await newUser()
  const { body } = await newKey(id)
  expect((await send('POST', `/admin/users/${id}/keys/${body.id}/rotate`, { grace_seconds: 604_800 })).status).toBe(201)
})

test.each([-1, 1.5, 604_801, '60'])('a grace of %j names the fault', async (grace_seconds) => {
  const id = await newUser()
  const { body } = await newKey(id)
  const answer = await send('POST', `/admin/users/${id}/keys/${body.id}/rotate`, { grace_seconds })
  expect(answer).toMatchObject({ status: 400, body: { field: 'grace_seconds' } })
})

test('a key that the database has lost is no key to the ledger either, once somebody wants to rotate it', async () => {
  const id = await newUser()
  const { body } = await newKey(id)
  await db.execute(sql`delete from api_keys where user_id = ${id}`)
  await db.execute(sql`update users set version = 1 where id = ${id}`)
  expect((await send('POST', `/admin/users/${id}/keys/${body.id}/rotate`)).status).toBe(404)
  expect(configs.get(id)?.keys).toEqual([])
})
