import { sql } from 'drizzle-orm'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { NOBODY, openRest } from './rest-fixture.ts'

const { db, send, newUser, configs, faults, usage, close } = await openRest()
afterAll(close)
afterEach(async () => {
  for (const { cap_type } of (await send('GET', '/admin/default-caps')).body.data)
    await send('DELETE', `/admin/default-caps/${cap_type}`)
})

async function newCap(userId: string, fields: object = {}) {
  return send('POST', `/admin/users/${userId}/caps`, { cap_type: 'daily', limits: { requests: 10 }, ...fields })
}

test('a cap is created, read, listed, and in the ledger', async () => {
  const id = await newUser()
  const created = await newCap(id, { limits: { requests: 0, cost_cents: 12.5 }, on_exceed: 'refuse' })
  expect(created).toMatchObject({
    status: 201,
    body: {
      user_id: id,
      cap_type: 'daily',
      limits: { requests: 0, tokens: null, cost_cents: 12.5, cost_usd: 0.125 },
      on_exceed: 'refuse',
      is_active: true,
    },
  })
  const cap = created.body
  expect(configs.get(id)?.caps).toEqual([
    { id: cap.id, cap_type: 'daily', limits: { requests: 0, cost: 125_000_000 }, on_exceed: 'refuse' },
  ])
  expect((await send('GET', `/admin/users/${id}/caps`)).body).toEqual({ data: [cap] })
  expect((await send('GET', `/admin/users/${id}/caps/${cap.id}`)).body).toEqual(cap)
})

test('a cap clamps and is active where nothing else is said', async () => {
  expect((await newCap(await newUser())).body).toMatchObject({ on_exceed: 'clamp', is_active: true })
})

test('limits merge: those named change, null takes one away, and one must stay', async () => {
  const id = await newUser()
  const path = `/admin/users/${id}/caps/${(await newCap(id)).body.id}`
  const changed = await send('PATCH', path, { limits: { tokens: 5, cost_usd: 1 } })
  expect(changed.body.limits).toEqual({ requests: 10, tokens: 5, cost_cents: 100, cost_usd: 1 })
  expect((await send('PATCH', path, { limits: { requests: null, cost_cents: null } })).body.limits).toMatchObject({
    requests: null,
    tokens: 5,
    cost_usd: null,
  })
  expect(configs.get(id)?.caps[0]?.limits).toEqual({ tokens: 5 })
  expect(await send('PATCH', path, { limits: { cost_cents: null, cost_usd: 1 } })).toMatchObject({
    status: 400,
    body: { field: 'limits.cost_usd' },
  })
  expect(await send('PATCH', path, { limits: { tokens: null } })).toMatchObject({
    status: 400,
    body: { field: 'limits' },
  })
  expect(await send('PATCH', path, { is_active: false })).toMatchObject({ status: 200, body: { is_active: false } })
  expect(configs.get(id)?.caps).toEqual([])
  const version = configs.get(id)?.version
  for (const nothing of [{}, { limits: {} }]) expect((await send('PATCH', path, nothing)).status).toBe(200)
  expect(configs.get(id)?.version).toBe(version)
})

test('a change is dated', async () => {
  const id = await newUser()
  const cap = (await newCap(id)).body
  await send('PUT', '/admin/default-caps/daily', { limits: { requests: 1 } })
  for (const table of ['users', 'caps', 'default_caps'])
    await db.execute(sql.raw(`update ${table} set created_at = '2020-01-01', updated_at = '2020-01-01'`))
  for (const [method, path, body] of [
    ['PATCH', `/admin/users/${id}`, { name: 'B' }],
    ['PATCH', `/admin/users/${id}/caps/${cap.id}`, { limits: { requests: 2 } }],
    ['PUT', '/admin/default-caps/daily', { limits: { requests: 2 } }],
  ] as const) {
    const changed = (await send(method, path, body)).body
    expect(changed.created_at, path).toBe('2020-01-01T00:00:00.000Z')
    expect(Math.abs(Date.parse(changed.updated_at) - Date.now()), path).toBeLessThan(10_000)
  }
})

