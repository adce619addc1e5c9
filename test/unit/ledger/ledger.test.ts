// The ledger's rules one by one, where the model test only meets them by chance.

import { beforeEach, describe, expect, test } from 'vitest'
import { Ledger } from '../../../durable-objects/ledger/ledger.ts'
import { ENDED_CALLS_KEPT_MS } from '../../../durable-objects/ledger/reservations.ts'
import type { Ask, Cap, Decision, OutputAsk, Snapshot, UsageEvent } from '../../../durable-objects/ledger/types.ts'
import { QUARTER_HOUR_MS } from '../../../durable-objects/ledger/windows.ts'
import { admitted, amount, ask, cap, settlement, snapshot } from '../../support/ledger-fixtures.ts'
import { type NodeSql, nodeSql } from '../../support/node-sql.ts'

const NOON = Date.UTC(2026, 5, 15, 12, 0)
const HOUR = 3_600_000
const TTL = 600_000

let sql: NodeSql
let events: UsageEvent[]
let ledger: Ledger

const open = () => new Ledger(sql, { hold_ttl_ms: TTL, emit: (event) => events.push(event) }, NOON)

beforeEach(() => {
  sql = nodeSql()
  events = []
  ledger = open()
})

const configure = (...caps: Cap[]) => ledger.configure(snapshot(caps), NOON)
const refusalOf = (decision: Decision) => (decision.admitted ? null : decision.refusal)
const output = (max_tokens: number | null, more: Partial<OutputAsk> = {}): OutputAsk => ({
  max_tokens,
  min_tokens: 16,
  choices: 1,
  nano_usd_per_mtok: 10_000_000_000,
  ...more,
})

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

test('refusals are counted without a write each, and survive in the sums', () => {
  configure(cap('daily', { requests: 0 }))
  for (let i = 0; i < 250; i++) ledger.reserve(ask(`${i}`), NOON)
  expect(ledger.status(NOON)?.caps[0]).toMatchObject({ refused: 250, current_usage: { requests: 0 } })
  expect(open().status(NOON)?.caps[0]?.refused).toBe(200)
  ledger.prune(NOON)
  expect(open().status(NOON)?.caps[0]?.refused).toBe(250)
})

test('a user who is only refused has it written, once', () => {
  configure(cap('daily', { requests: 0 }))
  ledger.reserve(ask('a'), NOON)
  expect(ledger.areRefusalsWritten).toBe(false)
  for (let i = 0; i < 2; i++) ledger.writeRefusals()
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

test('what is forgotten is looked for once an hour, since a busy day has a million calls and an alarm each 15 seconds', () => {
  let looks = 0
  const counting = {
    ...sql,
    all: (statement: string, ...rest: never[]) => {
      if (/delete from reservations/.test(statement)) looks += 1
      return sql.all(statement, ...rest)
    },
  } as NodeSql
  const busy = new Ledger(counting, { hold_ttl_ms: TTL, emit: () => {} }, NOON)
  for (let at = NOON; at < NOON + 2 * HOUR; at += 15_000) busy.prune(at)
  expect(looks).toBe(2)
  // The clock was set back.
  busy.prune(NOON - 2 * HOUR)
  expect(looks).toBe(3)
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
