import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeEvents } from '../../../src/postgres/usage-writer.ts'
import { usageEvent } from '../postgres/usage-event.ts'
import { idsOnPages, openRest } from './rest-fixture.ts'

const { db, send, sendAs, newUser, newKey, configs, close } = await openRest()
afterAll(close)

const [ada, bob] = [await newUser(), await newUser()]
const keyOf = async (userId: string, fields?: object): Promise<string> => (await newKey(userId, fields)).body.id
const [adasKey, bobsKey] = [await keyOf(ada), await keyOf(bob)]
const asAda = { user_id: ada, key_id: adasKey }

const AT = Date.now()
const OVERRIDE = '0197a1b2-0000-7000-8000-00000000abcd'
const SQL = `x' or '1'='1`
const adasEvents = [
  usageEvent({
    user_id: ada,
    key_id: adasKey,
    occurred_at: AT,
    cost_nano_usd: 12_345_678,
    metadata: { team: 'a', n: 1 },
  }),
  usageEvent({
    user_id: ada,
    occurred_at: AT - 1_000,
    provider: 'anthropic',
    operation: 'messages',
    job_id: 'j1',
    price_source: 'none',
    status: 200,
    overrun: true,
    brings_own_key: true,
  }),
  usageEvent({
    user_id: ada,
    occurred_at: AT - 2_000,
    request_model: 'gpt-5',
    outcome: 'released',
    status: 529,
    error_class: 'upstream_overloaded',
    batch_id: 'b1',
    price_source: `override:${OVERRIDE}`,
  }),
  usageEvent({
    user_id: ada,
    occurred_at: AT - 3_000,
    response_model: 'gpt-5',
    usage_source: 'hold',
    // As a provider may say; its client saw a 502.
    status: 699,
    session_id: SQL,
  }),
]
const bobsEvents = Array.from({ length: 25 }, () =>
  usageEvent({ user_id: bob, key_id: bobsKey, occurred_at: AT - 500 }),
)
beforeAll(() => writeEvents(db, [...adasEvents, ...bobsEvents]))

const idsOf = (answer: { body: { data: { id: string }[] } }) => answer.body.data.map(({ id }) => id)
/** As Python and Go write instants, with more digits than a millisecond has. */
const justAfter = (ms: number) => new Date(ms).toISOString().replace('Z', '001Z')
const ids = (...indexes: number[]) => indexes.map((index) => adasEvents[index]?.id)

test('an event is shown whole, newest first, its cost in three units', async () => {
  const { body } = await send('GET', `/admin/usage/events?user_id=${ada}`)
  expect(idsOf({ body })).toEqual(ids(0, 1, 2, 3))
  const event = adasEvents[0]
  expect(body.data[0]).toEqual({
    ...event,
    occurred_at: new Date(AT).toISOString(),
    settled_at: new Date(AT + 5).toISOString(),
    recorded_at: expect.stringMatching(/^\d{4}-.*Z$/),
    cost_cents: 1.2345678,
    cost_usd: 0.012345678,
  })
})

describe('each filter finds its events', () => {
  test.each([
    [`id=${adasEvents[2]?.id}`, [2]],
    ['key_id=KEY', [0]],
    ['provider=anthropic', [1]],
    ['operation=messages', [1]],
    ['model=gpt-5', [2, 3]],
    ['outcome=released', [2]],
    ['usage_source=hold', [3]],
    ['status=529', [2]],
    ['status=699', [3]],
    ['status=404', []],
    ['error_class=upstream_overloaded', [2]],
    ['overrun=true', [1]],
    ['overrun=false', [0, 2, 3]],
    ['brings_own_key=true', [1]],
    ['brings_own_key=false', [0, 2, 3]],
    ['price_source=none', [1]],
    [`price_source=override:${OVERRIDE}`, [2]],
    [`price_source=override:${OVERRIDE.toUpperCase()}`, [2]],
    ['price_source=google-maps-list-prices', []],
    ['price_source=configuration', []],
    ['price_source=built-in', []],
    ['job_id=j1', [1]],
    ['batch_id=b1', [2]],
    ['metadata={"team":"a"}', [0]],
    ['metadata={"team":"a","n":1}', [0]],
    ['metadata={"team":"a","n":2}', []],
    ['metadata={"team":null}', []],
    [`metadata=${encodeURIComponent(JSON.stringify({ [SQL]: SQL }))}`, []],
    [`session_id=${encodeURIComponent(SQL)}`, [3]],
    [`job_id=${encodeURIComponent(SQL)}`, []],
    [`from=${new Date(AT - 1_000).toISOString()}`, [0, 1]],
    [`to=${new Date(AT - 1_000).toISOString()}`, [2, 3]],
    [`to=${justAfter(AT - 1_000)}`, [1, 2, 3]],
    [`from=${justAfter(AT - 1_000)}`, [0]],
    ['to=9999-12-31T23:59:59.9999Z', [0, 1, 2, 3]],
    ['from=2020-01-01T00:00:00%2B02:00&outcome=settled&provider=openai', [0, 3]],
  ])('%s', async (filter, found) => {
    const query = filter.replace('KEY', adasKey)
    expect(idsOf(await sendAs(asAda, `/usage/events?${query}`))).toEqual(ids(...found))
    expect(idsOf(await send('GET', `/admin/usage/events?user_id=${ada}&${query}`))).toEqual(ids(...found))
  })
})