test('null is no limit in a new cap too', async () => {
  const id = await newUser()
  const { body } = await newCap(id, { limits: { requests: null, tokens: 5, cost_cents: null, cost_usd: 1 } })
  expect(body.limits).toEqual({ requests: null, tokens: 5, cost_cents: 100, cost_usd: 1 })
})

test('racing changes of different limits all stay', async () => {
  const id = await newUser()
  const path = `/admin/users/${id}/caps/${(await newCap(id)).body.id}`
  await Promise.all([
    send('PATCH', path, { limits: { requests: 1 } }),
    send('PATCH', path, { limits: { tokens: 2 } }),
    send('PATCH', path, { limits: { cost_cents: 3 } }),
    send('PATCH', path, { on_exceed: 'refuse' }),
  ])
  expect((await send('GET', path)).body).toMatchObject({
    limits: { requests: 1, tokens: 2, cost_cents: 3 },
    on_exceed: 'refuse',
  })
  expect(configs.get(id)).toMatchObject({
    version: 6,
    caps: [{ limits: { requests: 1, tokens: 2, cost: 30_000_000 } }],
  })
})

test('a second cap of the same type is a conflict that names it, also under a race', async () => {
  const id = await newUser()
  const answers = await Promise.all([newCap(id), newCap(id), newCap(id)])
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409])
  const refused = await newCap(id)
  expect(refused.body).toMatchObject({ code: 'conflict', field: 'cap_type', detail: expect.stringContaining('daily') })
  expect((await newCap(id, { cap_type: 'weekly' })).status).toBe(201)
})

test('a cap that was saved without coming into force does so when its creation is repeated', async () => {
  const id = await newUser()
  faults.configure = 3
  expect(await newCap(id)).toMatchObject({ status: 503, body: { code: 'not_yet_in_force' } })
  expect(configs.has(id)).toBe(false)
  expect((await newCap(id)).status).toBe(409)
  expect(configs.get(id)?.caps).toHaveLength(1)

  const [cap] = (await send('GET', `/admin/users/${id}/caps`)).body.data
  faults.configure = 3
  expect((await send('DELETE', `/admin/users/${id}/caps/${cap.id}`)).status).toBe(503)
  expect((await send('DELETE', `/admin/users/${id}/caps/${cap.id}`)).status).toBe(404)
  expect(configs.get(id)?.caps).toEqual([])
})

test('a change comes into force also where the ledger knows a newer state, which the database no longer has', async () => {
  const id = await newUser()
  await newCap(id)
  const known = configs.get(id)
  if (!known) throw new Error('the ledger was told nothing')
  configs.set(id, { ...known, version: known.version + 40, status: 'suspended' })
  expect(await newCap(id, { cap_type: 'weekly' })).toMatchObject({ status: 201 })
  expect(configs.get(id)).toMatchObject({ status: 'active', caps: [{ cap_type: 'daily' }, { cap_type: 'weekly' }] })
  expect(configs.get(id)?.version).toBeGreaterThan(known.version + 40)
})

test('a deleted cap is gone', async () => {
  const id = await newUser()
  const path = `/admin/users/${id}/caps/${(await newCap(id)).body.id}`
  expect((await send('DELETE', path)).status).toBe(204)
  expect(configs.get(id)?.caps).toEqual([])
  for (const method of ['GET', 'DELETE'] as const) expect((await send(method, path)).status).toBe(404)
  expect((await send('PATCH', path, {})).status).toBe(404)
})

test("another user's cap is a 404 and stays as it is", async () => {
  const [ada, bob] = [await newUser(), await newUser()]
  const cap = (await newCap(ada)).body
  for (const [method, body] of [
    ['GET', undefined],
    ['PATCH', { limits: { requests: 1_000_000 } }],
    ['DELETE', undefined],
  ] as const)
    expect((await send(method, `/admin/users/${bob}/caps/${cap.id}`, body)).status).toBe(404)
  expect((await send('GET', `/admin/users/${ada}/caps`)).body.data).toEqual([cap])
  expect((await send('GET', `/admin/users/${ada}/caps/${NOBODY}`)).status).toBe(404)
})

