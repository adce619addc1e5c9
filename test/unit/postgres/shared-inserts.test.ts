// Inserts that ledgers share: nothing is lost or held up because of another ledger.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { NO_FACTS } from '../../../durable-objects/ledger/no-facts.ts'
import type { UsageEvent } from '../../../durable-objects/ledger/types.ts'
import { insertsInto, together, type Write } from '../../../src/postgres/shared-inserts.ts'
import { EventRejected } from '../../../src/postgres/usage-writer.ts'
import { amount, DRAFT } from '../../support/ledger-fixtures.ts'

const END = { settled_at: 0, outcome: 'settled', usage_source: 'reported', overrun: false, revision: 0 } as const
const event = (id: string): UsageEvent => ({ ...DRAFT, ...NO_FACTS, ...amount({}), ...END, id, occurred_at: 0 })
const events = (...ids: string[]) => ids.map(event)
const many = (name: string, count: number) => events(...Array.from({ length: count }, (_, index) => `${name}${index}`))

/** The ids of each insert. */
let inserts: string[][]
let insert: (ids: string[]) => Promise<void>
let write: Write

beforeEach(() => {
  vi.useFakeTimers()
  inserts = []
  insert = async () => {}
  write = together((rows) => {
    const ids = rows.map(({ id }) => id)
    inserts.push(ids)
    return insert(ids)
  })
})
afterEach(() => vi.useRealTimers())

async function ends(writing: Promise<void>[]): Promise<string[]> {
  const settled = Promise.allSettled(writing)
  await vi.runAllTimersAsync()
  return (await settled).map((one) => (one.status === 'fulfilled' ? 'written' : String(one.reason)))
}

test('who comes within a moment is written together, who comes later by the next insert', async () => {
  const first = [write(events('a1', 'a2')), write(events('b1'))]
  await vi.advanceTimersByTimeAsync(19)
  first.push(write(events('c1')))
  await vi.advanceTimersByTimeAsync(1)
  expect(await ends([...first, write(events('d1'))])).toEqual(Array(4).fill('written'))
  expect(inserts).toEqual([['a1', 'a2', 'b1', 'c1'], ['d1']])
})

test('nobody is told that its events are written before they are', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  insert = () => promise
  const settled: string[] = []
  const writing = ['a', 'b'].map((id) => write(events(id)).then(() => settled.push(id)))
  await vi.advanceTimersByTimeAsync(1_000)
  expect([inserts, settled]).toEqual([[['a', 'b']], []])
  resolve()
  await Promise.all(writing)
  expect(settled).toEqual(['a', 'b'])
})

test('an insert holds at most 100 events, and who has 100 waits for nobody', async () => {
  const writing = [write(many('a', 60)), write(many('b', 40)), write(many('c', 1)), write(many('d', 100))]
  expect(inserts.map(({ length }) => length)).toEqual([100])
  expect(inserts[0]?.[0]).toBe('d0')
  expect(await ends(writing)).toEqual(Array(4).fill('written'))
  expect(inserts.map(({ length }) => length)).toEqual([100, 100, 1])
})

test('where Postgres refuses the data of one, all others are written', async () => {
  insert = async (ids) => {
    if (ids.includes('bad')) throw new EventRejected('22003', 'out of range')
  }
  const writing = [write(events('a')), write(events('bad')), write(events('b'))]
  expect(await ends(writing)).toEqual(['written', 'EventRejected: out of range', 'written'])
  expect(inserts).toEqual([['a', 'bad', 'b'], ['a'], ['bad'], ['b']])
})

test('who is refused alone is not written again', async () => {
  insert = async () => {
    throw new EventRejected('22003', 'out of range')
  }
  expect(await ends([write(events('bad'))])).toEqual(['EventRejected: out of range'])
  expect(inserts).toEqual([['bad']])
})

test('where Postgres is away all hear of it, and none asks on its own', async () => {
  insert = async () => {
    throw new Error('away')
  }
  expect(await ends([write(events('a')), write(events('b'))])).toEqual(['Error: away', 'Error: away'])
  expect(inserts).toEqual([['a', 'b']])
})

test('where the ledger that writes for all dies within its insert, each writes its own', async () => {
  insert = (ids) => (ids.length === 1 ? Promise.resolve() : new Promise(() => {}))
  expect(await ends([write(events('a')), write(events('b'))])).toEqual(['written', 'written'])
  expect(inserts).toEqual([['a', 'b'], ['a'], ['b']])
})

test('where it dies before its insert, the next writes for all: none waits, and no event of the dead is in the way', async () => {
  void write(events('dead'))
  vi.clearAllTimers()
  const joined = [write(events('a')), write(events('b'))]
  await vi.advanceTimersByTimeAsync(20)
  await Promise.all(joined)
  expect(inserts).toEqual([['dead', 'a', 'b']])
  expect(await ends([write(events('c')), write(events('d'))])).toEqual(['written', 'written'])
  expect(inserts).toEqual([
    ['dead', 'a', 'b'],
    ['c', 'd'],
  ])
})

test('nothing is left behind: no timer once all is written', async () => {
  await ends([write(events('a')), write(events('b'))])
  const late = write(events('c'))
  await vi.advanceTimersByTimeAsync(20)
  await late
  expect(vi.getTimerCount()).toBe(0)
})

test('ledgers share the inserts of one database only', () => {
  const at = (port: number) =>
    insertsInto({ DATABASE_URL: 'postgresql://u:p@db/name', DATABASE_HTTP_URL: `http://127.0.0.1:${port}/sql` })
  expect(at(1)).toBe(at(1))
  expect(at(1)).not.toBe(at(2))
})
