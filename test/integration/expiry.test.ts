// Calls that never come back, or come back late: their holds end through the alarm, nothing is lost or counted twice.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { checkBooks, type EventRow, eventRowsOf, nano, statusOf } from '../support/books.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { chat, holdAnswers, message, read, times } from '../support/held-calls.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({ vars: { HOLD_TTL_SECONDS: '1' } })
})
afterEach(() => {
  gateway.provider.reply = undefined
})
afterAll(() => gateway.close())

const untilEvent = (userId: string, wanted: (event: EventRow) => boolean) =>
  eventually(
    () => eventRowsOf(gateway, [userId]),
    ([event]) => event !== undefined && wanted(event),
  )

test('a restart in the middle of 30 streams under load loses no call, repeats none and exceeds no cap', async () => {
  const caps = [
    { cap_type: 'total', limits: { requests: 150 } },
    { cap_type: 'monthly', limits: { tokens: 1e6, cost_usd: 10 } },
  ]
  const { id, key } = await gateway.admin.user(caps)
  const gate = holdAnswers(gateway.provider)
  const openStream = () => chat(gateway, key, { body: { stream: true } })
  const first = await openStream()
  // Of one alone: on a slow machine the first have expired when the last are open.
  const held = (await statusOf(gateway, id)).data[0]?.held
  const streams = [first, ...(await Promise.all(times(29, openStream)))]
  expect(streams.map(({ status }) => status)).toEqual(times(30, () => 200))
  gateway.provider.reply = undefined

  const finished: string[] = []
  const callUntilRefused = async () => {
    for (;;) {
      const answer = await read(chat(gateway, key)).catch(() => null)
      if (answer?.status === 429) return
      if (answer?.status === 200) finished.push(answer.request_id)
    }
  }
  const load = times(5, callUntilRefused)
  await eventually(
    async () => finished.length,
    (count) => count >= 20,
  )
  await gateway.restart()
  const endings = await Promise.allSettled(streams.map((stream) => stream.text()))
  gate.open()
  await Promise.all(load)

  // Nobody asks the ledger: its alarm alone ends the holds.
  const killed = new Set(streams.map(({ headers }) => headers.get('x-tollgate-request-id')))
  const expired = await eventually(
    async () => (await eventRowsOf(gateway, [id])).filter((event) => killed.has(event.id)),
    (events) => events.length === 30,
  )
  expect(endings.every(({ status }) => status === 'rejected')).toBe(true)
  const charged = { requests: 1, tokens: held?.tokens }
  expect(expired).toEqual(
    times(30, () => expect.objectContaining({ ...charged, outcome: 'expired', usage_source: 'hold', revision: 0 })),
  )
  // What the killed ledger may have admitted in its last moment was held until now.
  await checkBooks(gateway, [id])
  await Promise.all(times(5, callUntilRefused))

  const { events, status } = await checkBooks(gateway, [id])
  expect(status.get(id)?.data.find(({ cap_type }) => cap_type === 'total')?.current_usage.requests).toBe(150)
  expect(events).toHaveLength(150)
  const recorded = new Set(events.map((event) => event.id))
  expect(finished.filter((request_id) => !recorded.has(request_id))).toEqual([])
})

test.each([
  ['JSON', chat, {}],
  ['streaming', message, { body: { stream: true } }],
] as const)(
  'a call that outlives its hold is charged the hold, then corrected when it ends: %s',
  async (_, call, options) => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 1e6, cost_usd: 1 } }])
    const gate = holdAnswers(gateway.provider)
    const running = read(call(gateway, key, options))
    const [charged] = await untilEvent(id, ({ outcome }) => outcome === 'expired')
    expect(charged).toMatchObject({ outcome: 'expired', usage_source: 'hold', revision: 0 })
    const atHold = await statusOf(gateway, id)
    expect(nano(atHold.data[0]?.current_usage ?? { requests: 0, tokens: 0, cost_cents: 0 })).toMatchObject({
      requests: 1,
      tokens: charged?.tokens,
      cost_nano_usd: charged?.cost_nano_usd,
    })

    gate.open()
    const { status, request_id } = await running
    expect(status).toBe(200)
    await untilEvent(id, ({ revision }) => revision === 1)

    const { events } = await checkBooks(gateway, [id], [request_id])
    expect(events).toMatchObject([{ outcome: 'settled', usage_source: 'reported', revision: 1 }])
    expect(events[0]?.tokens).toBeLessThan(charged?.tokens ?? 0)
    expect(events[0]?.cost_nano_usd).toBeLessThan(charged?.cost_nano_usd ?? 0)
  },
)

test('a late call whose first event still waits for Postgres arrives corrected', async () => {
  const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 1e6 } }])
  gateway.postgres.server.pause()
  const gate = holdAnswers(gateway.provider)
  const running = read(chat(gateway, key))
  await eventually(
    () => statusOf(gateway, id),
    ({ outbox }) => outbox.waiting === 1,
  )
  gate.open()
  const { request_id } = await running
  await eventually(
    () => statusOf(gateway, id),
    ({ outbox }) => outbox.waiting === 2,
  )
  gateway.postgres.server.resume()

  const { events } = await checkBooks(gateway, [id], [request_id])
  expect(events).toMatchObject([{ outcome: 'settled', usage_source: 'reported', revision: 1 }])
})

test('a hold that expires makes room in no window: what it took stays taken', async () => {
  const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 1 } }])
  const gate = holdAnswers(gateway.provider)
  const running = read(chat(gateway, key))
  await untilEvent(id, ({ outcome }) => outcome === 'expired')
  expect((await read(chat(gateway, key))).status).toBe(429)
  gate.open()
  expect((await running).status).toBe(200)
  expect((await read(chat(gateway, key))).status).toBe(429)
  const { request_id } = await running
  await untilEvent(id, ({ revision }) => revision === 1)
  await checkBooks(gateway, [id], [request_id])
})
