// A ledger whose disk fails tells nobody what it could not write: neither its caller nor, through another ledger, Postgres.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventRowsOf, isSettled, statusOf } from '../support/books.ts'
import { bundle } from '../support/build.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { chat, holdAnswers, read, times } from '../support/held-calls.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({
    worker: bundle('test/support/failing-commit-worker.ts'),
    vars: { HOLD_TTL_SECONDS: '10' },
  })
})
afterAll(() => gateway.close())

test('an event that its ledger could not commit is not written by another: the books agree when the hold has expired', {
  timeout: 60_000,
}, async () => {
  const cap = { cap_type: 'total', limits: { requests: 10 } }
  const unlucky = await gateway.admin.user([cap])
  const others = await Promise.all(times(11, () => gateway.admin.user([cap])))
  const held = holdAnswers(gateway.provider)
  const fails = { headers: { 'x-tollgate-session-id': 'disk-fails' } }
  const calls = [...others.map(({ key }) => read(chat(gateway, key))), read(chat(gateway, unlucky.key, fails))]
  const answered = Promise.allSettled(calls)
  await eventually(
    async () => gateway.provider.requests.length,
    (asked) => asked === calls.length,
  )
  held.open()
  await answered
  const { data } = await eventually(() => statusOf(gateway, unlucky.id), isSettled, 40_000)
  const events = await eventRowsOf(gateway, [unlucky.id])
  expect(events.map(({ outcome, tokens }) => ({ outcome, tokens }))).toEqual([
    { outcome: 'expired', tokens: data[0]?.current_usage.tokens },
  ])
})
