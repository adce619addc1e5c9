import { sql } from 'drizzle-orm'
import { afterAll, afterEach, expect, test } from 'vitest'
import { changeCap, createCap, deleteCap, putDefaultCap } from '../../../src/postgres/caps.ts'
import { isDatabaseDown, isTimeout, openDatabase, sqlState } from '../../../src/postgres/client.ts'
import { createKey, findKey, MOST_ACTIVE_KEYS, revokeKey, rotateKey } from '../../../src/postgres/keys.ts'
import { loadSnapshot } from '../../../src/postgres/snapshots.ts'
import { openSql } from '../../../src/postgres/sql.ts'
import {
  changeUser,
  createUser,
  deleteUser,
  findUser,
  missingUser,
  provisionUser,
} from '../../../src/postgres/users.ts'
import { gatewayErrorOf } from '../../../src/rest/thrown.ts'
import { openTestDatabase } from '../../support/postgres.ts'

const { db, databaseUrl, databaseHttpUrl, close } = await openTestDatabase()
afterAll(close)
afterEach(async () => {
  await db.execute(sql`delete from default_caps`)
})

async function newUser(): Promise<string> {
  const id = crypto.randomUUID()
  await createUser(db, { id, name: 'Ada', email: null, time_zone: 'Europe/Berlin' })
  return id
}

const newKey = (user_id: string, expires_at: Date | null = null) => ({
  id: crypto.randomUUID(),
  user_id,
  name: 'laptop',
  last_four: 'abcd',
  scopes: ['call' as const],
  expires_at,
})

async function versionOf(userId: string): Promise<number> {
  return (await loadSnapshot(db, userId))?.version ?? 0
}

test('a snapshot has the active caps and keys, and only those', async () => {
  const user_id = await newUser()
  const [day, week] = [crypto.randomUUID(), crypto.randomUUID()]
  await createCap(db, { id: day, user_id, cap_type: 'daily', limit_requests: 0, limit_cost_nano_usd: 9e15 })
  await createCap(db, {
    id: week,
    user_id,
    cap_type: 'weekly',
    limit_tokens: 0,
    limit_cost_nano_usd: 0,
    on_exceed: 'refuse',
  })
  await createCap(db, { id: crypto.randomUUID(), user_id, cap_type: 'total', limit_tokens: 5, is_active: false })
  const later = new Date(Date.now() + 60_000)
  const [plain, expiring, expired, revoked] = [
    newKey(user_id),
    newKey(user_id, later),
    newKey(user_id, new Date(Date.now() - 1)),
    newKey(user_id),
  ]
  for (const key of [plain, expiring, expired, revoked]) await createKey(db, key)
  await revokeKey(db, user_id, revoked.id)

  const snapshot = await loadSnapshot(db, user_id)
  expect(snapshot).toMatchObject({ version: 9, status: 'active', time_zone: 'Europe/Berlin' })
  expect(snapshot?.caps).toEqual([
    { id: day, cap_type: 'daily', limits: { requests: 0, cost: 9e15 }, on_exceed: 'clamp' },
    { id: week, cap_type: 'weekly', limits: { tokens: 0, cost: 0 }, on_exceed: 'refuse' },
  ])
  expect(new Map(snapshot?.keys.map((key) => [key.id, key]))).toEqual(
    new Map([
      [plain.id, { id: plain.id, scopes: ['call'], expires_at: null }],
      [expiring.id, { id: expiring.id, scopes: ['call'], expires_at: later.getTime() }],
    ]),
  )
  expect(await loadSnapshot(db, crypto.randomUUID())).toBeNull()
})

test('every change that a ledger must know raises the version', async () => {
  const user_id = await newUser()
  const cap = { id: crypto.randomUUID(), user_id, cap_type: 'daily' as const, limit_requests: 1 }
  const [key, successor] = [newKey(user_id), newKey(user_id)]
  let version = await versionOf(user_id)
  for (const change of [
    () => createCap(db, cap),
    () => changeCap(db, user_id, cap.id, { limit_requests: 2 }),
    () => deleteCap(db, user_id, cap.id),
    () => createKey(db, key),
    () => rotateKey(db, key.id, successor, 60),
    () => revokeKey(db, user_id, successor.id),
    () => changeUser(db, user_id, { time_zone: 'UTC' }),
    () => changeUser(db, user_id, { status: 'suspended' }),
    () => deleteUser(db, user_id),
  ]) {
    await change()
    expect(await versionOf(user_id)).toBe(++version)
  }
})