describe('what is not valid names its field', () => {
  test.each([
    [{ limits: {} }, 'limits'],
    [{ limits: { requests: -1 } }, 'limits.requests'],
    [{ limits: { requests: 1.5 } }, 'limits.requests'],
    [{ limits: { tokens: '5' } }, 'limits.tokens'],
    [{ limits: { tokens: 2 ** 53 } }, 'limits.tokens'],
    [{ limits: { tokens: null } }, 'limits'],
    [{ limits: { cost_cents: 1, cost_usd: 1 } }, 'limits.cost_usd'],
    [{ limits: { cost_cents: 0.000_000_01 } }, 'limits.cost_cents'],
    [{ limits: { cost_usd: 1e-10 } }, 'limits.cost_usd'],
    [{ limits: { cost_usd: 1e-25 } }, 'limits.cost_usd'],
    [{ limits: { cost_usd: 1_234.000_000_000_5 } }, 'limits.cost_usd'],
    [{ limits: { cost_usd: -0.01 } }, 'limits.cost_usd'],
    [{ limits: { cost_cents: -1 } }, 'limits.cost_cents'],
    [{ limits: { cost_usd: 9_000_001 } }, 'limits.cost_usd'],
    [{ limits: { cost_cents: 900_000_001 } }, 'limits.cost_cents'],
    [{ limits: { requests: 1, dollars: 1 } }, 'limits.dollars'],
    [{ cap_type: 'fortnightly' }, 'cap_type'],
    [{ cap_type: `daily'; --` }, 'cap_type'],
    [{ on_exceed: 'allow' }, 'on_exceed'],
    [{ is_active: 'yes' }, 'is_active'],
    [{ enabled: true }, 'enabled'],
  ])('%j', async (fields, field) => {
    const id = await newUser()
    expect(await newCap(id, fields)).toMatchObject({ status: 400, body: { code: 'invalid_request', field } })
    expect((await send('GET', `/admin/users/${id}/caps`)).body.data).toEqual([])
  })
})

test.each([
  [{ cost_usd: 9_000_000 }, 9e15],
  [{ cost_cents: 900_000_000 }, 9e15],
  [{ cost_cents: 0.1 }, 1_000_000],
  [{ cost_usd: 0.1 + 0.2 }, 300_000_000],
  [{ cost_usd: 1e-9 }, 1],
  [{ cost_cents: 0.000_000_1 }, 1],
  [{ cost_usd: 1_234_567.891_234_567 }, 1_234_567_891_234_567],
  [{ cost_cents: 0 }, 0],
])('%j is exact in nano-dollars', async (limits, cost) => {
  const id = await newUser()
  expect((await newCap(id, { limits })).status).toBe(201)
  expect(configs.get(id)?.caps[0]?.limits).toEqual({ cost })
})

test('new users get the default caps; users that are there keep theirs', async () => {
  const before = await newUser()
  const put = await send('PUT', '/admin/default-caps/daily', { limits: { requests: 7, cost_usd: 1 } })
  expect(put).toMatchObject({ status: 200, body: { cap_type: 'daily', limits: { requests: 7, cost_cents: 100 } } })
  await send('PUT', '/admin/default-caps/total', { limits: { tokens: 9 }, on_exceed: 'refuse', is_active: false })
  const id = await newUser()
  expect((await send('GET', `/admin/users/${before}/caps`)).body.data).toEqual([])
  const caps = (await send('GET', `/admin/users/${id}/caps`)).body.data
  expect(new Map(caps.map((cap: { cap_type: string }) => [cap.cap_type, cap]))).toMatchObject(
    new Map([
      ['daily', expect.objectContaining({ limits: { requests: 7, tokens: null, cost_cents: 100, cost_usd: 1 } })],
      ['total', expect.objectContaining({ on_exceed: 'refuse', is_active: false })],
    ]),
  )

  const none = { requests: null, tokens: null, cost_cents: null, cost_usd: null }
  for (const limits of [{ tokens: 1 }, { requests: 2 }])
    expect((await send('PUT', '/admin/default-caps/daily', { limits })).body.limits).toEqual({ ...none, ...limits })
  expect((await send('GET', '/admin/default-caps')).body.data).toHaveLength(2)
  expect((await send('DELETE', '/admin/default-caps/daily')).status).toBe(204)
  expect((await send('GET', '/admin/default-caps')).body.data).toMatchObject([{ cap_type: 'total' }])
  expect((await send('DELETE', '/admin/default-caps/daily')).status).toBe(404)
  expect((await send('PUT', '/admin/default-caps/fortnightly', { limits: { tokens: 1 } })).status).toBe(400)
  expect((await send('PUT', '/admin/default-caps/daily', { limits: {} })).body.field).toBe('limits')
})