test.each([
  ['id=req-1', 'id'],
  ['user_id=1', 'user_id'],
  ['outcome=lost', 'outcome'],
  ['usage_source=x', 'usage_source'],
  ['status=20', 'status'],
  ['status=2e2', 'status'],
  ['status=099', 'status'],
  ['status=1000', 'status'],
  ['overrun=1', 'overrun'],
  ['error_class=', 'error_class'],
  ['from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z', 'to'],
  ['recorded_from=2026-01-02T00:00:00Z&recorded_to=2026-01-02T00:00:00Z', 'recorded_to'],
  ['recorded_to=now', 'recorded_to'],
  ['metadata=team', 'metadata'],
  ['metadata={"\\q":1}', 'metadata'],
  ['metadata=null', 'metadata'],
  [`metadata={"team":"${'a'.repeat(2_048)}"}`, 'metadata'],
  ['metadata=["team"]', 'metadata'],
  ['metadata={"team":{"name":"a"}}', 'metadata.team'],
  ['metadata={"team":"\\u0000"}', 'metadata.team'],
  ['metadata={"__proto__":"a"}', 'metadata.__proto__'],
  ['metadata={"team":"a","team":"b"}', 'metadata.team'],
  ['brings_own_key=yes', 'brings_own_key'],
  ['price_source=nnoe', 'price_source'],
  ['price_source=None', 'price_source'],
  ['price_source=override', 'price_source'],
  ['price_source=override:1', 'price_source'],
  ['price_source=catalogue%0A', 'price_source'],
  ['from=yesterday', 'from'],
  ['from=0000-01-01T00:00:00Z', 'from'],
  ['model=%00', 'model'],
  ['job_id=', 'job_id'],
  [`job_id=${'j'.repeat(513)}`, 'job_id'],
  ['cursor=abc', 'cursor'],
  [`cursor=${btoa(`1 ${OVERRIDE} 999999999999999`).replaceAll('=', '')}`, 'cursor'],
  ['order=asc', 'order'],
])('GET /admin/usage/events?%s names the fault', async (query, field) => {
  expect(await send('GET', `/admin/usage/events?${query}`)).toMatchObject({ status: 400, body: { field } })
})

test.each(['{"team":["a"]}', '{"a\\u0000b":1}'])(
  'metadata that is there is not said to be missing: %s',
  async (metadata) => {
    const { body } = await send('GET', `/admin/usage/events?metadata=${encodeURIComponent(metadata)}`)
    expect(body).toMatchObject({ status: 400, detail: expect.stringMatching(/^metadata\..*: must be/s) })
  },
)

test('who exports from one instant of recording to the next gets each event once, however late it came', async () => {
  const instants = [0, 1, 2].map((hours) => new Date(AT + 3_600_000 * hours).toISOString())
  const [early, late] = [ids(0, 2), ids(1, 3)]
  for (const [index, part] of [early, late].entries()) {
    const list = `{${part.join()}}`
    await db.execute(
      sql`update usage_events set recorded_at = ${instants[index]}::timestamptz where id = any(${list}::uuid[])`,
    )
  }
  const exported = async (from?: string, to?: string) =>
    idsOf(await send('GET', `/admin/usage/events?user_id=${ada}&recorded_from=${from}&recorded_to=${to}`))
  expect((await exported(instants[0], instants[1])).sort()).toEqual(early.toSorted())
  expect((await exported(instants[1], instants[2])).sort()).toEqual(late.toSorted())

  const { body } = await send('GET', `/admin/usage/events?user_id=${ada}&limit=2&recorded_to=${instants[2]}`)
  expect(idsOf({ body }).sort()).toEqual(late.toSorted())

  // Page by page, newest recorded first.
  const pages = await idsOnPages(
    send,
    `/admin/usage/events?user_id=${ada}&limit=1&recorded_from=${instants[0]}&recorded_to=${instants[2]}`,
  )
  expect([pages.slice(0, 2).sort(), pages.slice(2).sort()]).toEqual([late.toSorted(), early.toSorted()])
})

