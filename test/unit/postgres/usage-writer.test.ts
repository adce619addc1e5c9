import { sql } from 'drizzle-orm'
import pg from 'pg'
import { afterAll, afterEach, expect, test } from 'vitest'
import type { UsageEvent } from '../../../durable-objects/ledger/types.ts'
import { isDataError, openDatabase, sqlState } from '../../../src/postgres/client.ts'
import { listEvents } from '../../../src/postgres/events.ts'
import { EventRejected, MOST_EVENTS, writeEvents } from '../../../src/postgres/usage-writer.ts'
import { openTestDatabase } from '../../support/postgres.ts'
import { usageEvent } from './usage-event.ts'

const { db, server, close, databaseUrl } = await openTestDatabase()
afterAll(close)
afterEach(async () => {
  server.hooks.beforeQuery = async () => undefined
  server.hooks.afterQuery = async () => undefined
  await db.execute(sql`delete from usage_events`)
})

async function stored(id: string) {
  const { rows } = await listEvents(db, { limit: 100, after: null }, {})
  return rows.filter((row) => row.id === id)
}

async function countAll(): Promise<number> {
  const { rows } = await db.execute<{ count: number }>(sql`select count(*)::int as count from usage_events`)
  return rows[0]?.count ?? -1
}

test('an event comes back as it was written, every field of it', async () => {
  const event = usageEvent({
    key_id: crypto.randomUUID(),
    request_model: 'gpt-5',
    response_model: `gpt-5-'; drop table usage_events; --`,
    status: 200,
    latency_ms: 1234.4,
    time_to_first_byte_ms: 99.5,
    input_tokens: 11,
    cached_input_tokens: 2,
    cache_write_5m_tokens: 3,
    cache_write_1h_tokens: 4,
    audio_input_tokens: 5,
    image_input_tokens: 12,
    output_tokens: 6,
    reasoning_tokens: 7,
    audio_output_tokens: 8,
    image_output_tokens: 13,
    web_search_requests: 9,
    service_tier: 'default',
    cost_nano_usd: Number.MAX_SAFE_INTEGER,
    priced_as: 'openai/gpt-5',
    price_source: 'genai-prices',
    clamped_output_tokens: 10,
    error_class: 'upstream_rate_limited',
    provider_request_id: 'req_1',
    job_id: 'job "1"',
    batch_id: '\\',
    session_id: '🚦',
    metadata: { team: 'a', nested: { list: [1, null, 'x'] } },
    overrun: true,
    brings_own_key: true,
  })
  await writeEvents(db, [event])
  const { occurred_at, settled_at, ...rest } = event
  expect(await stored(event.id)).toEqual([
    {
      ...rest,
      occurred_at: new Date(occurred_at),
      settled_at: new Date(settled_at),
      latency_ms: 1234,
      time_to_first_byte_ms: 100,
      recorded_at: expect.any(Date),
    },
  ])
})

test('writing a batch again, also after its answer was lost, changes nothing', async () => {
  const events = Array.from({ length: MOST_EVENTS }, () => usageEvent({ cost_nano_usd: 7 }))
  server.hooks.afterQuery = async () => {
    server.hooks.afterQuery = async () => undefined
    throw new Error('the answer is lost')
  }
  await expect(writeEvents(db, events)).rejects.not.toBeInstanceOf(EventRejected)
  await writeEvents(db, events)
  await writeEvents(db, events.toReversed())
  const { rows } = await db.execute(
    sql`select count(*)::int as count, sum(cost_nano_usd)::int as cost from usage_events`,
  )
  expect(rows).toEqual([{ count: MOST_EVENTS, cost: 7 * MOST_EVENTS }])
})

