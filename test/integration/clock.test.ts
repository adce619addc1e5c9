// A clock that was set back: what was due by it is due no later than it was meant to be.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildStage, openStage, type Stage } from '../chaos/stage.ts'
import { statusOf } from '../support/books.ts'
import { eventually } from '../support/gateway.ts'
import { chat, read } from '../support/held-calls.ts'

const MINUTE = 60_000

let stage: Stage
beforeAll(async () => {
  buildStage()
  stage = await openStage()
})
afterAll(() => stage.close())

test.each([
  ['lives on', async () => {}],
  ['restarts', () => stage.restart()],
])('a ledger that %s asks Postgres again within five minutes of use', async (_, meanwhile) => {
  await stage.moveClock(24 * 60 * MINUTE)
  const { id, key } = await stage.admin.user([{ cap_type: 'total', limits: { requests: 9 } }])
  await stage.moveClock(0)
  await meanwhile()
  // A change that could not be brought into force.
  for (const query of [
    'update caps set limit_requests = 5 where user_id = $1',
    'update users set version = version + 1 where id = $1',
  ]) {
    await stage.postgres.database.query({ query, params: [id] })
  }
  await stage.moveClock(5 * MINUTE + 1_000)
  expect((await read(chat(stage, key))).status).toBe(200)
  const limit = async () => (await statusOf(stage, id)).data[0]?.limits.requests
  expect(await eventually(limit, (now) => now === 5, 5_000)).toBe(5)
})
