// The outbox on node:sqlite: in order, at least once, and nothing stuck behind one bad event.

import fc from 'fast-check'
import { beforeEach, expect, test, vi } from 'vitest'
import { NO_FACTS } from '../../../durable-objects/ledger/no-facts.ts'
import type { SqlValue } from '../../../durable-objects/ledger/sql.ts'
import type { UsageEvent } from '../../../durable-objects/ledger/types.ts'
import { Outbox } from '../../../durable-objects/outbox.ts'
import { EventRejected } from '../../../src/postgres/usage-writer.ts'
import { amount, DRAFT } from '../../support/ledger-fixtures.ts'
import { type NodeSql, nodeSql } from '../../support/node-sql.ts'

const HOUR = 3_600_000

let sql: NodeSql
let now: number
let written: string[]
let write: (events: UsageEvent[]) => Promise<void>
let outbox: Outbox
let random: number

const open = () => new Outbox(sql, { write: (events) => write(events), now: () => now, random: () => random })
const deliver = async (events: UsageEvent[]) => void written.push(...events.map(({ id }) => id))
const append = (...ids: string[]) => {
  for (const id of ids) {
    const end = { settled_at: 0, outcome: 'settled', usage_source: 'reported', overrun: false, revision: 0 } as const
    outbox.append({ ...DRAFT, ...NO_FACTS, ...amount({}), ...end, id, occurred_at: 0 })
  }
}
const many = (count: number) => Array.from({ length: count }, (_, index) => `e${index}`)

beforeEach(() => {
  sql = nodeSql()
  now = HOUR * 1_000
  written = []
  random = 0
  write = deliver
  outbox = open()
})

test('events leave in order, in batches of at most 100, and once', async () => {
  const sizes: number[] = []
  write = async (events) => {
    sizes.push(events.length)
    await deliver(events)
  }
  append(...many(250))
  await Promise.all([outbox.drain(), outbox.drain()])
  expect(sizes).toEqual([100, 100, 50])
  expect(written).toEqual(many(250))
  expect(outbox.counts()).toEqual({ waiting: 0, rejected: 0 })
  expect(outbox.nextAttempt()).toBeNull()
})

test('what comes while a batch is out leaves after it, with the next drain', async () => {
  write = async (events) => {
    if (written.length === 0) append('late')
    await deliver(events)
  }
  append('early')
  await outbox.drain()
  expect(outbox.isBehind).toBe(false)
  await outbox.drain()
  expect(written).toEqual(['early', 'late'])
})

test('a drain that joins one that runs leaves nothing that waited when it was asked for', async () => {
  let joined: Promise<void> | null = null
  write = async (events) => {
    await Promise.resolve()
    if (written.length === 0) {
      append('late')
      joined = outbox.drain()
    }
    await deliver(events)
  }
  append('early')
  await outbox.drain()
  await joined
  expect(written).toEqual(['early', 'late'])
  expect(outbox.isBehind).toBe(false)
})

test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
  'a drain asked for while one ends, %i microtasks on, leaves nothing',
  async (turns) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    write = async (events) => {
      await promise
      await deliver(events)
    }
    append('early')
    const first = outbox.drain()
    resolve()
    for (let turn = 0; turn < turns; turn++) await null
    append('late')
    await Promise.all([first, outbox.drain()])
    expect(written).toEqual(['early', 'late'])
  },
)

test('it says that it is behind while Postgres is down or has refused an event, and no longer', async () => {
  write = () => Promise.reject(new Error('down'))
  append('a')
  await outbox.drain()
  expect(outbox.isBehind).toBe(true)
  now += HOUR / 2
  write = () => Promise.reject(new EventRejected('22003', 'out of range'))
  await outbox.drain()
  expect(outbox.isBehind).toBe(true)
  now += HOUR
  write = deliver
  await outbox.drain()
  expect([written, outbox.isBehind]).toEqual([['a'], false])
})

test('Postgres down: nothing is lost, and the pauses grow to five minutes', async () => {
  write = () => Promise.reject(new Error('down'))
  append('a')
  const pauses: number[] = []
  for (let i = 0; i < 12; i++) {
    await outbox.drain()
    const next = outbox.nextAttempt() ?? 0
    pauses.push(next - now)
    now = next
  }
  expect(pauses.slice(0, 3)).toEqual([500, 1_000, 2_000])
  expect(pauses.at(-1)).toBe(150_000)
  write = deliver
  await outbox.drain()
  expect(written).toEqual(['a'])
  // The next time that it is down is another one.
  write = () => Promise.reject(new Error('down'))
  append('b')
  await outbox.drain()
  expect(outbox.nextAttempt()).toBe(now + 500)
})