test('a higher revision replaces a lower one, and never the other way round, in one call or in several', async () => {
  const charged = usageEvent({ outcome: 'expired', usage_source: 'hold', cost_nano_usd: 500, revision: 0 })
  const corrected: UsageEvent = {
    ...charged,
    outcome: 'settled',
    usage_source: 'reported',
    cost_nano_usd: 20,
    revision: 1,
  }
  const expected = [expect.objectContaining({ revision: 1, cost_nano_usd: 20, outcome: 'settled' })]

  await writeEvents(db, [charged])
  await writeEvents(db, [corrected])
  await writeEvents(db, [charged])
  expect(await stored(charged.id)).toEqual(expected)

  for (const order of [
    [charged, corrected],
    [corrected, charged, charged],
  ]) {
    const id = crypto.randomUUID()
    await writeEvents(
      db,
      order.map((event) => ({ ...event, id })),
    )
    expect(await stored(id)).toEqual(expected)
  }
})

test('racing batches that share events, in whatever order, wait for each other and do not deadlock', async () => {
  for (let round = 0; round < 10; round++) {
    const events = Array.from({ length: MOST_EVENTS }, () => usageEvent({}))
    const corrected = events.map((event) => ({ ...event, revision: 1 }))
    const batches = [events, events.toReversed(), corrected, corrected.toReversed()]
    await Promise.all(batches.map((batch) => writeEvents(db, batch)))
  }
  const { rows } = await db.execute(sql`select count(*)::int as count, min(revision) as revision from usage_events`)
  expect(rows).toEqual([{ count: 10 * MOST_EVENTS, revision: 1 }])
})

test('two users whose provider told them one id lose none of their events, though ledgers write together', async () => {
  const id = crypto.randomUUID()
  const event = usageEvent({ id, cost_nano_usd: 1, revision: 1 })
  const other = {
    ...event,
    user_id: crypto.randomUUID(),
    occurred_at: event.occurred_at - 1,
    cost_nano_usd: 2,
    revision: 0,
  }
  await writeEvents(db, [event, other])
  expect((await stored(id)).map(({ cost_nano_usd }) => cost_nano_usd)).toEqual([1, 2])
})

test('an event of an older version, which says nothing of whose key it was, is of the gateway’s', async () => {
  const { brings_own_key: _, ...older } = usageEvent({})
  await writeEvents(db, [older])
  expect(await stored(older.id)).toMatchObject([{ brings_own_key: false }])
})

test('it is recorded when Postgres was last sent it: a commit may come through after exports have gone past it', async () => {
  const longAgo = new Date('2026-01-01T00:00:00Z')
  const event = usageEvent({ occurred_at: longAgo.getTime() })
  for (const revision of [0, 0, 1, 1]) {
    const { rows } = await db.execute<{ ms: number }>(sql`select extract(epoch from now())::float8 * 1000 as ms`)
    await writeEvents(db, [{ ...event, revision }])
    const [row] = await stored(event.id)
    expect(row?.recorded_at.getTime()).toBeGreaterThanOrEqual((rows[0]?.ms ?? 0) - 1)
    await db.execute(sql`update usage_events set recorded_at = ${longAgo.toISOString()}::timestamptz`)
  }
  await writeEvents(db, [{ ...event, revision: 0 }])
  expect(await stored(event.id)).toMatchObject([{ revision: 1, recorded_at: longAgo }])
})

test('a statement that has to wait, for a lock say, records when it came through: no export has gone past it', async () => {
  await db.execute(sql`create function wait() returns trigger language plpgsql as
    $$ begin perform pg_sleep(0.5); return null; end $$`)
  await db.execute(sql`create trigger wait before insert on usage_events for each statement execute function wait()`)
  try {
    const event = usageEvent({})
    for (const revision of [0, 1]) {
      const { rows } = await db.execute<{ ms: number }>(sql`select extract(epoch from now())::float8 * 1000 as ms`)
      await writeEvents(db, [{ ...event, revision }])
      const [row] = await stored(event.id)
      expect(row?.recorded_at.getTime()).toBeGreaterThanOrEqual((rows[0]?.ms ?? 0) + 499)
    }
  } finally {
    await db.execute(sql`drop function wait cascade`)
  }
})