test('the status of a user is what its ledger says, with the outbox', async () => {
  const id = await newUser({ time_zone: 'Europe/Berlin' })
  usage.daily = {
    current_usage: { requests: 10, tokens: 29, cost: 15_000_000 },
    held: { requests: 1, tokens: 9, cost: 5_000_000 },
    refused: 3,
  }
  const cap = (await newCap(id, { limits: { requests: 10, tokens: 100 } })).body
  const zero = (await newCap(id, { cap_type: 'total', limits: { cost_cents: 0 } })).body
  const { status, body } = await send('GET', `/admin/users/${id}/caps/status`)
  expect(status).toBe(200)
  expect(body).toEqual({
    time_zone: 'Europe/Berlin',
    version: 3,
    status: 'active',
    outbox: { waiting: 2, rejected: 1 },
    data: [
      {
        id: cap.id,
        cap_type: 'daily',
        current_usage: { requests: 10, tokens: 29, cost_cents: 1.5, cost_usd: 0.015 },
        held: { requests: 1, tokens: 9, cost_cents: 0.5, cost_usd: 0.005 },
        limits: { requests: 10, tokens: 100, cost_cents: null, cost_usd: null },
        percentage_used: { requests: 100, tokens: 29, cost: null },
        reset_time: '2030-01-02T00:00:00.000Z',
        window_start: '2030-01-01T00:00:00.000Z',
        refused: 3,
        is_exceeded: true,
      },
      {
        id: zero.id,
        cap_type: 'total',
        current_usage: { requests: 0, tokens: 0, cost_cents: 0, cost_usd: 0 },
        held: { requests: 0, tokens: 0, cost_cents: 0, cost_usd: 0 },
        limits: { requests: null, tokens: null, cost_cents: 0, cost_usd: 0 },
        percentage_used: { requests: null, tokens: null, cost: 100 },
        reset_time: null,
        window_start: null,
        refused: 0,
        is_exceeded: true,
      },
    ],
  })
  delete usage.daily
})

test('a percentage is rounded down: 100 means that nothing is left', async () => {
  const id = await newUser()
  const path = `/admin/users/${id}/caps/${(await newCap(id)).body.id}`
  for (const [requests, limit, percentage] of [
    [99_999, 100_000, 99.99],
    [Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER, 99.99],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 100],
  ] as const) {
    usage.daily = {
      current_usage: { requests, tokens: 0, cost: 0 },
      held: { requests: 0, tokens: 0, cost: 0 },
      refused: 0,
    }
    await send('PATCH', path, { limits: { requests: limit } })
    const { data } = (await send('GET', `/admin/users/${id}/caps/status`)).body
    expect(data).toMatchObject([{ percentage_used: { requests: percentage }, is_exceeded: percentage === 100 }])
  }
  delete usage.daily
})

test('the status of a user that its ledger does not know yet, or that is suspended, can be read too', async () => {
  const id = await newUser()
  expect(await send('GET', `/admin/users/${id}/caps/status`)).toMatchObject({
    status: 200,
    body: { version: 1, data: [] },
  })
  await send('POST', `/admin/users/${id}/suspend`)
  expect((await send('GET', `/admin/users/${id}/caps/status`)).body.status).toBe('suspended')
  faults.status = 1
  expect(await send('GET', `/admin/users/${id}/caps/status`)).toMatchObject({
    status: 503,
    body: { code: 'ledger_unavailable' },
  })
})
