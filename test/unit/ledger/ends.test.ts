// How calls end, what they are charged, and what is forgotten of them, one promise at a time.

import { beforeEach, describe, expect, test } from 'vitest'
import { Ledger } from '../../../durable-objects/ledger/ledger.ts'
import { ENDED_CALLS_KEPT_MS } from '../../../durable-objects/ledger/reservations.ts'
import { QUARTER_HOUR_MS } from '../../../durable-objects/ledger/windows.ts'
import { admitted, amount, ask, cap, output, settlement, snapshot } from '../../support/ledger-fixtures.ts'
import type { NodeSql } from '../../support/node-sql.ts'
import { begin, configure, events, HOUR, ledger, NOON, open, sql, TTL } from './one-ledger.ts'

beforeEach(() => begin())

describe('how calls end', () => {
  test('settling twice counts once, and leaves one event', () => {
    configure(cap('daily', { requests: 5 }))
    ledger.reserve(ask('a', { input_tokens: 50 }), NOON)
    const end = settlement('a', NOON, { usage: amount({ requests: 1, input_tokens: 20 }) })
    ledger.settle([end], NOON + 1)
    ledger.settle([end], NOON + 2)
    open().settle([end], NOON + 3)
    expect(ledger.status(NOON)?.caps[0]?.current_usage).toEqual({ requests: 1, tokens: 20, cost: 0 })
    expect(events).toMatchObject([{ id: 'a', input_tokens: 20, occurred_at: NOON, settled_at: NOON + 1, revision: 0 }])
  })

  test('of two ends of one call that come together the first counts', () => {
    configure(cap('daily', { tokens: 500 }))
    ledger.reserve(ask('a', { input_tokens: 50 }), NOON)
    const ends = [20, 30].map((input_tokens) => settlement('a', NOON, { usage: amount({ requests: 1, input_tokens }) }))
    ledger.settle(ends, NOON)
    expect(ledger.status(NOON)?.caps[0]?.current_usage.tokens).toBe(20)
    expect(events).toMatchObject([{ id: 'a', input_tokens: 20 }])
  })

  test('a call that was released stays so, whatever comes after', () => {
    configure(cap('daily', { tokens: 500 }))
    ledger.reserve(ask('a', { input_tokens: 50 }), NOON)
    ledger.settle([settlement('a', NOON, { outcome: 'released' })], NOON)
    ledger.settle([settlement('a', NOON, { usage: amount({ requests: 1, input_tokens: 20 }) })], NOON)
    expect(ledger.status(NOON)?.caps[0]?.current_usage).toEqual({ requests: 0, tokens: 0, cost: 0 })
    expect(events).toMatchObject([{ id: 'a', outcome: 'released' }])
  })

  test('unknown usage is charged the hold, a release is charged nothing', () => {
    configure(cap('daily', { tokens: 500 }))
    ledger.reserve(ask('unknown', { input_tokens: 50 }), NOON)
    ledger.reserve(ask('refused', { input_tokens: 70 }), NOON)
    ledger.settle([settlement('unknown', NOON, { usage: null, usage_source: 'hold' })], NOON)
    ledger.settle([settlement('refused', NOON, { outcome: 'released' })], NOON)
    expect(ledger.status(NOON)?.caps[0]?.current_usage).toEqual({ requests: 1, tokens: 50, cost: 0 })
  })

  test('a worst case without an end is charged as far as Postgres can take it, and no number of them locks the ledger', () => {
    configure(cap('total', { requests: 2_000 }))
    const endless = { output: output(1_000_000_000, { choices: 5_000_000 }) }
    for (let call = 0; call < 1_100; call++) {
      const at = NOON + call * QUARTER_HOUR_MS
      ledger.reserve(ask(`${call}`, endless), at)
      ledger.settle([settlement(`${call}`, at, { usage_source: 'hold' })], at)
    }
    expect(Math.max(...events.map(({ cost_nano_usd }) => cost_nano_usd))).toBe(Number.MAX_SAFE_INTEGER)
    expect(open().reserve(ask('next', endless), NOON).admitted).toBe(true)
    expect(ledger.status(NOON)?.caps[0]?.current_usage.requests).toBe(1_100)
  })

  test('a hold comes off the window that it is in, whenever the one who releases it thinks that it was admitted', () => {
    configure(cap('hourly', { tokens: 100 }))
    ledger.reserve(ask('unheard', { input_tokens: 100 }), NOON)
    ledger.settle([settlement('unheard', NOON - 1, { outcome: 'released' })], NOON)
    expect(ledger.status(NOON)?.caps[0]).toMatchObject({ current_usage: { tokens: 0 }, held: { tokens: 0 } })
    expect(events).toMatchObject([{ outcome: 'released', occurred_at: NOON }])
  })

  test('a provider that bills more than its bound is counted in full and marked', () => {
    configure(cap('daily', { tokens: 100 }))
    ledger.reserve(ask('a', { input_tokens: 50 }), NOON)
    ledger.settle([settlement('a', NOON, { usage: amount({ requests: 1, input_tokens: 130 }) })], NOON)
    expect(events).toMatchObject([{ overrun: true, input_tokens: 130 }])
    expect(ledger.reserve(ask('b', { input_tokens: 1 }), NOON).admitted).toBe(false)
  })

  test.each([
    ['more money than was held', true, { cost_nano_usd: 501 }],
    ['more tokens, both kinds taken together', true, { input_tokens: 41 }],
    ['more requests', true, { requests: 2 }],
    ['more of one kind of tokens and less of the other', false, { input_tokens: 90, output_tokens: 10 }],
    ['exactly what was held', false, {}],
  ])('%s is an overrun: %s', (_, overrun, more) => {
    configure(cap('total', { requests: 10 }))
    const priced = output(60, { nano_usd_per_mtok: 0 })
    const asked = ask('a', { input_tokens: 40, input_cost_nano_usd: 500, output: priced })
    const { hold } = admitted(ledger.reserve(asked, NOON))
    ledger.settle([settlement('a', NOON, { usage: { ...hold, ...more } })], NOON)
    expect(events).toMatchObject([{ ...more, overrun }])
  })

  test('a call that never comes back is charged its hold, and corrected when it does', () => {
    configure(cap('daily', { tokens: 100 }))
    ledger.reserve(ask('a', { input_tokens: 90 }), NOON)
    expect(ledger.nextExpiry()).toBe(NOON + TTL)
    expect(ledger.expire(NOON + TTL - 1)).toBe(0)
    expect(ledger.expire(NOON + TTL)).toBe(1)
    ledger.settle([settlement('a', NOON, { usage: amount({ requests: 1, input_tokens: 30 }) })], NOON + 2 * TTL)
    expect(ledger.status(NOON)?.caps[0]?.current_usage.tokens).toBe(30)
    expect(events).toMatchObject([
      {
        outcome: 'expired',
        usage_source: 'hold',
        overrun: false,
        input_tokens: 90,
        revision: 0,
        request_model: 'gpt-4o-mini',
      },
      { outcome: 'settled', input_tokens: 30, revision: 1, overrun: false },
    ])
  })

  test('usage counts in the window in which the call was admitted', () => {
    configure(cap('hourly', { tokens: 100 }))
    const admitted = NOON + HOUR - 1
    ledger.reserve(ask('a', { input_tokens: 100 }), admitted)
    expect(ledger.reserve(ask('b', { input_tokens: 100 }), admitted + 1).admitted).toBe(true)
    ledger.settle([settlement('a', admitted, { usage: amount({ input_tokens: 100 }) })], admitted + 2)
    expect(ledger.status(admitted + 2)?.caps[0]?.current_usage.tokens).toBe(100)
    expect(ledger.status(admitted)?.caps[0]?.current_usage.tokens).toBe(100)
  })

  test('a clock that jumps ahead and back does not make a repeated settle count again', () => {
    configure(cap('total', { requests: 5 }))
    ledger.reserve(ask('a'), NOON)
    const end = settlement('a', NOON, { usage: amount({ requests: 1 }) })
    ledger.settle([end], NOON)
    ledger.prune(NOON + 400 * 24 * HOUR)
    ledger.settle([end], NOON + 1)
    expect(events).toHaveLength(1)
  })

  test('a settlement that comes again counts once, however late and however many calls came between', () => {
    configure(cap('total', { requests: 1_000_000 }))
    const end = (i: number) => settlement(`${i}`, NOON, { usage: amount({ requests: 1 }) })
    for (let i = 0; i < 1_100; i++) {
      ledger.reserve(ask(`${i}`), NOON)
      ledger.settle([end(i)], NOON)
    }
    for (const later of [NOON + ENDED_CALLS_KEPT_MS, NOON + ENDED_CALLS_KEPT_MS + 1]) {
      ledger.prune(later)
      ledger.settle([end(0)], later)
      expect(ledger.status(later)?.caps[0]?.current_usage.requests).toBe(1_100)
    }
    expect(events).toHaveLength(1_100)
  })

  test('calls and buckets that nothing asks for are forgotten; the total is not', () => {
    configure(cap('total', { requests: 1_000_000 }))
    const callEachHour = (from: number, until: number) => {
      for (let i = from; i < until; i++) {
        const at = NOON + i * HOUR
        ledger.reserve(ask(`${i}`), at)
        ledger.settle([settlement(`${i}`, at, { usage: amount({ requests: 1 }) })], at)
      }
      ledger.prune(NOON + until * HOUR)
    }
    ledger.reserve(ask('refused', { requests: 1_000_001 }), NOON)
    callEachHour(0, 3_200)
    expect(sql.all('select count(*) as rows from reservations')).toEqual([{ rows: 1_000 }])
    expect(sql.all('select count(*) as rows from usage_buckets')).toEqual([{ rows: 3_072 + 1 }])
    expect(open().status(NOON + 3_200 * HOUR)?.caps[0]?.current_usage.requests).toBe(3_200)
    callEachHour(3_200, 3_210)
    expect(sql.all('select count(*) as rows from usage_buckets')).toEqual([{ rows: 3_072 + 1 }])
    expect(open().status(NOON + 3_210 * HOUR)?.caps[0]).toMatchObject({
      current_usage: { requests: 3_210 },
      refused: 1,
    })
  })
})

