// A clock that was set back: what was due by it is due no later than it was meant to be.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
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
afterEach(() => {
  stage.postgres.server.hooks.beforeQuery = async () => undefined
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

test.each([
  ['answers', async () => {}],
  ['is down', () => Promise.reject(new Error('down'))],
])('a stale ledger asks once and not with every call, whether Postgres %s', async (_, answer) => {
  await stage.moveClock(0)
  const { id, key } = await stage.admin.user([{ cap_type: 'total', limits: { requests: 99 } }])
  await stage.moveClock(5 * MINUTE + 1_000)
  let asked = 0
  stage.postgres.server.hooks.beforeQuery = async (queries) => {
    if (!queries.some(({ params }) => params.length === 1 && params[0] === id)) return
    asked += 1
    await answer()
  }
  for (let call = 0; call < 10; call++) expect((await read(chat(stage, key))).status).toBe(200)
  expect(
    await eventually(
      async () => asked,
      (times) => times > 0,
    ),
  ).toBe(1)
})