test.skipIf(!process.env.TEST_DATABASE_URL)(
  'a row whose successor waits for long is not recorded behind the back of an export, though the client gave up',
  async () => {
    const { rows } = await db.execute<{ name: string; month: string; partition: string }>(sql`
      select current_database() as name, next as month, to_char(next, '"usage_events_"YYYY_MM') as partition
      from date_trunc('month', now() at time zone 'UTC' + interval '1 month') next`)
    const { name, month, partition } = rows[0] ?? { name: '', month: '', partition: '' }
    const url = new URL(process.env.TEST_DATABASE_URL ?? '')
    url.pathname = name
    const operator = new pg.Client({ connectionString: url.href })
    await operator.connect()
    try {
      await operator.query(`begin; lock table ${partition} in share mode`)
      const batch = [usageEvent({}), usageEvent({ occurred_at: Date.parse(`${month}Z`) })]
      const error = await writeEvents(db, batch).catch((thrown) => thrown)
      expect([sqlState(error), isDataError(error)]).toEqual(['55P03', false])
      await operator.query('commit')
      expect(await countAll()).toBe(0)
      await writeEvents(db, batch)
      expect(await countAll()).toBe(2)
    } finally {
      await operator.end()
    }
  },
)

test('whoever has the connection next does not inherit its patience with locks', async () => {
  await writeEvents(db, [usageEvent({})])
  const { rows } = await db.execute(sql`select current_setting('lock_timeout') as lock_timeout`)
  expect(rows).toEqual([{ lock_timeout: '0' }])
})

test('months that have no partition get one, at their borders too, also from racing writers', async () => {
  const instants = [
    '2031-02-01T00:00:00.000Z',
    '2031-02-28T23:59:59.999Z',
    '2031-03-01T00:00:00.000Z',
    '2032-12-31T23:59:59.999Z',
  ]
  const batches = Array.from({ length: 4 }, () =>
    instants.map((at) => usageEvent({ occurred_at: Date.parse(at), settled_at: Date.parse(at) })),
  )
  await Promise.all(batches.map((batch) => writeEvents(db, batch)))
  expect(await countAll()).toBe(16)
  const { rows } = await db.execute(sql`
    select tableoid::regclass::text as partition, count(*)::int as count from usage_events group by 1 order by 1`)
  expect(rows).toEqual([
    { partition: 'usage_events_2031_02', count: 8 },
    { partition: 'usage_events_2031_03', count: 4 },
    { partition: 'usage_events_2032_12', count: 4 },
  ])
})

test('a month gets its partition while somebody reads the others: a dump, a report', async () => {
  const [, { rows }] = await db.batch([
    db.execute(sql`select ensure_usage_events_partition('2041-05-06')`),
    db.execute(sql`select mode from pg_locks where relation = 'usage_events'::regclass`),
  ])
  const modes = rows.map(({ mode }) => mode)
  expect(modes).toContain('ShareUpdateExclusiveLock')
  expect(modes).not.toContain('AccessExclusiveLock')
})

test('a month gets its partition also where the search path leads to one of another Tollgate, in another schema', async () => {
  await db.execute(sql`create schema "another Tollgate"`)
  try {
    for (const [path, month] of [
      ['public, "another Tollgate"', '2043_01'],
      ['"another Tollgate", public', '2043_02'],
    ]) {
      const partition = `usage_events_${month}`
      await db.batch([
        db.execute(sql.raw(`create table "another Tollgate".${partition} (id uuid)`)),
        db.execute(sql.raw(`set local search_path to ${path}`)),
        db.execute(sql`select ensure_usage_events_partition(to_date(${month}, 'YYYY_MM')::timestamptz)`),
      ])
      const { rows } = await db.execute(sql`select inhrelid::regclass::text as partition from pg_inherits
        where inhparent = 'usage_events'::regclass and inhrelid = to_regclass(${partition})`)
      expect(rows).toEqual([{ partition }])
    }
  } finally {
    await db.execute(sql`drop schema "another Tollgate" cascade`)
  }
})