test('a pause is between half of its length and all of it, so that ledgers do not all come back at once', async () => {
  write = () => Promise.reject(new Error('down'))
  append('a')
  random = 0.5
  await outbox.drain()
  expect(outbox.nextAttempt()).toBe(now + 750)
})

test('a clock that is set back makes no pause longer', async () => {
  write = () => Promise.reject(new Error('down'))
  append('a')
  await outbox.drain()
  now -= 24 * HOUR
  expect(outbox.nextAttempt()).toBe(now + 500)
  await outbox.drain()
  now -= 24 * HOUR
  await outbox.drain()
  now += 500
  write = deliver
  await outbox.drain()
  expect(written).toEqual(['a'])
})

test('a clock that is set back does not put off what was refused', async () => {
  write = () => Promise.reject(new EventRejected('22003', 'out of range'))
  append('a')
  await outbox.drain()
  now -= 24 * HOUR
  expect(outbox.nextAttempt()).toBe(now + HOUR)
  now += HOUR
  write = deliver
  await outbox.drain()
  expect(written).toEqual(['a'])
})

test('a drain makes 200 writes at most, says that it is behind, and the next one goes on', async () => {
  let writes = 0
  write = async (events) => {
    writes += 1
    await deliver(events)
  }
  append(...many(20_001))
  await outbox.drain()
  expect([writes, written.length, outbox.isBehind, outbox.nextAttempt()]).toEqual([200, 20_000, true, now])
  await outbox.drain()
  expect([writes, written.length, outbox.isBehind, outbox.nextAttempt()]).toEqual([201, 20_001, false, null])
})

test('however slow Postgres is, a drain is over before its alarm is ended, and the next one goes on', async () => {
  const began = now
  write = async (events) => {
    now += 9_000
    await deliver(events)
  }
  append(...many(20_000))
  await outbox.drain()
  expect(now - began).toBeLessThan(15 * 60_000)
  expect(outbox.isBehind).toBe(true)
  expect(outbox.nextAttempt()).toBe(now)
  while (outbox.isBehind) await outbox.drain()
  expect(written).toEqual(many(20_000))
})

test('what is delivered leaves the table with the next write', async () => {
  append(...many(3))
  await outbox.drain()
  append('next')
  expect(
    sql.all<{ event: string }>('select event from waiting_events').map(({ event }) => JSON.parse(event).id),
  ).toEqual(['next'])
})

test('while a failure asks for patience nobody is asked', async () => {
  let asked = 0
  write = () => {
    asked += 1
    return Promise.reject(new Error('down'))
  }
  append('a')
  await outbox.drain()
  await outbox.drain()
  expect(asked).toBe(1)
})

test('an event that Postgres refuses is set aside alone, and tried again after an hour', async () => {
  let bad = new Set(['e3', 'e77'])
  write = async (events) => {
    if (events.some(({ id }) => bad.has(id))) throw new EventRejected('22003', 'out of range')
    await deliver(events)
  }
  append(...many(120))
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  await outbox.drain()
  const logged = error.mock.calls.map(([line]) => JSON.parse(String(line)))
  error.mockRestore()
  expect(logged).toMatchObject([{ event_id: 'e3' }, { event_id: 'e77' }])
  expect(written).toEqual(many(120).filter((id) => !bad.has(id)))
  expect(outbox.counts()).toEqual({ waiting: 0, rejected: 2 })
  expect(outbox.nextAttempt()).toBe(now + HOUR)

  now += HOUR - 1
  await outbox.drain()
  expect(outbox.counts().rejected).toBe(2)
  now += 1
  bad = new Set(['e77'])
  await outbox.drain()
  expect(written.at(-1)).toBe('e3')
  bad = new Set()
  outbox = open()
  now += HOUR
  await outbox.drain()
  // What was delivered since the last write is sent once more.
  expect(new Set(written)).toEqual(new Set(many(120)))
  expect(outbox.counts()).toEqual({ waiting: 0, rejected: 0 })
})

