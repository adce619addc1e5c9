import { afterAll, expect, test } from 'vitest'
import { openRest } from './rest-fixture.ts'

const { send, newUser, configs, faults, clock, close } = await openRest()
afterAll(close)

const activeKeys = (userId: string) => (configs.get(userId)?.keys ?? []).map(({ id }) => id).sort()

test('a key is shown once, and works when the answer is there', async () => {
  const id = await newUser()
  const { status, body } = await send('POST', `/admin/users/${id}/keys`, { name: `k'; --` })
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
  const { body } = await send('POST', `/admin/users/${id}/keys`, { name: 'k', scopes: ['usage', 'usage'], expires_at })
  expect(body).toMatchObject({ scopes: ['usage'], expires_at })
  expect(configs.get(id)?.keys).toEqual([{ id: body.id, scopes: ['usage'], expires_at: Date.parse(expires_at) }])
  clock.now = () => Date.parse(expires_at)
  expect((await send('GET', `/admin/users/${id}/keys`)).body.data).toMatchObject([{ status: 'expired' }])
  expect(await send('POST', `/admin/users/${id}/keys/${body.id}/rotate`, {})).toMatchObject({ status: 409 })
  clock.now = Date.now
})

test('a revoked key is gone from the ledger, and revoking can be repeated', async () => {
  const id = await newUser()
  const { body } = await send('POST', `/admin/users/${id}/keys`, { name: 'k' })
  expect((await send('DELETE', `/admin/users/${id}/keys/${body.id}`)).status).toBe(204)
  expect(activeKeys(id)).toEqual([])
  const [key] = (await send('GET', `/admin/users/${id}/keys`)).body.data
  expect(key).toMatchObject({ status: 'revoked', revoked_at: expect.any(String) })
  expect((await send('DELETE', `/admin/users/${id}/keys/${body.id}`)).status).toBe(204)
  expect((await send('GET', `/admin/users/${id}/keys`)).body.data).toEqual([key])
})

test('a rotated key ends at once, or after its grace', async () => {
  const id = await newUser()
  const expires_at = new Date(Date.now() + 3_600_000).toISOString()
  const first = (await send('POST', `/admin/users/${id}/keys`, { name: 'k', scopes: ['call'], expires_at })).body
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

test('a rotation whose answer was lost can be repeated', async () => {
  const id = await newUser()
  const { body } = await send('POST', `/admin/users/${id}/keys`, { name: 'k' })
  faults.configure = 3
  expect((await send('POST', `/admin/users/${id}/keys/${body.id}/rotate`, {})).body.code).toBe('not_yet_in_force')
  const again = await send('POST', `/admin/users/${id}/keys/${body.id}/rotate`, {})
  expect(again.status).toBe(201)
  expect(activeKeys(id)).toContain(again.body.id)
  expect(activeKeys(id)).not.toContain(body.id)
})

test('more than 100 active keys are a conflict, until one is revoked', async () => {
  const id = await newUser()
  const create = () => send('POST', `/admin/users/${id}/keys`, { name: 'k' })
  const made = []
  for (let batch = 0; batch < 10; batch++) made.push(...(await Promise.all(Array.from({ length: 10 }, create))))
  expect(await create()).toMatchObject({ status: 409, body: { code: 'conflict' } })
  await send('DELETE', `/admin/users/${id}/keys/${made[0]?.body.id}`)
  expect((await create()).status).toBe(201)

  const seen: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const { body } = await send('GET', `/admin/users/${id}/keys?limit=30${cursor && `&cursor=${cursor}`}`)
    seen.push(...body.data.map((key: { id: string }) => key.id))
    cursor = body.next_cursor
  }
  expect(new Set(seen).size).toBe(101)
  expect(seen).toHaveLength(101)
})

test("another user's key is a 404 and stays as it is", async () => {
  const [ada, bob] = [await newUser(), await newUser()]
  const { body } = await send('POST', `/admin/users/${ada}/keys`, { name: 'k' })
  expect((await send('DELETE', `/admin/users/${bob}/keys/${body.id}`)).status).toBe(404)
  expect((await send('POST', `/admin/users/${bob}/keys/${body.id}/rotate`, {})).status).toBe(404)
  expect((await send('GET', `/admin/users/${bob}/keys`)).body.data).toEqual([])
  expect(activeKeys(ada)).toEqual([body.id])
})

test.each([
  [{}, 'name'],
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

test.each([-1, 1.5, 604_801, '60'])('a grace of %j names the fault', async (grace_seconds) => {
  const id = await newUser()
  const { body } = await send('POST', `/admin/users/${id}/keys`, { name: 'k' })
  const answer = await send('POST', `/admin/users/${id}/keys/${body.id}/rotate`, { grace_seconds })
  expect(answer).toMatchObject({ status: 400, body: { field: 'grace_seconds' } })
})
