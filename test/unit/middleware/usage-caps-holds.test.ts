// The hold of a call that is out: while its client leaves, its ledger is away or loses its memory.

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Admission, LedgerRpc } from '../../../durable-objects/ledger/types.ts'
import { type CallEnd, usageCaps } from '../../../src/middleware/usage-caps.ts'
import { ask } from '../../support/ledger-fixtures.ts'
import {
  allow,
  app,
  background,
  begin,
  call,
  events,
  inProcess,
  ledger,
  ledgerOf,
  openLedger,
  post,
  used,
} from './guarded-app.ts'

beforeEach(begin)
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

test('a call goes on to its end when its client has left: its host is told to wait before the handler is done', async () => {
  allow({ requests: 5 })
  const { promise, resolve } = Promise.withResolvers<void>()
  app.post('/work', usageCaps({ ledgerOf }), async (c) => {
    await promise
    c.var.hold.report({ usage: { requests: 2 } })
    return c.text('done')
  })
  void call('/work')
  const [wholeCall] = background
  expect(wholeCall).toBeInstanceOf(Promise)
  resolve()
  await wholeCall
  await Promise.all(background)
  expect(events).toMatchObject([{ requests: 2, outcome: 'settled' }])
})

test('a call that its handler settles and does not wait for keeps its host until it is on record', async () => {
  allow({ tokens: 500 })
  vi.spyOn(inProcess, 'settle').mockRejectedValueOnce(new Error('the ledger restarts'))
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const end = Promise.withResolvers<CallEnd>()
  app.post('/work', usageCaps({ ledgerOf, ask: () => ({ input_tokens: 100 }) }), (c) => {
    void c.var.hold.settle(end.promise)
    return c.text('done')
  })
  await call('/work')
  end.resolve({ usage: { input_tokens: 70 } })
  await Promise.all(background)
  expect(events).toMatchObject([{ input_tokens: 70 }])
})

describe('a ledger that cannot be reached', () => {
  const lost = async () => Promise.reject(new Error('lost on the way'))

  test.each([
    ['has taken the hold all the same: it comes off', true],
    ['has heard nothing: there is no event', false],
  ])('refuses; where it %s', async (_, hears) => {
    allow({ requests: 10 })
    const reserve: LedgerRpc['reserve'] = async (ask) => {
      if (hears) ledger.reserve(ask, Date.now())
      return lost()
    }
    app.post('/work', usageCaps({ ledgerOf: () => ({ ...inProcess, reserve }), ask: 4 }), (c) => c.text('done'))
    expect((await post('/work')).status).toBe(503)
    expect(used()?.requests).toBe(0)
    const event = { outcome: 'released', requests: 0, status: 503, error_class: 'ledger_unavailable' }
    expect(events).toMatchObject(hears ? [event] : [])
  })

  test('cuts off no call that it has admitted', async () => {
    allow({ requests: 10 })
    app.post('/work', usageCaps({ ledgerOf: () => ({ ...inProcess, mayGoOn: lost }) }), async (c) =>
      c.json(await c.var.hold.mayGoOn()),
    )
    expect(await (await post('/work')).json()).toBe(true)
  })
})

describe('a call whose hold its ledger has in memory alone', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    allow({ requests: 10_000 })
    // A busy one.
    for (const id of ['a', 'b']) ledger.reserve(ask(id), Date.now())
  })

  test('is held again by a ledger that has lost it, once it is out for long', async () => {
    const { promise, resolve } = Promise.withResolvers<CallEnd>()
    let seen: unknown[] = []
    app.post('/long', usageCaps({ ledgerOf, ask: 3 }), async (c) => {
      expect(c.var.hold.admission.epoch).not.toBe(0)
      openLedger()
      allow({ requests: 10_000 })
      const before = used()?.requests
      await vi.advanceTimersByTimeAsync(30_000)
      seen = [before, used()?.requests, await c.var.hold.mayGoOn()]
      c.var.hold.report(promise)
      return c.text('done')
    })
    const answer = await call('/long')
    expect([answer.status, ...seen]).toEqual([200, 0, 3, true])
    resolve({ usage: { requests: 2 } })
    await Promise.all(background)
    expect([used()?.requests, events.length]).toEqual([2, 1])
  })

  test('is settled in its own epoch, so that it comes off what a crash left of that', async () => {
    const told: unknown[] = []
    const settle: LedgerRpc['settle'] = async (settlement) => void told.push(settlement)
    app.post('/work', usageCaps({ ledgerOf: () => ({ ...inProcess, settle }), ask: 3 }), (c) =>
      c.json(c.var.hold.admission),
    )
    const { epoch, reserved_at, hold } = (await (await post('/work')).json()) as Admission
    expect(epoch).not.toBe(0)
    expect(told).toMatchObject([{ epoch, reserved_at, hold }])
  })

  test('is told of until its ledger answers, or it has ended', async () => {
    let asked = 0
    const silent = { ...inProcess, mayGoOn: async () => Promise.reject(new Error(`silent, ${++asked}`)) }
    app.post('/long', usageCaps({ ledgerOf: () => (asked < 3 ? silent : inProcess), ask: 3 }), async (c) => {
      await vi.advanceTimersByTimeAsync(90_000)
      expect([asked, vi.getTimerCount()]).toEqual([3, 1])
      await vi.advanceTimersByTimeAsync(30_000)
      expect([asked, vi.getTimerCount()]).toEqual([3, 0])
      return c.text('done')
    })
    app.post('/short', usageCaps({ ledgerOf, ask: 3 }), (c) => c.text(`timers: ${vi.getTimerCount()}`))
    expect((await post('/long')).status).toBe(200)
    const short = await post('/short')
    expect([await short.text(), vi.getTimerCount()]).toEqual(['timers: 1', 0])
    openLedger()
    allow({ requests: 10_000 })
    expect(await (await post('/short')).text()).toBe('timers: 0')
  })
})
