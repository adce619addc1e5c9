// Who may call and go on, and how much of an answer fits: the rules one by one, where the model test only meets them by chance.

import { beforeEach, describe, expect, test } from 'vitest'
import type { SqlValue } from '../../../durable-objects/ledger/sql.ts'
import type { Ask, Cap, Snapshot } from '../../../durable-objects/ledger/types.ts'
import { admitted, amount, ask, cap, output, refusalOf, settlement, snapshot } from '../../support/ledger-fixtures.ts'
import { begin, configure, HOUR, ledger, NOON, open, sql } from './one-ledger.ts'

beforeEach(() => begin())

describe('who may call', () => {
  test('a ledger without a snapshot refuses', () => {
    expect(refusalOf(ledger.reserve(ask('a'), NOON))).toEqual({ reason: 'no_config' })
    expect(ledger.status(NOON)).toBeNull()
  })

  test.each(['suspended', 'deleted'] as const)('a %s user is refused', (status) => {
    ledger.configure(snapshot([], { status }), NOON)
    expect(refusalOf(ledger.reserve(ask('a'), NOON))).toEqual({ reason: status })
  })

  test('a key must be in the snapshot, in time and in scope', () => {
    const keys = [
      { id: 'good', expires_at: null, scopes: ['call' as const] },
      { id: 'old', expires_at: NOON, scopes: ['call' as const] },
      { id: 'reader', expires_at: NOON + 1, scopes: ['usage' as const] },
    ]
    ledger.configure(snapshot([], { keys }), NOON)
    const as = (key_id: string) => refusalOf(ledger.reserve(ask(key_id, { caller: { key_id, scope: 'call' } }), NOON))
    expect(as('good')).toBeNull()
    expect(as('revoked')).toEqual({ reason: 'unknown_key' })
    expect(as('old')).toEqual({ reason: 'expired_key', expired_at: NOON })
    expect(as('reader')).toEqual({ reason: 'missing_scope', scope: 'call' })
  })

  test('an older snapshot never replaces a newer one', () => {
    expect(ledger.configure(snapshot([], { version: 7, status: 'suspended' }), NOON)).toBe(7)
    expect(ledger.configure(snapshot([], { version: 6 }), NOON)).toBe(7)
    expect(open().status(NOON)).toMatchObject({ version: 7, status: 'suspended' })
  })

  test('when the snapshot was last confirmed outlives a restart: one that restarts again and again goes stale, too', () => {
    configure()
    ledger.configure(snapshot([]), NOON + HOUR)
    expect([ledger.configuredAt, open().configuredAt]).toEqual([NOON + HOUR, NOON + HOUR])
  })

  test('a user who is forgotten calls no more, but what was in flight counts; whatever comes next is known', () => {
    expect(ledger.configure(null, NOON)).toBe(0)
    ledger.configure(snapshot([cap('daily', { tokens: 100 })], { version: 7 }), NOON)
    ledger.reserve(ask('a', { input_tokens: 60 }), NOON)
    expect(ledger.configure(null, NOON)).toBe(0)
    expect(refusalOf(ledger.reserve(ask('b'), NOON))).toEqual({ reason: 'no_config' })
    expect([ledger.configuredAt, open().status(NOON)]).toEqual([null, null])
    ledger.settle([settlement('a', NOON, { usage: amount({ requests: 1, input_tokens: 50 }) })], NOON)
    expect(ledger.configure(snapshot([cap('daily', { tokens: 100 })], { version: 2 }), NOON)).toBe(2)
    expect(ledger.status(NOON)).toMatchObject({
      version: 2,
      caps: [{ current_usage: { tokens: 50 }, held: { tokens: 0 } }],
    })
  })
})

