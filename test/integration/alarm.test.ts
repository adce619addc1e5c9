// When the alarm of a ledger rings again.

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { Ask, LedgerRpc } from '../../durable-objects/ledger/types.ts'
import { HANG } from '../../src/local/fake-script.ts'
import { eventRowsOf, statusOf } from '../support/books.ts'
import { bundle } from '../support/build.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { amount, ask, DRAFT, settlement } from '../support/ledger-fixtures.ts'
import type { UsageLedger } from '../support/ringing-worker.ts'

const usage = amount({ requests: 1 })
const ADMISSION = { granted_output_tokens: null, clamped: false, hold: usage, epoch: 1 }

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({ worker: bundle('test/support/ringing-worker.ts'), onLog: () => undefined })
})
afterAll(() => gateway.close())

async function newLedger() {
  const { id } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 1_000 } }])
  const ledger = (await gateway.ledgerOf(id)) as LedgerRpc & UsageLedger
  return { id, ledger, newAsk: () => ask(crypto.randomUUID(), { draft: { ...DRAFT, user_id: id } }) }
}

test('soon, as long as there is a ceiling: what a crash leaves of it begins to expire only at the restart', async () => {
  const { ledger, newAsk } = await newLedger()
  await eventually(
    async () => {
      // Calls that come fast one after the other raise a ceiling, which the first alarm of an hour takes away.
      for (let calls = 0; calls < 3; calls++) await ledger.reserve(newAsk())
      await ledger.ring()
      return ledger.ringsIn()
    },
    (ms) => ms !== null && ms <= 8_000,
    10_000,
  )
})

test.each<[string, number, (ledger: LedgerRpc, ask: Ask) => Promise<unknown>]>([
  ['a hold is written', 0, (ledger, ask) => ledger.reserve(ask)],
  ['a hold is taken in memory, and written then', 3, (ledger, ask) => ledger.reserve(ask)],
  ['a hold is told again', 0, (ledger, ask) => ledger.mayGoOn({ ...ask, ...ADMISSION, reserved_at: Date.now() })],
])('soon, where %s while it rings: should the ledger die, what is left is done then', async (_, calls, take) => {
  const { id, ledger, newAsk } = await newLedger()
  const { server } = gateway.postgres
  const isBusy = Promise.withResolvers<void>()
  const mayGoOn = Promise.withResolvers<void>()
  server.hooks.beforeQuery = async (queries) => {
    if (!queries.some(({ query }) => query.startsWith('insert into usage_events'))) return
    isBusy.resolve()
    await mayGoOn.promise
  }
  onTestFinished(() => {
    delete server.hooks.beforeQuery
    mayGoOn.resolve()
  })
  // The first of an hour takes a ceiling away.
  await ledger.ring()
  for (let call = 0; call < calls; call++) await ledger.reserve(newAsk())
  const { request_id, draft } = newAsk()
  await ledger.settle(settlement(request_id, Date.now(), { draft, usage }))
  const rung = ledger.ring()
  await isBusy.promise
  await take(ledger, newAsk())
  const ms = await eventually(
    () => ledger.ringsIn(),
    (ms) => ms !== null,
  )
  expect(ms).toBeLessThanOrEqual(8_000)
  mayGoOn.resolve()
  await rung
  await eventually(
    () => eventRowsOf(gateway, [id]),
    ({ length }) => length === 1,
  )
})

test('not an hour later, where it asks a provider and Postgres has refused an event: should the ledger die, its holds end soon', async () => {
  const { id, ledger, newAsk } = await newLedger()
  onTestFinished(() => {
    gateway.provider.reply = undefined
  })
  gateway.provider.reply = ({ path }) => (path.endsWith('/batch_1') ? { steps: [HANG] } : undefined)
  const draft = { ...newAsk().draft, operation: 'batches_create' }
  const settle = (more: object) => ledger.settle(settlement(crypto.randomUUID(), Date.now(), { usage, draft, ...more }))
  await settle({ draft: { ...draft, key_id: 'no UUID' } })
  const expiring = crypto.randomUUID()
  await settle({ continues: { request_id: expiring, for_ms: 1_000, provider_id: 'batch_1' } })
  // So that the alarm has nothing to write, and only asks.
  await eventually(
    async () => ({ ...(await statusOf(gateway, id)).outbox, events: await eventRowsOf(gateway, [id]) }),
    ({ rejected, events }) => rejected === 1 && events.length === 1,
  )
  await ledger.mayGoOn({ ...newAsk(), request_id: expiring, ...ADMISSION, reserved_at: Date.now() })
  await eventually(
    async () => gateway.provider.requests,
    ({ length }) => length === 1,
  )
  expect((await ledger.ringsIn()) ?? 0).toBeLessThanOrEqual(8_000)
})

test('not at once where the disk is full, as that would never end; the hold ends when there is room again', async () => {
  const { id, ledger, newAsk } = await newLedger()
  await ledger.fillDisk()
  // Its time was up long ago.
  const hold = amount({ requests: 1, input_tokens: 7 })
  await ledger.mayGoOn({ ...newAsk(), ...ADMISSION, hold, reserved_at: Date.now() - 3_600_000 })
  await eventually(
    () => ledger.ringsIn(),
    (ms) => ms !== null && ms > 5_000,
    10_000,
  )
  await ledger.emptyDisk()
  await ledger.ring()
  const events = await eventually(
    () => eventRowsOf(gateway, [id]),
    ({ length }) => length === 1,
  )
  expect(events).toMatchObject([{ outcome: 'expired', ...hold }])
})
