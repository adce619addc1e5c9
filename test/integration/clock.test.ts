// What comes with time: a key ends when it was told to, and what was due by a clock that was set back is due no later than
// it was meant to be.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { openStage, type Stage } from '../chaos/stage.ts'
import { statusOf } from '../support/books.ts'
import { eventually } from '../support/gateway.ts'
import { chat, read } from '../support/held-calls.ts'

const MINUTE = 60_000

let stage: Stage
beforeAll(async () => {
  stage = await openStage()
})
afterEach(() => {
  stage.postgres.server.hooks.beforeQuery = async () => undefined
})
afterAll(() => stage.close())

const status = async (key: string) => (await read(chat(stage, key))).status
const newKey = (path: string, body: object) => stage.admin.call<{ id: string; key: string }>('POST', path, body)

test('a rotated key with grace: both until it is over, then the new one alone', async () => {
  await stage.moveClock(0)
  const { id } = await stage.admin.user()
  const keys = `/admin/users/${id}/keys`
  const old = await newKey(keys, { name: 'old' })
  const rotated = await newKey(`${keys}/${old.id}/rotate`, { grace_seconds: 3_600 })
  expect([await status(old.key), await status(rotated.key)]).toEqual([200, 200])
  await stage.moveClock(60 * MINUTE)
  expect([await status(old.key), await status(rotated.key)]).toEqual([401, 200])
})

test('a key that expires, without anybody doing anything', async () => {
  await stage.moveClock(0)
  const { id } = await stage.admin.user()
  const expires_at = new Date(Date.now() + 60 * MINUTE).toISOString()
  const { key } = await newKey(`/admin/users/${id}/keys`, { name: 'short', expires_at })
  expect(await status(key)).toBe(200)
  await stage.moveClock(60 * MINUTE)
  const last = await read(chat(stage, key))
  expect([last.status, JSON.parse(last.body).error.message]).toEqual([401, expect.stringContaining(expires_at)])
})

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
  expect(await eventually(limit, (now) => now === 5)).toBe(5)
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
