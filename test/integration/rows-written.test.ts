// What a call writes. Rows that are written, those of indexes too, are most of what a Durable Object costs.

import { dirname } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundle } from '../support/build.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { chat, read } from '../support/held-calls.ts'

/** The hold and its place by expiry, its end, the usage, the event. */
const ROWS_OF_LONE_CALL = 5
/** Its end, the usage, the event; that it is delivered is written with a later one. */
const ROWS_OF_ONE_OF_MANY = 3

let gateway: Gateway
beforeAll(async () => {
  bundle('dist/counting', 'test/support/counting-worker.ts')
  const root = dirname(dirname(import.meta.dirname))
  gateway = await startGateway({ worker: `${root}/dist/counting/counting-worker.js` })
})
afterAll(() => gateway.close())

const rowsWritten = async (): Promise<number> => (await fetch(`${gateway.url}/rows-written`)).json()

test('a call by itself writes five rows, one that comes soon after another three', async () => {
  const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 100, tokens: 1e9 } }])
  const rowsOfCall = async () => {
    await rowsWritten()
    await read(chat(gateway, key))
    return rowsWritten()
  }
  expect(await rowsOfCall()).toBe(ROWS_OF_LONE_CALL)
  const rows: number[] = []
  for (let call = 0; call < 50; call++) rows.push(await rowsOfCall())
  // Some raise the ceiling, some write that others are delivered, a slow one its hold.
  expect(Math.min(...rows)).toBe(ROWS_OF_ONE_OF_MANY)
})
