// Holds that are in memory alone, and what a crash makes of them, one promise at a time.

import { beforeEach, describe, expect, test } from 'vitest'
import type { Admission, Amount, Ask, Cap } from '../../../durable-objects/ledger/types.ts'
import { admitted, ask, cap, settlement, snapshot } from '../../support/ledger-fixtures.ts'
import { Crash } from '../../support/node-sql.ts'
import { begin, events, HOUR, ledger, NOON, open, restart, sql, TTL } from './one-ledger.ts'

const WIDE = cap('total', { requests: 10_000, tokens: 1_000_000, cost: 1_000_000_000 })

let transactions: number
let now: number
let calls: number

beforeEach(() => {
  begin()
  const { onEnd } = sql
  sql.onEnd = (committed) => {
    transactions += 1
    onEnd(committed)
  }
  transactions = 0
  now = NOON
  calls = 0
})

const configure = (...caps: Cap[]) => ledger.configure(snapshot(caps, { version: ++calls }), now)

/** Admits one call. */
function admit(asked: Partial<Ask> = {}): Admission & { id: string } {
  const id = `call-${++calls}`
  return { ...admitted(ledger.reserve(ask(id, { input_tokens: 100, ...asked }), now)), id }
}

/** Admits calls until one is in memory alone. */
function admitUnwritten(asked: Partial<Ask> = {}): Admission & { id: string } {
  for (let tries = 0; tries < 3; tries++) {
    const admitted = admit(asked)
    if (admitted.epoch !== 0) return admitted
    settle(admitted)
  }
  throw new Error('every hold was written')
}

/** What a worker asks of a call that it still passes on. */
const mayGoOn = ({ id, ...admission }: Admission & { id: string }, asked: Partial<Ask> = {}) =>
  ledger.mayGoOn({ ...ask(id, asked), ...admission }, now)

function settle(
  { id, reserved_at, hold, epoch }: Admission & { id: string },
  end: { outcome?: 'released' } = {},
): void {
  ledger.settle([settlement(id, reserved_at, { hold, epoch, usage: hold, ...end })], now)
}

const usage = () => ledger.status(now)?.caps[0]?.current_usage
const held = () => ledger.status(now)?.caps[0]?.held.requests
const ceiling = () => sql.peek<Amount>('select * from epochs where expires_at is null')[0]
const HELD_TOKENS = 'select total(input_tokens + output_tokens) as tokens from reservations where outcome is null'
/** The tokens of the holds that are in memory alone. */
const unwritten = () =>
  (ledger.status(now)?.caps[0]?.held.tokens ?? 0) - (sql.peek<{ tokens: number }>(HELD_TOKENS)[0]?.tokens ?? 0)
const rows = (): number => sql.peek<{ rows: number }>('select count(*) as rows from reservations')[0]?.rows ?? 0

