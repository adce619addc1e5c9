// Postgres is not on the hot path: it may be down, slow, refuse, or lose answers. Calls go on, caps hold, and events
// arrive in order, once.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Query } from '../../src/local/database.ts'
import { checkBooks, eventRowsOf, statusOf } from '../support/books.ts'
import { ADMIN_TOKEN, eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { type Answered, chat, holdAnswers, idsOf, message, read, times } from '../support/held-calls.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterEach(() => {
  const { hooks } = gateway.postgres.server
  delete hooks.beforeQuery
  delete hooks.afterQuery
})
afterAll(() => gateway.close())

const userWithCap = (requests: number) => gateway.admin.user([{ cap_type: 'total', limits: { requests } }])

async function oneAfterAnother(count: number, call: () => Promise<Response>): Promise<Answered[]> {
  const answers: Answered[] = []
  for (let made = 0; made < count; made++) answers.push(await read(call()))
  return answers
}

interface Inserted {
  id: string
  user_id: string
}

/** The events that queries insert, in their order. */
const insertedBy = (queries: Query[]): Inserted[] =>
  queries.flatMap(({ query, params }) =>
    query.startsWith('insert into usage_events') ? JSON.parse(params[0] ?? '[]') : [],
  )
const idsOfUser = (queries: Query[], userId: string): string[] =>
  insertedBy(queries).flatMap(({ id, user_id }) => (user_id === userId ? id : []))

/** Ids of a user's events in the order in which Postgres first had them. */
function watchArrivals(userId: string): Set<string> {
  const arrived = new Set<string>()
  gateway.postgres.server.hooks.afterQuery = async (queries) => {
    for (const id of idsOfUser(queries, userId)) arrived.add(id)
  }
  return arrived
}

const untilArrived = (userId: string, count: number) =>
  eventually(
    () => eventRowsOf(gateway, [userId]),
    (events) => events.length >= count,
  )

describe('while Postgres is down', () => {
  test('calls go on and caps hold; all events arrive in order when it is back', async () => {
    const { id, key } = await userWithCap(20)
    const arrivals = watchArrivals(id)
    gateway.postgres.server.pause()
    const answers = await oneAfterAnother(21, () => chat(gateway, key))
    expect(answers.map(({ status }) => status)).toEqual([...times(20, () => 200), 429])
    expect((await statusOf(gateway, id)).outbox).toEqual({ waiting: 20, rejected: 0 })
    gateway.postgres.server.resume()

    await untilArrived(id, 20)
    const admitted = idsOf(answers.slice(0, 20))
    await checkBooks(gateway, [id], admitted)
    expect([...arrivals]).toEqual(admitted)
  })

  test('a restart loses no event that waits', async () => {
    const { id, key } = await userWithCap(10)
    gateway.postgres.server.pause()
    const answers = await oneAfterAnother(5, () => message(gateway, key))
    await eventually(
      () => statusOf(gateway, id),
      ({ outbox }) => outbox.waiting === 5,
    )
    await gateway.restart()
    const more = await oneAfterAnother(6, () => chat(gateway, key))
    expect(more.map(({ status }) => status)).toEqual([...times(5, () => 200), 429])
    gateway.postgres.server.resume()

    await untilArrived(id, 10)
    await checkBooks(gateway, [id], idsOf([...answers, ...more.slice(0, 5)]))
  })

  test('usage is still told by the ledger, and what only Postgres knows is a 503 problem document', async () => {
    const { id, key } = await userWithCap(10)
    const ask = (method: string, path: string, token = ADMIN_TOKEN, body?: object) =>
      fetch(gateway.url + path, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }),
      })
    const create = (path: string) => ask('POST', path, ADMIN_TOKEN, { name: 'somebody' })
    gateway.postgres.server.pause()
    try {
      const refusals = await Promise.all([
        ask('GET', '/admin/users'),
        create('/admin/users'),
        ask('GET', `/admin/users/${id}/caps`),
        create(`/admin/users/${id}/keys`),
        ask('POST', `/admin/users/${id}/suspend`),
        ask('DELETE', `/admin/users/${id}`),
        ask('GET', '/admin/default-caps'),
        ask('GET', '/usage/caps', key),
        ask('GET', '/usage/events', key),
      ])
      for (const response of refusals) {
        expect(response.status, response.url).toBe(503)
        expect(response.headers.get('content-type')).toBe('application/problem+json')
        expect(await response.json()).toMatchObject({ code: 'database_unavailable', status: 503 })
      }
      const told = await Promise.all([
        ask('GET', `/admin/users/${id}/caps/status`),
        ask('GET', '/usage/caps/status', key),
      ])
      expect(told.map(({ status }) => status)).toEqual([200, 200])
      expect((await read(chat(gateway, key))).status).toBe(200)
    } finally {
      gateway.postgres.server.resume()
    }
    await checkBooks(gateway, [id])
  })
})

