// A ledger that dies with events in its outbox. With the default time to live of holds: a short one has an alarm of its own,
// which would find them, too.

import { expect, onTestFinished, test } from 'vitest'
import { checkBooks, eventRowsOf } from '../support/books.ts'
import { eventually, startGateway } from '../support/gateway.ts'
import { chat, holdAnswers, read } from '../support/held-calls.ts'
import { amount, ask, DRAFT, settlement } from '../support/ledger-fixtures.ts'

const CAPS = [{ cap_type: 'total', limits: { requests: 100, tokens: 1_000_000 } }]

test('what had ended when everything died is in Postgres moments later, though nobody asks its ledger', async () => {
  const gateway = await startGateway()
  onTestFinished(() => gateway.close())
  const caller = await gateway.admin.user(CAPS)
  const concluder = await gateway.admin.user(CAPS)
  const { server } = gateway.postgres
  // Two ledgers may write together.
  const onTheirWay = new Set<string>()
  server.hooks.beforeQuery = async (queries) => {
    const inserts = queries.filter(({ query }) => query.startsWith('insert into usage_events'))
    for (const { params } of inserts) for (const { id } of JSON.parse(params[0] ?? '[]')) onTheirWay.add(id)
    if (inserts.length > 0) await new Promise(() => undefined)
  }
  const settled = await read(chat(gateway, caller.key))
  expect(settled.status).toBe(200)
  const concluded = crypto.randomUUID()
  const draft = { ...DRAFT, user_id: concluder.id }
  const ledger = await gateway.ledgerOf(concluder.id)
  await ledger.reserve(ask(concluded, { draft, input_tokens: 100 }))
  const { facts } = settlement(concluded, 0)
  const usage = amount({ requests: 1, input_tokens: 40 })
  await ledger.conclude([{ request_id: concluded, usage, usage_source: 'reported', draft, facts }])
  await eventually(
    async () => onTheirWay,
    (ids) => ids.has(settled.request_id) && ids.has(concluded),
  )
  await gateway.restart()
  delete server.hooks.beforeQuery

  const users = [caller.id, concluder.id]
  const events = await eventually(
    () => eventRowsOf(gateway, users),
    ({ length }) => length === 2,
    20_000,
  )
  expect(events.map(({ id }) => id).toSorted()).toEqual([settled.request_id, concluded].toSorted())
  await checkBooks(gateway, users, [settled.request_id, concluded])
})

test('a ledger that dies while its alarm writes events writes them moments later, though a hold that is out expires much later', async () => {
  const gateway = await startGateway({ onLog: () => undefined })
  onTestFinished(() => gateway.close())
  const { id, key } = await gateway.admin.user(CAPS)
  const held = holdAnswers(gateway.provider)
  const underWay = read(chat(gateway, key)).catch(() => null)
  await eventually(
    async () => gateway.provider.requests,
    ({ length }) => length === 1,
  )
  gateway.provider.reply = undefined
  let inserts = 0
  const { server } = gateway.postgres
  // The first is the call's own, which fails: the second is then the alarm's.
  server.hooks.beforeQuery = async (queries) => {
    if (!queries.some(({ query }) => query.startsWith('insert into usage_events'))) return
    inserts += 1
    if (inserts === 1) throw new Error('made by a test')
    await new Promise(() => undefined)
  }
  const settled = await read(chat(gateway, key))
  expect(settled.status).toBe(200)
  await eventually(
    async () => inserts,
    (seen) => seen === 2,
  )
  await gateway.restart()
  delete server.hooks.beforeQuery

  const events = await eventually(
    () => eventRowsOf(gateway, [id]),
    ({ length }) => length > 0,
    20_000,
  )
  expect(events.map((event) => event.id)).toEqual([settled.request_id])
  held.open()
  await underWay
})