describe('a busy ledger', () => {
  beforeEach(() => configure(WIDE))

  test('writes the first hold, then a ceiling, and then reserves without a write', () => {
    expect(admit().epoch).toBe(0)
    expect([rows(), ceiling()]).toEqual([1, undefined])
    expect(admit().epoch).toBe(0)
    expect([rows(), ceiling()]).toMatchObject([2, { requests: 15, input_tokens: 1_500 }])
    transactions = 0
    for (let i = 0; i < 15; i++) expect(admit().epoch).toBe(1)
    expect([transactions, rows(), held()]).toEqual([0, 2, 17])
    expect(admit().epoch).toBe(0)
    expect(ceiling()).toMatchObject({ requests: 30, input_tokens: 3_000 })
  })

  test('writes the holds that are still out the second time it is told to, in one transaction, and says when the first expires', () => {
    const [a, b] = [admitUnwritten(), admit()]
    now += 5
    const c = admit()
    const before = rows()
    transactions = 0
    expect(ledger.writeHolds()).toBeNull()
    settle(a)
    const late = admit()
    transactions = 0
    expect(ledger.writeHolds()).toBe(NOON + TTL)
    expect([transactions, rows()]).toEqual([1, before + 3])
    expect(ledger.areHoldsWritten).toBe(false)
    restart(now)
    for (const { id, hold, reserved_at } of [b, c])
      expect(ledger.reserve(ask(id), now)).toMatchObject({ admitted: true, hold, reserved_at, epoch: 0 })
    expect(sql.peek('select 1 from reservations where request_id = ?', late.id)).toEqual([])
  })

  test('counts a hold that is in memory alone in the window that it was admitted in, from its first millisecond on', () => {
    now = Date.UTC(2026, 5, 16)
    configure({ ...WIDE, cap_type: 'daily' })
    admitUnwritten()
    const heldOn = (instant: number) => ledger.status(instant)?.caps[0]?.held.requests
    expect([heldOn(now - 1), heldOn(now), heldOn(now + 86_400_000)]).toEqual([0, 1, 0])
  })

  test('16 settlements that arrive together are one transaction, of written holds and of others', () => {
    const all = Array.from({ length: 16 }, () => admit())
    transactions = 0
    const ends = all.map(({ id, reserved_at, hold, epoch }) =>
      settlement(id, reserved_at, { hold, epoch, usage: hold }),
    )
    ledger.settle([...ends, ...ends], now)
    expect(transactions).toBe(1)
    expect(events.map(({ id }) => id)).toEqual(all.map(({ id }) => id))
    expect([usage(), held()]).toEqual([{ requests: 16, tokens: 1_600, cost: 0 }, 0])
    expect(open(now).status(now)?.caps[0]?.current_usage.requests).toBe(16 + 15)
  })

  test('settlements that fail together leave every one of them as it was, and are applied when they come again', () => {
    const all = Array.from({ length: 5 }, () => admit())
    const ends = all.map(({ id, reserved_at, hold, epoch }) =>
      settlement(id, reserved_at, { hold, epoch, usage: hold }),
    )
    for (let statements = 0; statements < 7; statements++) {
      sql.crashAfter(statements)
      expect(() => ledger.settle(ends, now)).toThrow(Crash)
      sql.crashAfter(null)
      expect([usage()?.requests, held()]).toEqual([5, 5])
    }
    ledger.settle(ends, now)
    expect([usage()?.requests, held(), events.length]).toEqual([5, 0, 5])
  })

  test('a raise that fails admits nothing and remembers nothing', () => {
    admit()
    for (let statements = 1; statements < 4; statements++) {
      sql.crashAfter(statements)
      expect(() => admit()).toThrow(Crash)
      sql.crashAfter(null)
      expect([held(), ceiling(), ledger.isAtRest]).toEqual([1, undefined, true])
    }
    admit()
    expect(admit().epoch).toBe(1)
  })

  test('repeats an admission from memory as it was', () => {
    const { id, ...first } = admitUnwritten()
    transactions = 0
    sql.crashAfter(0)
    expect(ledger.reserve(ask(id, { input_tokens: 7 }), now + 5)).toEqual(first)
  })

  test('calls that come and go one after the other never need a higher ceiling', () => {
    for (let i = 0; i < 100; i++) settle(admit())
    expect(ceiling()).toMatchObject({ requests: 15, input_tokens: 1_500 })
  })

  test('writes a hold of another kind than its ceiling allows', () => {
    admit()
    admit()
    expect(admit({ input_tokens: 1_501 }).epoch).toBe(0)
    const output = { max_tokens: 1, min_tokens: 1, choices: 1, nano_usd_per_mtok: 0 }
    expect(admit({ input_tokens: 0, output }).epoch).toBe(0)
  })

  test('calls that come one by one are each written, without a ceiling', () => {
    for (let i = 0; i < 5; i++) {
      expect(admit().epoch).toBe(0)
      now += 1_000
    }
    expect(ledger.isAtRest).toBe(true)
  })
})