test('what a busy ledger settles is in Postgres after a moment, not only when the alarm rings', async () => {
  const { id, key } = await userWithCap(10)
  const answers = await oneAfterAnother(5, () => chat(gateway, key))
  const events = await eventually(
    () => eventRowsOf(gateway, [id]),
    (found) => found.length === 5,
    8_000,
  )
  expect(events.map((event) => event.id).toSorted()).toEqual(idsOf(answers).toSorted())
})

describe('while Postgres misbehaves', () => {
  test('longer than its last call waits: the alarm alone tries again until the event is in', async () => {
    const { id, key } = await userWithCap(10)
    let tried = 0
    gateway.postgres.server.hooks.beforeQuery = async (queries) => {
      if (idsOfUser(queries, id).length > 0 && tried++ < 3) throw new Error('a wire broke')
    }
    const answer = await read(chat(gateway, key))
    const [event] = await eventually(
      () => eventRowsOf(gateway, [id]),
      (found) => found.length > 0,
      40_000,
    )
    expect([[event?.id], tried]).toEqual([idsOf([answer]), 4])
  })

  test('slow: no call waits for it', async () => {
    const { id, key } = await userWithCap(100)
    const { promise: fast, resolve: speedUp } = Promise.withResolvers<void>()
    gateway.postgres.server.hooks.beforeQuery = () => fast
    const answers = await Promise.all(times(30, () => read(chat(gateway, key))))
    expect(answers.map(({ status }) => status)).toEqual(times(30, () => 200))
    const { outbox } = await eventually(
      () => statusOf(gateway, id),
      ({ outbox }) => outbox.waiting === 30,
    )
    expect(outbox).toEqual({ waiting: 30, rejected: 0 })
    speedUp()
    await checkBooks(gateway, [id], idsOf(answers))
  })

  test.each([
    ['drops the connection before it has done anything', 'beforeQuery'],
    ['drops the connection after it has committed', 'afterQuery'],
  ] as const)('%s: each event arrives once, in order', async (_, hook) => {
    const { id, key } = await userWithCap(100)
    let dropped = 0
    const tried: string[][] = []
    gateway.postgres.server.hooks[hook] = async (queries) => {
      const ids = idsOfUser(queries, id)
      if (ids.length > 0) tried.push(ids)
      if (ids.length > 0 && dropped++ < 2) throw new Error('a wire broke')
    }
    const answers = await oneAfterAnother(10, () => chat(gateway, key))
    await untilArrived(id, 10)
    const { events } = await checkBooks(gateway, [id], idsOf(answers))
    expect(dropped).toBeGreaterThan(2)
    expect(events.map((event) => event.revision)).toEqual(times(10, () => 0))
    // The same events again, until they are in, then those behind them.
    expect(tried[1]?.slice(0, tried[0]?.length)).toEqual(tried[0])
    expect([...new Set(tried.flat())]).toEqual(idsOf(answers))
  })

  test('refuses everything for a while (a table that is not there): nothing is set aside, all arrive', async () => {
    const { id, key } = await userWithCap(100)
    await sql('alter table usage_events rename to usage_events_elsewhere')
    const answers = await oneAfterAnother(5, () => chat(gateway, key))
    await eventually(
      () => statusOf(gateway, id),
      ({ outbox }) => outbox.waiting === 5,
    )
    await sql('alter table usage_events_elsewhere rename to usage_events')
    await untilArrived(id, 5)
    await checkBooks(gateway, [id], idsOf(answers))
  })

  test('refuses one event: it is set aside where the operator sees it, and blocks nothing', async () => {
    const { id, key } = await userWithCap(100)
    await sql('alter table usage_events alter column session_id type varchar(8)')
    gateway.postgres.server.pause()
    const answers: Answered[] = []
    for (const index of times(12, (at) => at)) {
      const session = [3, 7].includes(index) ? 'too-long-for-it' : 'fits'
      answers.push(await read(chat(gateway, key, { headers: { 'x-tollgate-session-id': session } })))
    }
    const arrivals = watchArrivals(id)
    gateway.postgres.server.resume()

    const { outbox, data } = await eventually(
      () => statusOf(gateway, id),
      (status) => status.outbox.waiting === 0,
    )
    expect(outbox).toEqual({ waiting: 0, rejected: 2 })
    expect(data[0]).toMatchObject({ current_usage: { requests: 12 }, held: { requests: 0 } })
    const stored = idsOf(answers).filter((_, index) => index !== 3 && index !== 7)
    expect([...arrivals]).toEqual(stored)
    expect((await eventRowsOf(gateway, [id])).map((event) => event.id).toSorted()).toEqual(stored.toSorted())

    const after = await read(chat(gateway, key))
    await untilArrived(id, 11)
    expect((await eventRowsOf(gateway, [id])).some((event) => event.id === after.request_id)).toBe(true)
    await sql('alter table usage_events alter column session_id type text')
  })
})

