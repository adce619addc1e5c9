// What few events have is found by an index, however many others there are.

import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Query } from '../../../src/local/database.ts'
import { type EventFilter, listEvents } from '../../../src/postgres/events.ts'
import { sumEvents } from '../../../src/postgres/totals.ts'
import { writeEvents } from '../../../src/postgres/usage-writer.ts'
import { openTestDatabase } from '../../support/postgres.ts'
import { usageEvent } from './usage-event.ts'

const { db, database, server, close } = await openTestDatabase()
afterAll(close)

const AT = Date.now()
const RARE = {
  id: crypto.randomUUID(),
  job_id: 'j',
  batch_id: 'b',
  session_id: 's',
  error_class: 'upstream_cut',
  overrun: true,
  price_source: 'none',
  usage_source: 'hold',
} as const
const TAGS = { team: 'search', release: 7 }

beforeAll(async () => {
  await writeEvents(db, [usageEvent({ ...RARE, metadata: TAGS, occurred_at: AT })])
  const names = Object.keys(usageEvent({})).join(', ')
  const others = sql.raw(`${names.replace(/\bid\b/, 'gen_random_uuid()')}`)
  await db.execute(sql`
    insert into usage_events (${sql.raw(names)})
    select ${others} from json_populate_recordset(null::usage_events, ${JSON.stringify([plain()])}::json), generate_series(1, 20000)`)
  await db.execute(sql`analyze usage_events`)
})

/** As a row of JSON. */
function plain() {
  const event = usageEvent({ occurred_at: AT })
  return { ...event, occurred_at: new Date(event.occurred_at), settled_at: new Date(event.settled_at) }
}

/** How Postgres finds the one event: the plan of the statement that `listEvents` sends. */
async function planOf(filter: EventFilter): Promise<string> {
  const { plan, answer } = await explained(() => listEvents(db, { limit: 50, after: null }, filter))
  expect(answer.rows).toHaveLength(1)
  return plan
}

/** With the plan of the last statement that it sends. */
async function explained<T>(ask: () => Promise<T>) {
  let asked: Query | undefined
  server.hooks.beforeQuery = async ([query]) => {
    asked = query
  }
  const answer = await ask()
  delete server.hooks.beforeQuery
  if (!asked) throw new Error('nothing was asked')
  const { rows } = await database.query({ ...asked, query: `explain ${asked.query}` })
  return { answer, plan: rows.flat().join('\n') }
}

/** What is done with the partition that they are in. */
function nodeOf(plan: string): string | undefined {
  const partition = `usage_events_${new Date(AT).toISOString().slice(0, 7).replace('-', '_')}`
  return plan.split('->').find((one) => one.includes(` on ${partition} `))
}

test.each(Object.entries(RARE))('%s', async (name, value) => {
  const node = nodeOf(await planOf({ [name]: value }))
  expect(node).toContain('Index Scan')
  // Nothing is read that is not wanted.
  expect(node).not.toContain('Filter')
})

test('metadata', async () => {
  expect(await planOf({ metadata: { team: 'search' } })).toContain('Bitmap Index Scan on usage_events_')
})

test('the sums of one window are made without sorting what they are made of', async () => {
  const sums = { filter: {}, group_by: [], group_by_metadata: [], limit: 10 }
  const { plan, answer } = await explained(() => sumEvents(db, { ...sums, starts: [0] }))
  expect(answer).toMatchObject([{ window: 0, events: 20_001 }])
  expect(plan).not.toContain('Sort')
})

test('the last page of an export reads nothing but what it shows', async () => {
  const [recorded_from, recorded_to] = [new Date('2026-02-01T00:00:00Z'), new Date('2026-02-02T00:00:00Z')]
  await db.execute(sql`update usage_events set recorded_at = ${recorded_from.toISOString()} where job_id = 'j'`)
  const node = nodeOf(await planOf({ recorded_from, recorded_to }))
  expect(node).toContain('Index Scan')
  expect(node).toContain('recorded_at_id_idx')
  expect(node).not.toContain('Filter')
})

test('those of a key are looked for among those of its user', async () => {
  const [user_id, key_id] = [crypto.randomUUID(), crypto.randomUUID()]
  await db.execute(sql`insert into users (id, name) values (${user_id}, 'Ada')`)
  await db.execute(sql`
    insert into api_keys (id, user_id, name, last_four, scopes) values (${key_id}, ${user_id}, 'key', 'abcd', '{call}')`)
  await writeEvents(db, [usageEvent({ user_id, key_id })])
  await db.execute(sql`update usage_events set user_id = gen_random_uuid() where user_id <> ${user_id}`)
  await db.execute(sql`analyze usage_events`)
  expect(await planOf({ key_id })).toContain('user_id_occurred_at_id_idx')
})

test('the newest of a key whose user has many of all events are read without the older ones', async () => {
  const [user_id, key_id] = [crypto.randomUUID(), crypto.randomUUID()]
  await db.execute(sql`insert into users (id, name) values (${user_id}, 'Ada')`)
  await db.execute(sql`
    insert into api_keys (id, user_id, name, last_four, scopes) values (${key_id}, ${user_id}, 'key', 'abcd', '{call}')`)
  await db.execute(sql`
    with most as (select id from usage_events order by id limit 5000)
    update usage_events set user_id = ${user_id}, key_id = ${key_id} where id in (select id from most)`)
  await db.execute(sql`analyze usage_events`)
  const { plan } = await explained(() => listEvents(db, { limit: 10, after: null }, { key_id }))
  expect(plan).not.toContain('Sort Key')
})

test('those of a key that a restore lost are found, too', async () => {
  const [lost, other] = [crypto.randomUUID(), crypto.randomUUID()]
  await writeEvents(db, [usageEvent({ key_id: lost }), usageEvent({ key_id: other })])
  const { rows } = await listEvents(db, { limit: 10, after: null }, { key_id: lost })
  expect(rows.map(({ key_id }) => key_id)).toEqual([lost])
})
