// What a call costs its ledger until it is settled. On Cloudflare rows that are written, those of indexes too, are most of it,
// and then the time in which an object cannot hibernate.

import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { statusOf } from '../support/books.ts'
import { bundle } from '../support/build.ts'
import type { Cost } from '../support/counting-worker.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { chat, read } from '../support/held-calls.ts'

/** The hold, its places by id and by expiry, its end, the usage, the event. */
const ROWS_OF_LONE_CALL = 6
/** Its end and its place by id, the usage, the event; that it is delivered is written with a later one. */
const ROWS_OF_ONE_OF_MANY = 4

let worker: string
let gateway: Gateway
beforeAll(() => {
  worker = bundle('test/support/counting-worker.ts')
})
// Each has its own: ledgers of an earlier test may still come to rest.
beforeEach(async () => {
  gateway = await startGateway({ worker })
})
afterEach(() => gateway.close())

const costSoFar = async (): Promise<Cost> => (await fetch(`${gateway.url}/cost`)).json()
const createUser = () => gateway.admin.user([{ cap_type: 'daily', limits: { requests: 100, tokens: 1e9 } }])

test('a call by itself writes six rows, one that comes soon after another four', async () => {
  const { key } = await createUser()
  const rowsOfCall = async () => {
    await costSoFar()
    await read(chat(gateway, key))
    return (await costSoFar()).rows_written
  }
  expect(await rowsOfCall()).toBe(ROWS_OF_LONE_CALL)
  const rows: number[] = []
  for (let call = 0; call < 50; call++) rows.push(await rowsOfCall())
  // Some raise the ceiling, some write that others are delivered, a slow one its hold.
  expect(Math.min(...rows)).toBe(ROWS_OF_ONE_OF_MANY)
})

test('a call by itself leaves no timer, those that come soon after another have a beat', async () => {
  const { id, key } = await createUser()
  const timersOf = async (calls: number) => {
    await costSoFar()
    for (let call = 0; call < calls; call++) await read(chat(gateway, key))
    await eventually(
      () => statusOf(gateway, id),
      ({ outbox }) => outbox.waiting === 0,
    )
    return (await costSoFar()).timers
  }
  expect(await timersOf(1)).toEqual([])
  expect(await timersOf(10)).toContain(1_000)
})

test('a refusal by itself is written at once, those that come soon after another together, after a second', async () => {
  const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 0 } }])
  const costOf = async (calls: number) => {
    const before = (await statusOf(gateway, id)).data[0]?.refused ?? 0
    await costSoFar()
    for (let call = 0; call < calls; call++) expect((await read(chat(gateway, key))).status).toBe(429)
    let cost = await costSoFar()
    const timers = [...cost.timers]
    for (; cost.rows_written === 0; cost = await costSoFar()) timers.push(...cost.timers)
    expect((await statusOf(gateway, id)).data[0]?.refused).toBe(before + calls)
    return timers
  }
  expect(await costOf(1)).toEqual([0])
  const timers = await costOf(10)
  expect(timers).toContain(1_000)
  expect(timers.length).toBeLessThan(10)
})