const countingLooks = () => {
  let looks = 0
  const counting: NodeSql = {
    ...sql,
    all: (statement: string, ...rest: never[]) => {
      if (/delete from reservations/.test(statement)) looks += 1
      return sql.all(statement, ...rest)
    },
  }
  const live = (now: number) => new Ledger(counting, { hold_ttl_ms: TTL, emit: () => {} }, now)
  return { live, looks: () => looks }
}

test('what is forgotten is looked for once an hour, since a busy day has a million calls and an alarm each 15 seconds', () => {
  const { live, looks } = countingLooks()
  const busy = live(NOON)
  for (let at = NOON; at < NOON + 2 * HOUR; at += 15_000) busy.prune(at)
  expect(looks()).toBe(2)
  // The clock was set back.
  busy.prune(NOON - 2 * HOUR)
  expect(looks()).toBe(3)
})

test('it is once an hour, too, where each call finds its ledger out of memory', () => {
  const { live, looks } = countingLooks()
  for (let at = NOON; at < NOON + 2 * HOUR; at += 60_000) {
    const one = live(at)
    one.settle([settlement(`${at}`, at, { usage: amount({ requests: 1 }) })], at)
    one.prune(at + 8_000)
  }
  expect(looks()).toBe(2)
})

test('it is looked for, too, where each hour begins with a refusal, after which no alarm rings', () => {
  const { live, looks } = countingLooks()
  for (let at = NOON; at < NOON + 3 * HOUR; at += 30 * 60_000) {
    const refused = live(at)
    refused.configure(snapshot([cap('daily', { requests: 100 })]), at)
    expect(refused.reserve(ask(`r${at}`, { requests: 1_000 }), at).admitted).toBe(false)
    refused.writeRefusals(at)
    const one = live(at + 60_000)
    one.settle([settlement(`${at}`, at + 60_000, { usage: amount({ requests: 1 }) })], at + 60_000)
    one.prune(at + 68_000)
  }
  expect(looks()).toBe(3)
})