test('under racing changes each version is a state that was, and the last one has them all', async () => {
  const user_id = await newUser()
  const seen: [number, number][] = []
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      await createKey(db, newKey(user_id))
      const snapshot = await loadSnapshot(db, user_id)
      if (snapshot) seen.push([snapshot.version, snapshot.keys.length])
    }),
  )
  for (const [version, keys] of seen) expect(keys).toBe(version - 1)
  expect(await versionOf(user_id)).toBe(21)
})

test('a change of nobody, or of a deleted user, is undone as a whole', async () => {
  const nobody = crypto.randomUUID()
  const cap = (user_id: string) => createCap(db, { id: nobody, user_id, cap_type: 'daily', limit_requests: 1 })
  expect(missingUser(await cap(nobody).catch((error) => error))).toBe('unknown')
  const user_id = await newUser()
  await deleteUser(db, user_id)
  expect(missingUser(await cap(user_id).catch((error) => error))).toBe('deleted')
  expect(await versionOf(user_id)).toBe(2)
  expect((await loadSnapshot(db, user_id))?.caps).toEqual([])
})

test('what ends the keys of one user ends nobody else’s, and no key has a successor of another user', async () => {
  const [ada, bob] = [await newUser(), await newUser()]
  const [adas, bobs] = [newKey(ada), newKey(bob)]
  for (const key of [adas, bobs]) await createKey(db, key)
  for (const grace_seconds of [0, 60]) expect(await rotateKey(db, adas.id, newKey(bob), grace_seconds)).toBeNull()
  expect(await revokeKey(db, bob, adas.id)).toBe(false)
  await deleteUser(db, bob)
  expect((await findKey(db, bob, bobs.id))?.revoked_at).not.toBeNull()
  expect((await loadSnapshot(db, ada))?.keys).toEqual([{ id: adas.id, scopes: ['call'], expires_at: null }])
})

test('racing requests make no more active keys than a user may have', async () => {
  const user_id = await newUser()
  for (let made = 0; made < MOST_ACTIVE_KEYS - 3; made += 20)
    await Promise.all(
      Array.from({ length: Math.min(20, MOST_ACTIVE_KEYS - 3 - made) }, () => createKey(db, newKey(user_id))),
    )
  const racing = await Promise.all(Array.from({ length: 8 }, () => createKey(db, newKey(user_id))))
  expect(racing.filter((key) => key !== null)).toHaveLength(3)
  const [full] = (await loadSnapshot(db, user_id))?.keys ?? []
  if (!full) throw new Error('no key')
  expect(await rotateKey(db, full.id, newKey(user_id), 60)).toBeNull()
  expect((await findKey(db, user_id, full.id))?.revoked_at).toBeNull()
  expect(await rotateKey(db, full.id, newKey(user_id), 0)).not.toBeNull()
  const keys = (await loadSnapshot(db, user_id))?.keys ?? []
  expect(keys).toHaveLength(MOST_ACTIVE_KEYS)
  // One that has waited for another must see that its key has ended.
  const rotated = await Promise.all(keys.slice(0, 8).map(({ id }) => rotateKey(db, id, newKey(user_id), 0)))
  expect(rotated).not.toContain(null)
})

test('a rotated key lives until its grace or its own expiry ends, and has one successor also under a race', async () => {
  const user_id = await newUser()
  const soon = new Date(Date.now() + 30_000)
  const [key, brief] = [newKey(user_id), newKey(user_id, soon)]
  await createKey(db, key)
  await createKey(db, brief)
  await rotateKey(db, key.id, newKey(user_id), 60)
  await rotateKey(db, brief.id, newKey(user_id), 3_600)
  const expiryOf = async (id: string) =>
    (await loadSnapshot(db, user_id))?.keys.find((one) => one.id === id)?.expires_at
  const end = await expiryOf(key.id)
  expect(Math.abs(Number(end) - Date.now() - 60_000)).toBeLessThan(10_000)
  expect(await expiryOf(brief.id)).toBe(soon.getTime())
  for (const grace_seconds of [3_600, 0]) {
    expect(await rotateKey(db, key.id, newKey(user_id), grace_seconds)).toBeNull()
    expect(await expiryOf(key.id)).toBe(end)
  }
  const raced = newKey(user_id)
  await createKey(db, raced)
  const successors = await Promise.all([60, 0, 60, 0].map((grace) => rotateKey(db, raced.id, newKey(user_id), grace)))
  expect(successors.filter((one) => one !== null)).toHaveLength(1)
  await revokeKey(db, user_id, brief.id)
  expect(await rotateKey(db, brief.id, newKey(user_id), 60)).toBeNull()
})

