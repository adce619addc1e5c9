// Why a call is refused, which cap is named and until when, and how refusals are counted, one promise at a time.

import { beforeEach, describe, expect, test } from 'vitest'
import type { Ledger } from '../../../durable-objects/ledger/ledger.ts'
import { amount, ask, cap, output, refusalOf, settlement, snapshot } from '../../support/ledger-fixtures.ts'
import { begin, configure, HOUR, ledger, NOON, open, TTL } from './one-ledger.ts'

beforeEach(() => begin())

describe('what cannot be measured', () => {
  test.each([
    ['a model', { input_cost_nano_usd: null, output: output(10, { nano_usd_per_mtok: null }) }],
    ['an input', { input_cost_nano_usd: null, output: output(10) }],
    ['an output', { output: output(10, { nano_usd_per_mtok: null }) }],
  ])('%s without a price is refused under a cost cap only', (_, asked) => {
    configure(cap('daily', { cost: 1_000 }))
    const unpriced = ask('a', asked)
    expect(refusalOf(ledger.reserve(unpriced, NOON))).toEqual({ reason: 'unpriced', cap_type: 'daily' })
    configure(cap('daily', { tokens: 1_000 }))
    expect(ledger.reserve(unpriced, NOON).admitted).toBe(true)
  })

  test.each([
    ['input', { input_tokens: null }],
    ['output', { output: output(null) }],
  ])('an unbounded %s is refused under a token cap', (part, asked) => {
    configure(cap('weekly', { tokens: 1_000 }))
    const refusal = { reason: 'unbounded', cap_type: 'weekly', limit_type: 'tokens', part }
    expect(refusalOf(ledger.reserve(ask('a', asked), NOON))).toEqual(refusal)
  })

  test('an unbounded input is named under a cost cap too: it has no price because it has no bound', () => {
    configure(cap('weekly', { cost: 1_000 }))
    const open = ask('a', { input_tokens: null, input_cost_nano_usd: null, output: output(10) })
    const refusal = { reason: 'unbounded', cap_type: 'weekly', limit_type: 'cost', part: 'input' }
    expect(refusalOf(ledger.reserve(open, NOON))).toEqual(refusal)
  })
})