describe('a ceiling', () => {
  test('takes at most a sixteenth of what is left under any cap', () => {
    configure(cap('daily', { requests: 100 }), cap('total', { tokens: 16_700 }))
    admit()
    admit()
    // 16,500 tokens are left, and 98 requests.
    expect(ceiling()).toMatchObject({ requests: 6, input_tokens: 600 })
  })

  test('is not raised where a cap is nearly used up: every hold is written, to the last one', () => {
    configure(cap('daily', { requests: 15 }))
    for (let i = 0; i < 15; i++) expect(admit().epoch).toBe(0)
    expect(ledger.isAtRest).toBe(true)
    expect(() => admit()).toThrow('refused')
    restart(now)
    expect(usage()?.requests).toBe(15)
  })

  test('is not lowered in one part by calls that need another', () => {
    configure(WIDE)
    const output = { max_tokens: 50, min_tokens: 1, choices: 1, nano_usd_per_mtok: 0 }
    admit()
    admit({ input_tokens: 300 })
    admit({ input_tokens: 1, output })
    expect(ceiling()).toMatchObject({ requests: 15, input_tokens: 4_500, output_tokens: 750 })
  })

  test('takes no more of a cap than that where calls of different kinds take turns', () => {
    configure(cap('total', { tokens: 16_000 }))
    const output = { max_tokens: 100, min_tokens: 100, choices: 1, nano_usd_per_mtok: 0 }
    for (let i = 0; i < 6; i++) {
      admit()
      admit({ input_tokens: 0, output })
      const { input_tokens = 0, output_tokens = 0 } = ceiling() ?? {}
      expect(input_tokens + output_tokens).toBeLessThanOrEqual(16_000 / 16 + unwritten())
    }
    expect(ceiling()).toBeDefined()
  })

  test('that was lowered is kept to', () => {
    configure(cap('total', { tokens: 160_000 }))
    admit()
    admit()
    configure(cap('total', { tokens: 8_000 }))
    const output = { max_tokens: 100, min_tokens: 100, choices: 1, nano_usd_per_mtok: 0 }
    admit({ input_tokens: 0, output })
    expect(ceiling()).toMatchObject({ input_tokens: 0, output_tokens: 400 })
    expect(admit().epoch).toBe(0)
  })

  test('survives holds so large that sixteen of them are no safe integer', () => {
    configure()
    const output = { max_tokens: 1e15, min_tokens: 1, choices: 1, nano_usd_per_mtok: 0 }
    for (let i = 0; i < 3; i++) admit({ output })
    expect(ceiling()?.output_tokens).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER)
  })
})

describe('at rest', () => {
  beforeEach(() => configure(WIDE))

  test('a ledger that is idle restarts with nothing held', () => {
    const last = admitUnwritten()
    const before = usage()?.requests
    ledger.rest()
    expect(ledger.isAtRest).toBe(false)
    settle(last)
    ledger.rest()
    expect(ledger.isAtRest).toBe(true)
    restart(now)
    expect([usage()?.requests, held()]).toEqual([before, 0])
    expect(sql.peek('select * from epochs')).toEqual([])
  })

  test('calls that are still out and written do not keep it from rest', () => {
    const last = admitUnwritten()
    ledger.writeHolds('all')
    ledger.rest()
    restart(now)
    expect(held()).toBe(1)
    settle(last)
    expect(held()).toBe(0)
    expect(events.at(-1)).toMatchObject({ id: last.id, revision: 0 })
  })
})