test('events that stay refused hold up none behind them, and all follow at once where they are taken after all', async () => {
  let isRefusing = true
  let writes = 0
  write = async (events) => {
    writes += 1
    if (isRefusing && events.some(({ id }) => id.startsWith('bad'))) throw new EventRejected('42703', 'no column')
    await deliver(events)
  }
  const bad = Array.from({ length: 250 }, (_, index) => `bad${index}`)
  append(...bad)
  await outbox.drain()
  for (let hours = 0; hours < 3; hours++) {
    now = outbox.nextAttempt() ?? 0
    writes = 0
    append(`good${hours}`)
    await outbox.drain()
    expect(written.at(-1)).toBe(`good${hours}`)
    expect(writes).toBeLessThan(50)
    expect(outbox.counts()).toEqual({ waiting: 0, rejected: 250 })
    expect(outbox.nextAttempt()).toBe(now + HOUR)
  }
  isRefusing = false
  now += HOUR
  for (let drains = 0; outbox.nextAttempt() !== null && drains < 30; drains++) {
    expect(outbox.nextAttempt()).toBe(now)
    await outbox.drain()
  }
  expect(outbox.counts()).toEqual({ waiting: 0, rejected: 0 })
  expect(written.filter((id) => id.startsWith('bad')).toSorted()).toEqual(bad.toSorted())
})

test('what was set aside is tried again once an hour, however often its ledger leaves memory meanwhile', async () => {
  write = () => Promise.reject(new EventRejected('22003', 'out of range'))
  append('bad')
  await outbox.drain()
  let tries = 0
  write = async (events) => {
    if (events.some(({ id }) => id === 'bad')) {
      tries += 1
      throw new EventRejected('22003', 'out of range')
    }
    await deliver(events)
  }
  const until = now + 2 * HOUR
  for (let call = 0; now < until; call++) {
    now += HOUR / 60
    outbox = open()
    append(`good${call}`)
    await outbox.drain()
    expect(written.at(-1)).toBe(`good${call}`)
    outbox.forgetDelivered()
  }
  // Each hour once with the new event of that moment, and once alone.
  expect(tries).toBe(4)
  expect(outbox.counts().rejected).toBe(1)
})

test('events that stay refused are tried again in turn, so that none waits behind them for ever', async () => {
  const bad = new Set(many(25))
  write = async (events) => {
    if (events.some(({ id }) => bad.has(id))) throw new EventRejected('22003', 'out of range')
    await deliver(events)
  }
  append(...bad)
  await outbox.drain()
  const drainHourly = async (hours: number) => {
    for (let hour = 0; hour < hours; hour++) {
      now += HOUR
      await outbox.drain()
    }
  }
  bad.delete('e24')
  await drainHourly(3)
  expect(written).toEqual(['e24'])
  bad.delete('e0')
  await drainHourly(3)
  expect(written).toEqual(['e24', 'e0'])
})

test('with 10,000 events waiting and 100 set aside, when to try again is known from one of them', async () => {
  write = async (events) => {
    if (events.some(({ id }) => id.startsWith('bad'))) throw new EventRejected('22003', 'out of range')
    await deliver(events)
  }
  append(...Array.from({ length: 100 }, (_, index) => `bad${index}`))
  await outbox.drain()
  write = () => Promise.reject(new Error('down'))
  append(...many(10_000))
  await outbox.drain()
  expect(outbox.counts()).toEqual({ waiting: 10_000, rejected: 100 })

  const rows: number[] = []
  const { all } = sql
  sql.all = <Row>(statement: string, ...bindings: SqlValue[]) => {
    const found = all<Row>(statement, ...bindings)
    rows.push(found.length)
    const plan = sql.peek<{ detail: string }>(`explain query plan ${statement}`, ...bindings)
    expect(plan.map(({ detail }) => detail).join()).toMatch(/^SEARCH waiting_events USING INTEGER PRIMARY KEY/)
    return found
  }
  expect(outbox.nextAttempt()).toBe(now + 500)
  expect(rows).toEqual([1])
  sql.all = all

  write = deliver
  now += HOUR / 2
  await outbox.drain()
  expect(outbox.counts()).toEqual({ waiting: 0, rejected: 100 })
  expect(outbox.nextAttempt()).toBe(now + HOUR / 2)
})

test('a write that is undone leaves the counts as they were', () => {
  append('a')
  const undone = () =>
    sql.transaction(() => {
      append('b')
      throw new Error('undone')
    })
  expect(undone).toThrow('undone')
  expect(outbox.counts()).toEqual({ waiting: 1, rejected: 0 })
})

test('an event costs one row to write, and has no index to be written too', () => {
  append('a')
  const tables = sql.all<{ sql: string }>("select sql from sqlite_master where name not like 'sqlite_%'")
  expect(tables.map(({ sql }) => sql).join()).not.toMatch(/index|unique|autoincrement/i)
  expect(sql.all("select name from sqlite_master where name like 'sqlite_%'")).toEqual([])
})