describe('who may go on', () => {
  const keys = [{ id: 'key', expires_at: NOON + HOUR, scopes: ['call' as const] }]
  const wide = [cap('daily', { tokens: 1_000, requests: 10 })]

  test.each<[string, Cap[], Partial<Snapshot>, number, boolean]>([
    ['whose caps are used up', [cap('daily', { tokens: 100, requests: 1 })], { keys }, NOON, true],
    ['without caps', [], { keys }, NOON, true],
    ['with a cap that was lowered to nothing', [cap('daily', { tokens: 1_000, requests: 0 })], { keys }, NOON, false],
    ['whose key was revoked', wide, { keys: [] }, NOON, false],
    ['whose key has expired', wide, { keys }, NOON + HOUR, false],
    ['who was suspended', wide, { keys, status: 'suspended' }, NOON, false],
  ])('a caller %s', (_, caps, config, now, expected) => {
    ledger.configure(snapshot(wide, { keys }), NOON)
    const asked = ask('a', { input_tokens: 100, caller: { key_id: 'key', scope: 'call' } })
    const admission = admitted(ledger.reserve(asked, NOON))
    ledger.configure(snapshot(caps, { version: 2, ...config }), NOON)
    expect(ledger.mayGoOn({ ...asked, ...admission }, now)).toBe(expected)
    expect(ledger.status(NOON)?.caps.every(({ held }) => held.requests === 1)).toBe(true)
  })

  const free = { input_tokens: 100, output: { max_tokens: 50, min_tokens: 16, choices: 1, nano_usd_per_mtok: 0 } }
  test.each<[string, Partial<Ask>, boolean]>([
    ['costs nothing', free, true],
    ['costs something', { ...free, input_cost_nano_usd: 1 }, false],
    ['has no price', { ...free, input_cost_nano_usd: null }, false],
    ['nothing bounds', { ...free, input_tokens: null, input_cost_nano_usd: null }, false],
  ])('under a cost cap of 0 a call that %s', (_, asked, expected) => {
    configure()
    const admission = admitted(ledger.reserve(ask('a', asked), NOON))
    configure(cap('total', { cost: 0 }), cap('daily', { requests: 1 }))
    expect(ledger.mayGoOn({ ...ask('a', asked), ...admission }, NOON)).toBe(expected)
    expect(ledger.reserve(ask('b', { ...asked, requests: 0 }), NOON).admitted).toBe(expected)
  })

  test('is answered without a look at usage, which a ledger that left memory meanwhile would have to sum up', () => {
    configure(cap('monthly', { requests: 10 }), cap('total', { tokens: 1_000 }))
    const asked = ask('a', { input_tokens: 100 })
    const admission = admitted(ledger.reserve(asked, NOON))
    const anew = open()
    const { all } = sql
    const statements: string[] = []
    sql.all = (statement: string, ...bindings: SqlValue[]) => {
      statements.push(statement)
      return all(statement, ...bindings)
    }
    expect(anew.mayGoOn({ ...asked, ...admission }, NOON)).toBe(true)
    expect(statements.filter((statement) => statement.includes('usage_buckets'))).toEqual([])
  })

  test('nobody whom the ledger was told to forget', () => {
    configure(...wide)
    const admission = admitted(ledger.reserve(ask('a'), NOON))
    ledger.configure(null, NOON)
    expect(ledger.mayGoOn({ ...ask('a'), ...admission }, NOON)).toBe(false)
  })
})