describe('which cap is named', () => {
  const fill = () => ledger.reserve(ask('first', { requests: 1 }), NOON)

  test('the one that stays shut longest, until its reset', () => {
    configure(cap('hourly', { requests: 1 }), cap('monthly', { requests: 1 }), cap('daily', { requests: 1 }))
    fill()
    const reset_at = Date.UTC(2026, 6, 1)
    expect(refusalOf(ledger.reserve(ask('b'), NOON))).toMatchObject({
      reason: 'cap_exceeded',
      exceeded: { cap_type: 'monthly', limit_type: 'requests', current_usage: 1, limit: 1, reset_at },
    })
    expect(ledger.reserve(ask('b'), reset_at).admitted).toBe(true)
  })

  test('a total cap never resets', () => {
    configure(cap('monthly', { requests: 1 }), cap('total', { requests: 1 }))
    fill()
    const refusal = refusalOf(ledger.reserve(ask('b'), NOON))
    expect(refusal).toMatchObject({ exceeded: { cap_type: 'total', reset_at: null } })
  })

  test('waiting does not help a call that is larger than the limit', () => {
    configure(cap('hourly', { tokens: 10 }))
    const refusal = refusalOf(ledger.reserve(ask('b', { input_tokens: 11 }), NOON))
    expect(refusal).toMatchObject({ asked: 11, exceeded: { cap_type: 'hourly', reset_at: null } })
  })

  test.each([
    ['tokens', 60, { input_tokens: 60 }, true],
    ['tokens', 61, { input_tokens: 60 }, false],
    ['cost', 60, { input_cost_nano_usd: 60 }, true],
    ['requests', 1, { requests: 100 }, false],
  ] as const)(
    '%s: asked with %i settled while %j is in flight, it is busy: %s',
    (limit_type, settled, asked, is_busy) => {
      configure(cap('daily', { [limit_type]: 120 }))
      const used = {
        tokens: { input_tokens: settled },
        cost: { cost_nano_usd: settled },
        requests: { requests: settled },
      }
      ledger.reserve(ask('settled', { requests: 0, input_tokens: 0, input_cost_nano_usd: 0 }), NOON)
      ledger.settle([settlement('settled', NOON, { usage: amount(used[limit_type]) })], NOON)
      ledger.reserve(ask('in flight', asked), NOON)
      const refusal = refusalOf(ledger.reserve(ask('b', asked), NOON))
      expect(refusal).toMatchObject({ reason: 'cap_exceeded', is_busy, exceeded: { limit_type } })
      if (refusal?.reason !== 'cap_exceeded') throw new Error('not refused')
      expect(refusal.exceeded.current_usage - refusal.exceeded.held).toBe(settled)
    },
  )

  test.each([
    { settled: 0, held: 1_000, asked: 2_000, expected: { admitted: true, granted_output_tokens: 1_000 } },
    { settled: 0, held: 1_001, asked: 2_000, expected: { refusal: { is_busy: true, asked: 1_000 } } },
    { settled: 0, held: 1_980, asked: 999, expected: { refusal: { is_busy: true, asked: 999 } } },
    { settled: 1_000, held: 900, asked: 2_000, expected: { refusal: { is_busy: true, asked: 1_000 } } },
    { settled: 1_001, held: 900, asked: 2_000, expected: { admitted: true, granted_output_tokens: 99 } },
    { settled: 1_984, held: 10, asked: 2_000, expected: { refusal: { is_busy: true, asked: 16 } } },
  ])('less than a thousand tokens are not granted while calls in flight hold them: %o', (given) => {
    configure(cap('daily', { tokens: 2_000 }))
    ledger.reserve(ask('settled', { input_tokens: given.settled }), NOON)
    ledger.settle([settlement('settled', NOON, { usage: amount({ input_tokens: given.settled }) })], NOON)
    ledger.reserve(ask('in flight', { input_tokens: given.held }), NOON)
    expect(ledger.reserve(ask('b', { output: output(given.asked) }), NOON)).toMatchObject(given.expected)
  })

  test('a cap is not busy where a batch holds for days what is in the way', () => {
    configure(cap('total', { tokens: 100 }))
    ledger.reserve(ask('batch', { input_tokens: 50 }), NOON)
    const continues = { request_id: 'goes on', for_ms: 48 * HOUR }
    ledger.settle([settlement('batch', NOON, { usage: amount({}), continues })], NOON)
    const isBusy = (now: number, input_tokens: number) => {
      const refusal = refusalOf(ledger.reserve(ask(`at ${now}`, { input_tokens }), now))
      return refusal?.reason === 'cap_exceeded' && refusal.is_busy
    }
    ledger.reserve(ask('in flight', { input_tokens: 40 }), NOON)
    expect([isBusy(NOON, 50), isBusy(NOON, 51)]).toEqual([true, false])
    expect(isBusy(NOON + 48 * HOUR - TTL, 51)).toBe(true)
  })

  test('a cap that a batch holds for days is named before one that opens within the hour', () => {
    configure(cap('hourly', { requests: 2 }), cap('total', { tokens: 100 }))
    ledger.reserve(ask('batch', { input_tokens: 90 }), NOON)
    const continues = { request_id: 'goes on', for_ms: 48 * HOUR }
    ledger.settle([settlement('batch', NOON, { usage: amount({ requests: 1 }), continues })], NOON)
    ledger.reserve(ask('second', { input_tokens: 5 }), NOON)
    const exceeded = { cap_type: 'total', limit_type: 'tokens', reset_at: null }
    expect(refusalOf(ledger.reserve(ask('b', { input_tokens: 20 }), NOON))).toMatchObject({ is_busy: false, exceeded })
  })

  test('a cap is not busy where another keeps the call out for good', () => {
    configure(cap('daily', { tokens: 100 }), cap('total', { requests: 1 }))
    ledger.reserve(ask('in flight', { input_tokens: 60 }), NOON)
    expect(refusalOf(ledger.reserve(ask('b', { input_tokens: 60 }), NOON))).toMatchObject({ is_busy: false })
  })

  test.each(['monthly', 'total'] as const)(
    'not a %s cap that is only busy, where another is full until its reset',
    (busy) => {
      configure(cap('hourly', { requests: 1 }), cap(busy, { tokens: 100 }))
      ledger.reserve(ask('in flight', { input_tokens: 60 }), NOON)
      const exceeded = { cap_type: 'hourly', limit_type: 'requests', reset_at: NOON + 3_600_000 }
      expect(refusalOf(ledger.reserve(ask('b', { input_tokens: 60 }), NOON))).toMatchObject({
        is_busy: false,
        exceeded,
      })
    },
  )

  test('none under which a useful part fits', () => {
    configure(cap('monthly', { tokens: 100 }), cap('daily', { requests: 1 }))
    fill()
    const refusal = refusalOf(ledger.reserve(ask('b', { output: output(500) }), NOON))
    expect(refusal).toMatchObject({ asked: 1, exceeded: { cap_type: 'daily', limit_type: 'requests' } })
  })

  test('with the smallest useful part as what the call needs', () => {
    configure(cap('daily', { tokens: 100 }))
    const refusal = refusalOf(ledger.reserve(ask('b', { input_tokens: 90, output: output(500) }), NOON))
    expect(refusal).toMatchObject({ asked: 106, exceeded: { cap_type: 'daily', current_usage: 0, limit: 100 } })
  })

  test('with no more than the call asks for, where that is less than its useful part', () => {
    configure(cap('daily', { tokens: 10 }))
    ledger.reserve(ask('first', { input_tokens: 6 }), NOON)
    const refusal = refusalOf(ledger.reserve(ask('b', { output: output(5) }), NOON))
    expect(refusal).toMatchObject({ asked: 5, exceeded: { reset_at: Date.UTC(2026, 5, 16) } })
  })
})