test('pages are complete and without repeats under equal timestamps', async () => {
  const seen = await idsOnPages(send, '/admin/usage/events?limit=7')
  expect(seen).toHaveLength(29)
  expect([...seen].sort()).toEqual([...adasEvents, ...bobsEvents].map(({ id }) => id).sort())
})

describe('a caller', () => {
  const TOTALS = '/usage/totals?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z'

  test('reads its own caps, status and events, and nobody else reads them', async () => {
    const cap = (await send('POST', `/admin/users/${ada}/caps`, { cap_type: 'daily', limits: { tokens: 5 } })).body
    expect((await sendAs(asAda, '/usage/caps')).body).toEqual({ data: [cap] })
    const status = await sendAs(asAda, '/usage/caps/status')
    expect(status.body).toMatchObject({ time_zone: 'UTC', data: [{ id: cap.id, percentage_used: { tokens: 0 } }] })
    expect(status.body).not.toHaveProperty('outbox')

    const asBob = { user_id: bob, key_id: bobsKey }
    expect((await sendAs(asBob, '/usage/caps')).body).toEqual({ data: [] })
    expect((await sendAs(asBob, `/usage/events?key_id=${adasKey}`)).body.data).toEqual([])
    expect((await sendAs(asBob, '/usage/events')).body.data).toHaveLength(25)
    const { body } = await send('GET', '/admin/usage/events?limit=1')
    expect(idsOf(await sendAs(asBob, `/usage/events?limit=100&cursor=${body.next_cursor}`))).not.toContain(ids(1)[0])
  })

  test('cannot name another user, anywhere', async () => {
    for (const path of ['/usage/events', '/usage/caps', '/usage/caps/status'])
      expect(await sendAs(asAda, `${path}?user_id=${bob}`)).toMatchObject({ status: 400, body: { field: 'user_id' } })
  })

  test('with a revoked key, without the scope, suspended or deleted is refused on every route', async () => {
    const user_id = await newUser()
    const [revoked, callOnly] = [await keyOf(user_id), await keyOf(user_id, { scopes: ['call'] })]
    await send('DELETE', `/admin/users/${user_id}/keys/${revoked}`)
    const answersOf = (key_id: string | null) =>
      Promise.all(
        ['/usage/events', TOTALS, '/usage/caps', '/usage/caps/status'].map(
          async (path) => (await sendAs({ user_id, key_id }, path)).status,
        ),
      )
    expect(await answersOf(revoked)).toEqual([401, 401, 401, 401])
    expect(await answersOf(callOnly)).toEqual([403, 403, 403, 403])
    expect(await answersOf(null)).toEqual([200, 200, 200, 200])
    await send('POST', `/admin/users/${user_id}/suspend`)
    expect(await answersOf(null)).toEqual([403, 403, 403, 403])
    await send('DELETE', `/admin/users/${user_id}`)
    expect(new Set(await answersOf(null))).not.toContain(200)
  })

  test('that its ledger does not know yet is looked up once', async () => {
    const user_id = await newUser()
    expect((await sendAs({ user_id, key_id: null }, '/usage/caps/status')).status).toBe(200)
    expect(configs.get(user_id)?.version).toBe(1)
  })

  test('with a JWT for a new subject becomes a user with the default caps', async () => {
    await send('PUT', '/admin/default-caps/daily', { limits: { requests: 3 } })
    const caller = {
      user_id: crypto.randomUUID(),
      key_id: null,
      jwt: { issuer: 'https://id', subject: 's', name: 'S' },
    }
    expect((await sendAs(caller, '/usage/caps')).body.data).toMatchObject([{ limits: { requests: 3 } }])
    expect((await send('GET', `/admin/users/${caller.user_id}`)).body).toMatchObject({ name: 'S', subject: 's' })
  })

  test('whom nobody knows is a 401 problem', async () => {
    const answer = await sendAs({ user_id: crypto.randomUUID(), key_id: crypto.randomUUID() }, '/usage/events')
    expect(answer).toMatchObject({ status: 401, body: { code: 'unauthenticated', status: 401 } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
  })
})

test("an export has both of two users' events with one id, also where a page ends between them", async () => {
  const id = crypto.randomUUID()
  await writeEvents(db, [
    usageEvent({ id, user_id: ada, occurred_at: AT - 60_000 }),
    usageEvent({ id, user_id: bob, occurred_at: AT - 50_000 }),
  ])
  const at = '2026-03-01T00:00:00.000Z'
  await db.execute(sql`update usage_events set recorded_at = ${at}::timestamptz where id = ${id}`)
  expect(await idsOnPages(send, `/admin/usage/events?id=${id}&recorded_from=${at}&limit=1`)).toEqual([id, id])
  expect(await idsOnPages(send, `/admin/usage/events?id=${id}&limit=1`)).toEqual([id, id])
})