test('what waited in the table of an earlier version waits, and what it had set aside is set aside', async () => {
  sql = nodeSql()
  sql.all('create table outbox (seq integer primary key autoincrement, event text not null, rejection text)')
  sql.all('create index outbox_waiting on outbox (seq) where rejection is null')
  sql.all('create index outbox_rejected on outbox (seq) where rejection is not null')
  const asWritten = (id: string) => JSON.stringify({ id })
  for (const id of many(250)) sql.all('insert into outbox (event) values (?)', asWritten(id))
  sql.all("update outbox set rejection = 'out of range' where seq % 2 = 0")
  outbox = open()
  expect(outbox.counts()).toEqual({ waiting: 125, rejected: 125 })
  expect(sql.all("select name from sqlite_master where name like 'outbox%'")).toEqual([])
  outbox = open()
  for (let drains = 0; outbox.nextAttempt() !== null && drains < 100; drains++) {
    now = outbox.nextAttempt() ?? now
    await outbox.drain()
  }
  expect(written.toSorted()).toEqual(many(250).toSorted())
  expect(written.slice(0, 125)).toEqual(many(250).filter((_, index) => index % 2 === 0))
})

test('what waited in the table of a version between, which had no rejections there, waits', async () => {
  sql = nodeSql()
  sql.all('create table outbox (seq integer primary key, event text not null)')
  sql.all('create table rejected_events (seq integer primary key, event text not null, rejection text not null)')
  for (const id of ['a', 'b']) sql.all('insert into outbox (event) values (?)', JSON.stringify({ id }))
  sql.all(`insert into rejected_events (event, rejection) values ('{"id":"c"}', 'out of range')`)
  outbox = open()
  expect(outbox.counts()).toEqual({ waiting: 2, rejected: 1 })
  await outbox.drain()
  expect(written.slice(0, 2)).toEqual(['a', 'b'])
  expect(sql.all("select name from sqlite_master where name = 'outbox'")).toEqual([])
})

test('a clock that is set back after a failure that was overcome holds nothing up', async () => {
  write = () => Promise.reject(new Error('down'))
  append('a')
  for (let i = 0; i < 12; i++) {
    await outbox.drain()
    now = outbox.nextAttempt() ?? now
  }
  write = deliver
  await outbox.drain()
  now -= HOUR
  append('b')
  await outbox.drain()
  expect(written).toEqual(['a', 'b'])
})

const STEP = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('append' as const), count: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('refuse' as const), share: fc.integer({ min: 1, max: 3 }) }) },
  ...(['drain', 'drain', 'drain', 'late', 'fail', 'hour', 'crash'] as const).map((step) => ({
    weight: 2,
    arbitrary: fc.record({ do: fc.constant(step) }),
  })),
)

test('whatever is refused, fails, comes meanwhile or crashes: each event is written in the end, and none is set aside', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(STEP, { maxLength: 60 }), async (steps) => {
      sql = nodeSql()
      written = []
      outbox = open()
      let made = 0
      const appendNext = (count: number) => append(...Array.from({ length: count }, () => `e${made++}`))
      let isFailing = false
      let comesMeanwhile = false
      let refused = (_id: string) => false
      write = async (events) => {
        await null
        if (comesMeanwhile) appendNext(1)
        comesMeanwhile = false
        if (isFailing) throw new Error('down')
        if (events.some(({ id }) => refused(id))) throw new EventRejected('22003', 'out of range')
        await deliver(events)
      }
      for (const step of steps) {
        if (step.do === 'append') appendNext(step.count)
        else if (step.do === 'refuse') refused = (id) => Number(id.slice(1)) % step.share === 0
        else if (step.do === 'late') comesMeanwhile = true
        else if (step.do === 'fail') isFailing = !isFailing
        else if (step.do === 'hour') now += HOUR
        else if (step.do === 'crash') outbox = open()
        else await outbox.drain()
      }
      refused = () => false
      isFailing = false
      for (let drains = 0; outbox.nextAttempt() !== null && drains < 100; drains++) {
        now = outbox.nextAttempt() ?? now
        await outbox.drain()
      }
      expect(new Set(written)).toEqual(new Set(many(made)))
      expect(outbox.counts()).toEqual({ waiting: 0, rejected: 0 })
    }),
    { numRuns: 300 },
  )
})
