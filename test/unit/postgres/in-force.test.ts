// How a ledger comes to know what Postgres holds, over a real database and a real ledger, with reads that come late.

import { sql } from 'drizzle-orm'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { Ledger } from '../../../durable-objects/ledger/ledger.ts'
import type { LedgerOf, Snapshot } from '../../../durable-objects/ledger/types.ts'
import { bringIntoForce, loadSnapshot } from '../../../src/postgres/snapshots.ts'
import { changeUser, createUser } from '../../../src/postgres/users.ts'
import { pushSnapshot } from '../../../src/rest/in-force.ts'
import { nodeSql } from '../../support/node-sql.ts'
import { openTestDatabase } from '../../support/postgres.ts'

const { db, close } = await openTestDatabase()
afterAll(close)

let id: string
let ledger: Ledger
/** What the ledger is told from now on waits for this, once it was read. */
let delivery: Promise<void> | null
let read: () => void

const rpc = {
  configure: async (snapshot: Snapshot | null) => {
    const waited = delivery
    delivery = null
    if (waited) read()
    await waited
    return ledger.configure(snapshot, 0)
  },
}
const ledgerOf = (() => rpc) as unknown as LedgerOf

beforeEach(async () => {
  id = crypto.randomUUID()
  ledger = new Ledger(nodeSql(), { hold_ttl_ms: 60_000, emit: () => {} }, 0)
  delivery = null
  await create()
})

const create = () => createUser(db, { id, name: 'Ada', email: null, time_zone: 'UTC' })
const lose = () => db.execute(sql`delete from users where id = ${id}`)
const bring = () => bringIntoForce(db, id, rpc)
const known = () => ledger.status(0)
const inPostgres = async () => (await loadSnapshot(db, id))?.version

/** Runs it until it has read Postgres and is about to tell the ledger; then it waits. */
async function begin(run: () => Promise<unknown>): Promise<{ finish: () => Promise<unknown> }> {
  const gate = Promise.withResolvers<void>()
  const reading = Promise.withResolvers<void>()
  delivery = gate.promise
  read = reading.resolve
  const running = run()
  await reading.promise
  return {
    finish: () => {
      gate.resolve()
      return running
    },
  }
}

test('what was read before a change never replaces it, and costs it no version', async () => {
  await bring()
  const late = await begin(bring)
  await changeUser(db, id, { status: 'suspended' })
  await changeUser(db, id, { time_zone: 'Asia/Tokyo' })
  await bring()
  const version = await inPostgres()
  await late.finish()
  expect(known()).toMatchObject({ version, status: 'suspended', time_zone: 'Asia/Tokyo' })
  expect(await inPostgres()).toBe(version)
})

test('the version of a user is never lowered, however old what was read', async () => {
  await changeUser(db, id, { name: 'B' })
  await bring()
  await db.execute(sql`update users set version = 1 where id = ${id}`)
  const late = await begin(bring)
  await db.execute(sql`update users set version = 90 where id = ${id}`)
  await late.finish()
  expect(await inPostgres()).toBe(90)
  expect(known()?.version).toBe(90)
})

test('what was read before a backup was restored never replaces what is in it', async () => {
  await changeUser(db, id, { status: 'suspended' })
  const late = await begin(bring)
  await bring()
  await db.execute(sql`update users set version = 1, status = 'active' where id = ${id}`)
  await bring()
  await late.finish()
  expect(known()).toMatchObject({ version: await inPostgres(), status: 'active' })
})

test('racing changes after a restored backup: all are in force', async () => {
  for (const name of ['B', 'C', 'D', 'E']) await changeUser(db, id, { name })
  await bring()
  await db.execute(sql`update users set version = 1 where id = ${id}`)
  const zones = ['UTC', 'Asia/Tokyo', 'Europe/Berlin']
  await Promise.all(
    Array.from({ length: 12 }, async (_, i) => {
      if (i % 4 !== 3) await changeUser(db, id, { time_zone: zones[i % 3] })
      await bring()
    }),
  )
  const snapshot = await loadSnapshot(db, id)
  expect(known()).toMatchObject({ version: snapshot?.version, time_zone: snapshot?.time_zone })
})

test('a ledger that reads for itself keeps a user whom Postgres has lost, as it was', async () => {
  await changeUser(db, id, { status: 'suspended' })
  await bring()
  await lose()
  expect(await bring()).toBeNull()
  expect(known()?.status).toBe('suspended')
})

test('an admin who finds nobody has the user forgotten, but not one who has come meanwhile', async () => {
  await bring()
  await lose()
  await pushSnapshot({ db, ledgerOf }, id)
  expect(known()).toBeNull()

  const late = await begin(() => pushSnapshot({ db, ledgerOf }, id))
  await create()
  await bring()
  await changeUser(db, id, { status: 'suspended' })
  await bring()
  await late.finish()
  expect(known()?.status).toBe('suspended')
})