const sql = (query: string) => gateway.postgres.database.query({ query, params: [] })

test("a month whose partition nobody made gets it with the month's first event", async () => {
  const { id, key } = await userWithCap(10)
  const { rows } = await sql(`select 'usage_events_' || to_char(now() at time zone 'UTC', 'YYYY_MM')`)
  await sql(`alter table usage_events detach partition ${rows[0]?.[0]}`)
  await sql(`alter table ${rows[0]?.[0]} rename to a_month_of_before`)
  const answers = await Promise.all(times(5, () => read(chat(gateway, key))))
  await checkBooks(gateway, [id], idsOf(answers))
})

describe('the events of users who are answered at once', () => {
  async function answeredAtOnce(count: number) {
    const users = await Promise.all(times(count, () => userWithCap(10)))
    const held = holdAnswers(gateway.provider)
    const before = gateway.provider.requests.length
    const answers = Promise.all(users.map(({ key }) => read(chat(gateway, key))))
    await eventually(
      async () => gateway.provider.requests.length - before,
      (asked) => asked === count,
    )
    held.open()
    return { ids: users.map(({ id }) => id), request_ids: idsOf(await answers) }
  }

  test('go to Postgres together', async () => {
    const inserts: Inserted[][] = []
    gateway.postgres.server.hooks.afterQuery = async (queries) =>
      void inserts.push(...queries.map((query) => insertedBy([query])))
    const { ids, request_ids } = await answeredAtOnce(12)
    await checkBooks(gateway, ids, request_ids)
    expect(inserts.some(({ length }) => length > 1)).toBe(true)
  })

  test('arrive where the ledger that writes for the others is evicted and its insert hangs', {
    timeout: 60_000,
  }, async () => {
    const { promise: never } = Promise.withResolvers<void>()
    const lost: Inserted[] = []
    gateway.postgres.server.hooks.beforeQuery = (queries) => {
      const inserted = insertedBy(queries)
      if (lost.length > 0 || inserted.length < 2) return Promise.resolve()
      lost.push(...inserted)
      return never
    }
    const { ids, request_ids } = await answeredAtOnce(12)
    await eventually(
      async () => lost,
      ({ length }) => length > 0,
    )
    await gateway.evict(lost[0]?.user_id ?? '')
    await eventually(
      () => Promise.all(ids.map((id) => statusOf(gateway, id))),
      (found) => found.every(({ outbox }) => outbox.waiting === 0),
      40_000,
    )
    await checkBooks(gateway, ids, request_ids)
  })
})