test('racing provisions of one subject make one user with the default caps, and repeating brings no cap back', async () => {
  await putDefaultCap(db, { cap_type: 'daily', limit_requests: 10 })
  await putDefaultCap(db, { cap_type: 'total', limit_cost_nano_usd: 5, on_exceed: 'refuse', is_active: false })
  const identity = { id: crypto.randomUUID(), issuer: 'https://id.example', subject: `s'; --`, name: 'N' }
  await Promise.all(Array.from({ length: 5 }, () => provisionUser(db, identity)))
  const snapshot = await loadSnapshot(db, identity.id)
  expect(snapshot).toMatchObject({ version: 1, caps: [{ cap_type: 'daily', limits: { requests: 10 } }] })
  expect(await findUser(db, identity.id)).toMatchObject({ name: 'N', subject: `s'; --` })

  await deleteCap(db, identity.id, snapshot?.caps[0]?.id ?? '')
  await provisionUser(db, identity)
  expect((await loadSnapshot(db, identity.id))?.caps).toEqual([])
})

/** What a statement that ends with this SQLSTATE throws. */
const endedBy = (state: string) =>
  db.execute(sql.raw(`do $$ begin raise exception 'no' using errcode = '${state}'; end $$`)).catch((error) => error)

test('a statement that takes too long is told from a database that is away, and so is its answer', async () => {
  const inAMillisecond = openSql({ DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: databaseHttpUrl }, 1)
  const slow = await inAMillisecond`select pg_sleep(0.1)`.catch((error) => error)
  expect([isTimeout(slow), isDatabaseDown(slow)]).toEqual([true, true])
  // What Postgres says at the end of a `statement_timeout` that the operator set.
  for (const thrown of [slow, await endedBy('57014')]) {
    expect(gatewayErrorOf(thrown)).toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('too long'),
    })
  }
})

test('a database that answers with an error is not said not to answer', async () => {
  expect(gatewayErrorOf(await endedBy('25006'))).toEqual({
    code: 'database_unavailable',
    message: 'The database answers with an error (SQLSTATE 25006). Try again.',
  })
})

test('a timeout ends with its statement: while its timer ran on, a ledger at rest could not leave memory', async () => {
  const timeout_ms = 500
  const signals: (AbortSignal | null | undefined)[] = []
  const sql = openSql({ DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: databaseHttpUrl }, timeout_ms, (url, init) => {
    signals.push(init.signal)
    return fetch(url, init)
  })
  await sql`select 1`
  // Any timer of the statement's would ring before this one.
  await new Promise((resolve) => AbortSignal.timeout(timeout_ms).addEventListener('abort', resolve))
  expect(signals.map((signal) => signal?.aborted)).toEqual([false])
})

test('errors tell a refused value from a database that is away', async () => {
  const away = openDatabase({ DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: 'http://127.0.0.1:1/sql' })
  const unreachable = await loadSnapshot(away, crypto.randomUUID()).catch((error) => error)
  expect([sqlState(unreachable), isDatabaseDown(unreachable)]).toEqual([null, true])
  const inBatch = await deleteUser(away, crypto.randomUUID()).catch((error) => error)
  expect([sqlState(inBatch), isDatabaseDown(inBatch)]).toEqual([null, true])
  const refused = await loadSnapshot(db, 'no-uuid').catch((error) => error)
  expect([sqlState(refused), isDatabaseDown(refused)]).toEqual(['22P02', false])
  expect([unreachable, inBatch, refused].map(isTimeout)).toEqual([false, false, false])
  expect([sqlState(new Error('a bug')), isDatabaseDown(new Error('a bug'))]).toEqual([null, false])
})