describe('after a crash', () => {
  beforeEach(() => configure(cap('hourly', WIDE.limits), WIDE))

  test('the ceiling is held in every window until the time to live has passed since the restart, and no longer', () => {
    admitUnwritten()
    now += 3 * HOUR
    restart(now)
    for (const { held, current_usage } of ledger.status(now)?.caps ?? []) {
      expect(held).toEqual({ requests: 15, tokens: 1_500, cost: 0 })
      expect(current_usage.requests - held.requests).toBeLessThanOrEqual(2)
    }
    now += TTL - 1
    expect(held()).toBe(15)
    restart(now)
    now += 1
    expect(held()).toBe(0)
    ledger.expire(now)
    expect(sql.peek('select * from epochs')).toEqual([])
    expect(events.every(({ outcome }) => outcome === 'settled')).toBe(true)
  })

  test('a call from before takes exactly its hold off its own remnant, is charged and has its event, once', () => {
    const [a, b] = [admitUnwritten({ input_tokens: 100 }), admit({ input_tokens: 70 })]
    const settled = usage()?.requests ?? 0
    restart(now)
    const second = admitUnwritten({ input_tokens: 10 })
    restart(now)
    expect([a.epoch, b.epoch, second.epoch]).toEqual([1, 1, 2])
    expect(sql.peek('select epoch, requests, input_tokens from epochs')).toEqual([
      { epoch: 1, requests: 15, input_tokens: 1_500 },
      { epoch: 2, requests: 15, input_tokens: 150 },
    ])
    events.length = 0
    settle(b)
    settle(b)
    expect(sql.peek('select epoch, requests, input_tokens from epochs')).toEqual([
      { epoch: 1, requests: 14, input_tokens: 1_430 },
      { epoch: 2, requests: 15, input_tokens: 150 },
    ])
    expect(held()).toBe(29)
    settle(a, { outcome: 'released' })
    expect(held()).toBe(28)
    expect(events).toMatchObject([
      { id: b.id, outcome: 'settled', input_tokens: 70, occurred_at: NOON, revision: 0, overrun: false },
      { id: a.id, outcome: 'released', input_tokens: 0, revision: 0 },
    ])
    expect(usage()?.requests).toBeGreaterThan(settled)
  })

  test('a remnant never makes room, whatever its calls say that they held', () => {
    const lost = admitUnwritten()
    restart(now)
    settle({ ...lost, hold: { ...lost.hold, requests: 100 } })
    expect(held()).toBe(0)
  })

  test('a call from before is charged also where the clock has jumped a day ahead', () => {
    const lost = admitUnwritten()
    now += 25 * HOUR
    restart(now)
    const before = [held(), usage()?.requests]
    events.length = 0
    settle(lost)
    expect(held()).toBe((before[0] ?? 0) - 1)
    expect(events).toMatchObject([{ id: lost.id, outcome: 'settled', occurred_at: lost.reserved_at }])
  })

  test('a call from before that has settled does not settle again a day later, though forgotten and though no alarm rang', () => {
    const lost = admitUnwritten()
    restart(now)
    settle(lost)
    for (let others = 0; others < 1_000; others++) settle(admit())
    now += 25 * HOUR
    ledger.prune(now)
    events.length = 0
    settle(lost)
    expect(events).toEqual([])
  })

  test.each([
    ['forgotten before the crash', () => ledger.prune(now)],
    [
      'forgotten before the crash, when another was in memory alone',
      () => {
        admitUnwritten()
        ledger.prune(now)
      },
    ],
    ['old enough to be forgotten after it', () => undefined],
  ])('nor does one that settled in the life that crashed, %s', (_, forget) => {
    const settled = admitUnwritten()
    settle(settled)
    for (let others = 0; others < 1_000; others++) settle(admit())
    now += 25 * HOUR
    forget()
    admitUnwritten()
    restart(now)
    ledger.prune(now)
    events.length = 0
    settle(settled)
    expect(events).toEqual([])
  })

  test('a call from before that had been written leaves the remnant alone', () => {
    const last = admitUnwritten()
    ledger.writeHolds('all')
    restart(now)
    expect(held()).toBe(16)
    settle(last)
    expect(held()).toBe(15)
  })

  test('a call that is told that it may go on is on record, however young it is', () => {
    const young = admitUnwritten()
    const before = rows()
    expect(mayGoOn(young)).toBe(true)
    expect(rows()).toBe(before + 1)
    restart(now)
    expect(ledger.nextExpiry()).toBe(young.reserved_at + TTL)
    settle(young)
    expect(held()).toBe(15)
  })

  test('a call from before that asks whether it may go on is held again: it outlives the remnant, and its room is its own', () => {
    configure(cap('total', { requests: 40 }))
    const lost = admitUnwritten()
    restart(now)
    const before = [held(), usage()]
    for (let asked = 0; asked < 3; asked++) expect(mayGoOn(lost)).toBe(true)
    expect([held(), usage()]).toEqual(before)
    expect(ledger.nextExpiry()).toBe(lost.reserved_at + TTL)
    now += TTL - 1
    restart(now)
    now += 1
    events.length = 0
    ledger.expire(now)
    expect(events).toMatchObject([{ id: lost.id, outcome: 'expired', requests: 1, input_tokens: 100 }])
    const settled = usage()?.requests ?? 0
    for (let i = settled; i < 40; i++) admit()
    expect(() => admit()).toThrow('refused')
    expect(mayGoOn(lost)).toBe(true)
    settle(lost)
    expect(usage()?.requests).toBe(40)
    expect(events.at(-1)).toMatchObject({ id: lost.id, outcome: 'settled', revision: 1 })
  })

  test('a call from before that asks so late that its remnant is gone is held again too; one that has ended never is', () => {
    const [lost, ended] = [admitUnwritten(), admit()]
    settle(ended)
    restart(now)
    now += TTL
    ledger.expire(now)
    expect(held()).toBe(0)
    expect(mayGoOn(ended)).toBe(true)
    expect(held()).toBe(0)
    expect(mayGoOn(lost)).toBe(true)
    expect(held()).toBe(1)
    expect(ledger.nextExpiry()).toBe(lost.reserved_at + TTL)
    settle(lost)
    expect(mayGoOn(lost)).toBe(true)
    expect(held()).toBe(0)

    const forgotten = admitUnwritten()
    restart(now)
    now += 25 * HOUR
    ledger.expire(now)
    expect(mayGoOn(forgotten)).toBe(true)
    expect(ledger.nextExpiry()).toBeNull()
  })

  test('numbers are not used again: a late call never shrinks the remnant of another life', () => {
    const late = admitUnwritten()
    restart(now)
    now += TTL
    ledger.expire(now)
    const other = admitUnwritten()
    expect(other.epoch).toBeGreaterThan(late.epoch)
    restart(now)
    settle(late)
    expect(held()).toBe(15)
    expect(events.at(-1)).toMatchObject({ id: late.id, occurred_at: NOON })
  })

  test('a remnant counts against the caps: what may be in flight is never admitted twice', () => {
    configure(cap('total', { requests: 40 }))
    const first = admitUnwritten()
    const before = usage()?.requests ?? 0
    restart(now)
    const remnant = held() ?? 0
    expect(remnant).toBeGreaterThan(0)
    for (let i = before - 1 + remnant; i < 40; i++) admit()
    expect(() => admit()).toThrow('refused')
    settle(first)
    expect(usage()?.requests).toBe(40)
  })

  test('a crash while it starts, or while a call from before settles, changes nothing', () => {
    const last = admitUnwritten()
    for (let statements = 0; statements < 7; statements++) {
      sql.crashAfter(statements)
      expect(() => open(now)).toThrow(Crash)
      sql.crashAfter(null)
    }
    restart(now)
    for (let statements = 0; statements < 5; statements++) {
      sql.crashAfter(statements)
      expect(() => settle(last)).toThrow(Crash)
      sql.crashAfter(null)
      expect(held()).toBe(15)
    }
    settle(last)
    expect(held()).toBe(14)
  })
})

test('a hold that nobody came to write is written before it expires, and charged with an event', () => {
  configure(WIDE)
  const last = admitUnwritten()
  now += TTL
  expect(ledger.expire(now)).toBe(1)
  expect(events.at(-1)).toMatchObject({ id: last.id, outcome: 'expired', input_tokens: 100 })
})

test('refusals that wait for a write survive one that fails', () => {
  configure(cap('daily', { requests: 1 }))
  const first = admit()
  for (let i = 0; i < 5; i++) expect(() => admit()).toThrow('refused')
  sql.crashAfter(3)
  expect(() => settle(first)).toThrow(Crash)
  sql.crashAfter(null)
  settle(first)
  expect(ledger.status(now)?.caps[0]?.refused).toBe(5)
  expect(open(now).status(now)?.caps[0]?.refused).toBe(5)
})
