// A real ledger that a crash has made forget a call: told of it again, it holds it and alone sees to its end.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Admission } from '../../durable-objects/ledger/types.ts'
import { checkBooks, eventRowsOf, statusOf } from '../support/books.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { amount, ask, settlement } from '../support/ledger-fixtures.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({ vars: { HOLD_TTL_SECONDS: '3' } })
})
afterAll(() => gateway.close())

test('a call that its ledger has lost is held again when it is told of it, and charged when it never comes back', async () => {
  const { id } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 100 } }])
  const asked = ask(crypto.randomUUID(), { draft: { ...ask('').draft, user_id: id } })
  const hold = amount({ requests: 1, input_tokens: 7 })
  const admitted: Omit<Admission, 'admitted' | 'tightest'> = {
    granted_output_tokens: null,
    clamped: false,
    hold,
    reserved_at: Date.now(),
    epoch: 1,
  }
  const ledger = await gateway.ledgerOf(id)
  for (let told = 0; told < 2; told++) expect(await ledger.mayGoOn({ ...asked, ...admitted })).toBe(true)
  expect((await statusOf(gateway, id)).data[0]?.held.requests).toBe(1)

  // Nobody asks the ledger: its alarm alone ends the hold.
  const events = await eventually(
    () => eventRowsOf(gateway, [id]),
    ({ length }) => length === 1,
  )
  expect(events).toMatchObject([{ id: asked.request_id, outcome: 'expired', ...hold }])
  await checkBooks(gateway, [id])
})

test('of two such calls the one that is over later ends by the alarm, too', async () => {
  const { id } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 100 } }])
  const ledger = await gateway.ledgerOf(id)
  const hold = amount({ requests: 1 })
  const lost = { granted_output_tokens: null, clamped: false, hold, epoch: 1 }
  const now = Date.now()
  for (const reserved_at of [now - 2_000, now]) {
    const asked = ask(crypto.randomUUID(), { draft: { ...ask('').draft, user_id: id } })
    expect(await ledger.mayGoOn({ ...asked, ...lost, reserved_at })).toBe(true)
  }
  const events = await eventually(
    () => eventRowsOf(gateway, [id]),
    ({ length }) => length === 2,
  )
  expect(events).toMatchObject([{ outcome: 'expired' }, { outcome: 'expired' }])
})

test('the alarm of an earlier life is not put off by what comes after: its hold ends when its time is up', async () => {
  const { id } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 100 } }])
  const draft = { ...ask('').draft, user_id: id }
  const [lost, other] = [crypto.randomUUID(), crypto.randomUUID()]
  const hold = amount({ requests: 1 })
  // Seconds longer than its time to live, for the restart.
  const admitted = { granted_output_tokens: null, clamped: false, hold, reserved_at: Date.now() + 3_000, epoch: 1 }
  await (await gateway.ledgerOf(id)).mayGoOn({ ...ask(lost, { draft }), ...admitted })
  await gateway.restart()
  await (await gateway.ledgerOf(id)).settle(settlement(other, Date.now(), { draft, usage: hold }))

  const events = await eventually(
    () => eventRowsOf(gateway, [id]),
    ({ length }) => length === 2,
    12_000,
  )
  expect(events.find((event) => event.id === lost)).toMatchObject({ outcome: 'expired' })
})

test('as many as are over at once end by the alarm, more than it ends in one go', async () => {
  const { id } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 1_000 } }])
  const ledger = await gateway.ledgerOf(id)
  const draft = { ...ask('').draft, user_id: id }
  const reserved_at = Date.now()
  const lost = { granted_output_tokens: null, clamped: false, hold: amount({ requests: 1 }), reserved_at, epoch: 1 }
  const ids = Array.from({ length: 250 }, () => crypto.randomUUID())
  await Promise.all(ids.map((request_id) => ledger.mayGoOn({ ...ask(request_id, { draft }), ...lost })))
  const events = await eventually(
    () => eventRowsOf(gateway, [id]),
    ({ length }) => length === ids.length,
    12_000,
  )
  expect(events).toHaveLength(ids.length)
})