test('the migration makes the partitions of its month and the next', async () => {
  // Maybe last month: minutes ago, when the tests began.
  const { rows } = await db.execute<{ ms: number }>(sql`
    select extract(epoch from applied_at)::float8 * 1000 as ms from tollgate_migrations order by name limit 1`)
  const then = new Date(rows[0]?.ms ?? Number.NaN)
  const nextMonth = Date.UTC(then.getUTCFullYear(), then.getUTCMonth() + 1, 1)
  let queries = 0
  server.hooks.beforeQuery = async () => {
    queries += 1
  }
  await writeEvents(db, [usageEvent({ occurred_at: then.getTime() }), usageEvent({ occurred_at: nextMonth })])
  expect(queries).toBe(1)
})

test('what Postgres cannot store as text does not lose the event', async () => {
  const [high, low] = [usageEvent({ request_model: 'a\ud800' }), usageEvent({ request_model: 'a\udfff' })]
  for (const event of [high, low]) {
    await writeEvents(db, [event])
    expect(await stored(event.id)).toMatchObject([{ request_model: 'a\uFFFD' }])
  }
  const event = usageEvent({ request_model: 'a\0b\0\ud800', metadata: { 'k\0': ['\udfff'] } })
  await writeEvents(db, [event])
  expect(await stored(event.id)).toMatchObject([
    { request_model: 'a\uFFFDb\uFFFD\uFFFD', metadata: { 'k\uFFFD': ['\uFFFD'] } },
  ])
})

test.each([
  ['a number too large', { cost_nano_usd: 1e20 }, '22003'],
  ['a fraction of a token', { input_tokens: 1.5 }, '22P02'],
  ['an id that is none', { id: 'secret-value' }, '22P02'],
  ['an id of two lines', { id: 'two\nsecret-value' }, '22P02'],
  ['nothing where something must be', { provider: null as unknown as string }, '23502'],
  [
    'an id too long for its index',
    { session_id: Array.from({ length: 200 }, () => crypto.randomUUID()).join() },
    '54000',
  ],
])(
  '%s is rejected with its SQLSTATE and without its value, and the rest of the batch is not written',
  async (_, fault, state) => {
    const batch = [usageEvent({}), usageEvent({ metadata: { prompt: 'secret-value' }, ...fault })]
    const error = await writeEvents(db, batch).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(EventRejected)
    expect(error).toMatchObject({ sql_state: state, message: expect.stringContaining(state) })
    expect(error.message).not.toMatch(/secret-value|1\.5|1e\+?20|100000/)
    expect(await countAll()).toBe(0)
  },
)

test('what Postgres refuses once its month has a partition is rejected, too: it must block nothing behind it', async () => {
  const occurred_at = Date.UTC(2033, 4, 1)
  const batch = [usageEvent({ occurred_at, provider: null as unknown as string })]
  const error = await writeEvents(db, batch).catch((thrown) => thrown)
  expect(error).toBeInstanceOf(EventRejected)
  expect(error).toMatchObject({ sql_state: '23502' })
})

test('a database that is away, or not migrated, means try later', async () => {
  const away = openDatabase({ DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: 'http://127.0.0.1:1/sql' })
  await expect(writeEvents(away, [usageEvent({})])).rejects.not.toBeInstanceOf(EventRejected)

  await db.execute(sql`alter table usage_events rename to elsewhere`)
  try {
    await expect(writeEvents(db, [usageEvent({})])).rejects.not.toBeInstanceOf(EventRejected)
  } finally {
    await db.execute(sql`alter table elsewhere rename to usage_events`)
  }
})

test('no events need no query, and too many are a bug', async () => {
  server.hooks.beforeQuery = async () => {
    throw new Error('a query was made')
  }
  await writeEvents(db, [])
  await expect(
    writeEvents(
      db,
      Array.from({ length: MOST_EVENTS + 1 }, () => usageEvent({})),
    ),
  ).rejects.toThrow(RangeError)
})

test('an event that an older version left in an outbox, without what came since, is written', async () => {
  const { web_search_requests: _, service_tier: __, image_input_tokens: ___, ...older } = usageEvent({})
  await writeEvents(db, [older as UsageEvent])
  expect(await stored(older.id)).toMatchObject([{ web_search_requests: 0, service_tier: null, image_input_tokens: 0 }])
})