describe('what fits', () => {
  test('the last unit is granted, one more is not', () => {
    configure(cap('daily', { tokens: 100 }))
    expect(ledger.reserve(ask('a', { input_tokens: 99 }), NOON).admitted).toBe(true)
    expect(ledger.reserve(ask('b', { input_tokens: 2 }), NOON).admitted).toBe(false)
    expect(ledger.reserve(ask('c', { input_tokens: 1 }), NOON).admitted).toBe(true)
  })

  test('an output is clamped to exactly what is left, per choice', () => {
    configure(cap('daily', { tokens: 1_000 }))
    const decision = ledger.reserve(ask('a', { input_tokens: 100, output: output(500, { choices: 2 }) }), NOON)
    expect(decision).toMatchObject({ admitted: true, clamped: true, granted_output_tokens: 450 })
  })

  test('a call that asks again is told the same, clamp and all, also by a ledger that has restarted', () => {
    configure(cap('daily', { tokens: 1_000 }))
    const asked = ask('a', { output: output(5_000) })
    const first = ledger.reserve(asked, NOON)
    expect(first).toMatchObject({ admitted: true, clamped: true, granted_output_tokens: 1_000 })
    for (const again of [ledger, open()]) expect(again.reserve(asked, NOON + 1)).toEqual(first)
  })

  test('what cannot be shared out among the choices is granted to none', () => {
    configure(cap('daily', { tokens: 1_000 }))
    const decision = ledger.reserve(ask('a', { output: output(500, { choices: 3 }) }), NOON)
    expect(decision).toMatchObject({ admitted: true, granted_output_tokens: 333, hold: { output_tokens: 999 } })
  })

  test('an answer is cut short at once where waiting for one cap would leave it cut short by another', () => {
    configure(cap('hourly', { tokens: 2_000 }), cap('daily', { cost: 1_000_000 }))
    ledger.reserve(ask('in flight', { input_tokens: 1_500 }), NOON)
    // Room for 500 tokens until that has ended, and for 100 by the other cap, whatever ends.
    const decision = ledger.reserve(ask('a', { output: output(2_000) }), NOON)
    expect(decision).toMatchObject({ admitted: true, clamped: true, granted_output_tokens: 100 })
  })

  test('a part that is just useful is granted; a token less is refused', () => {
    configure(cap('daily', { tokens: 116 }))
    const asked = (input_tokens: number) => ask(`${input_tokens}`, { input_tokens, output: output(500) })
    expect(ledger.reserve(asked(101), NOON).admitted).toBe(false)
    expect(ledger.reserve(asked(100), NOON)).toMatchObject({ admitted: true, granted_output_tokens: 16 })
  })

  test('money clamps to the nano-dollar where floats would not', () => {
    configure(cap('total', { cost: 9_000_000_000_000_000 }))
    const priced = output(Number.MAX_SAFE_INTEGER, { nano_usd_per_mtok: 75_000_000_001 })
    const decision = ledger.reserve(ask('a', { input_cost_nano_usd: 1, output: priced }), NOON)
    expect(decision).toMatchObject({ admitted: true, granted_output_tokens: 119_999_999_998 })
    expect(decision.admitted && decision.hold.cost_nano_usd).toBeLessThanOrEqual(9_000_000_000_000_000)
  })

  test('a cap that asks for refusal is never clamped', () => {
    configure(cap('daily', { tokens: 1_000 }, 'refuse'))
    const decision = ledger.reserve(ask('a', { output: output(1_001) }), NOON)
    expect(refusalOf(decision)).toMatchObject({ reason: 'cap_exceeded', asked: 1_001 })
  })

  test('a cap that asks for refusal is not clamped because another would be', () => {
    configure(cap('hourly', { tokens: 500 }), cap('daily', { tokens: 1_000 }, 'refuse'))
    const refusal = refusalOf(ledger.reserve(ask('a', { output: output(1_001) }), NOON))
    expect(refusal).toMatchObject({ reason: 'cap_exceeded', asked: 1_001, exceeded: { cap_type: 'daily' } })
  })

  test('a fraction of a nano-dollar is held whole', () => {
    configure(cap('daily', { cost: 1 }))
    const asked = { output: output(3, { nano_usd_per_mtok: 1 }) }
    expect(ledger.reserve(ask('a', asked), NOON)).toMatchObject({ admitted: true, hold: { cost_nano_usd: 1 } })
    expect(ledger.reserve(ask('b', asked), NOON).admitted).toBe(false)
  })

  test('without a token or cost cap the bound is left alone', () => {
    configure(cap('daily', { requests: 5 }))
    expect(ledger.reserve(ask('a', { output: output(null) }), NOON)).toMatchObject({ granted_output_tokens: null })
  })
})

test('the time zone moves the windows, and usage with them', () => {
  const caps = [cap('daily', { requests: 5 })]
  ledger.configure(snapshot(caps, { time_zone: 'UTC' }), NOON)
  const evening = Date.UTC(2026, 5, 15, 23, 0)
  ledger.reserve(ask('a'), evening)
  ledger.configure(snapshot(caps, { time_zone: 'Asia/Tokyo' }), evening)
  expect(ledger.status(Date.UTC(2026, 5, 16, 1))?.caps[0]).toMatchObject({
    current_usage: { requests: 1 },
    window_start: Date.UTC(2026, 5, 15, 15),
    reset_at: Date.UTC(2026, 5, 16, 15),
  })
})

test('a failed write leaves no trace, in memory either', () => {
  configure(cap('daily', { requests: 2 }))
  ledger.reserve(ask('a'), NOON)
  for (let statements = 0; statements < 3; statements++) {
    sql.crashAfter(statements)
    expect(() => ledger.reserve(ask('b'), NOON)).toThrow()
    sql.crashAfter(null)
    expect(ledger.status(NOON)?.caps[0]?.current_usage.requests).toBe(1)
  }
})