describe('the tightest limit', () => {
  const tightest = (asked = ask('a')) => {
    const { cap_type, limit_type } = ledger.reserve(asked, NOON).tightest ?? {}
    return `${cap_type} ${limit_type}`
  }

  test('is the one with the smallest share left, the call itself counted', () => {
    configure(cap('daily', { requests: 10, tokens: 1_000 }), cap('monthly', { requests: 5, tokens: 2_000 }))
    expect(tightest(ask('a', { input_tokens: 100 }))).toBe('monthly requests')
    expect(tightest(ask('b', { input_tokens: 600 }))).toBe('daily tokens')
  })

  test('is one that allows nothing, whatever else is left', () => {
    configure(cap('monthly', { requests: 100 }), cap('daily', { tokens: 0 }))
    expect(tightest()).toBe('daily tokens')
  })
})

test('refusals are counted without a write each, and survive in the sums', () => {
  configure(cap('daily', { requests: 0 }))
  for (let i = 0; i < 250; i++) ledger.reserve(ask(`${i}`), NOON)
  expect(ledger.status(NOON)?.caps[0]).toMatchObject({ refused: 250, current_usage: { requests: 0 } })
  expect(open().status(NOON)?.caps[0]?.refused).toBe(0)
  ledger.prune(NOON)
  expect(open().status(NOON)?.caps[0]?.refused).toBe(250)
})

test('a user who is only refused has it written, once', () => {
  configure(cap('daily', { requests: 0 }))
  ledger.reserve(ask('a'), NOON)
  expect(ledger.areRefusalsWritten).toBe(false)
  for (let i = 0; i < 2; i++) ledger.writeRefusals(NOON)
  expect(ledger.areRefusalsWritten).toBe(true)
  expect(ledger.status(NOON)?.caps[0]?.refused).toBe(1)
  expect(open().status(NOON)?.caps[0]?.refused).toBe(1)
})

test('refusals count in the window that they were in, written or not', () => {
  const caps = [cap('daily', { requests: 0 }), cap('total', { requests: 0 })]
  ledger.configure(snapshot(caps), NOON)
  const refuse = (times: number, at: number) => {
    for (let i = 0; i < times; i++) expect(refusalOf(ledger.reserve(ask('a'), at))).not.toBeNull()
  }
  const counted = (of: Ledger, at: number) => of.status(at)?.caps.map((status) => status.refused)
  refuse(3, NOON)
  const midnight = NOON + 12 * HOUR
  refuse(2, midnight)
  expect(counted(ledger, midnight)).toEqual([2, 5])
  // Both windows are read again, and two refusals wait in memory alone.
  ledger.configure(snapshot(caps, { time_zone: 'Asia/Tokyo', version: 2 }), midnight)
  expect(counted(ledger, midnight)).toEqual([2, 5])
  expect(counted(ledger, midnight + 24 * HOUR)).toEqual([0, 5])
  ledger.prune(midnight)
  expect(counted(ledger, midnight)).toEqual([2, 5])
  expect(counted(open(), midnight)).toEqual([2, 5])
})
