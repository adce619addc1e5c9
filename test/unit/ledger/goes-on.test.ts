// Calls that go on at their provider after their answer, one promise at a time.

import { beforeEach, describe, expect, test } from 'vitest'
import { leftOf } from '../../../durable-objects/ledger/amounts.ts'
import type { Amount, Conclusion, Settlement } from '../../../durable-objects/ledger/types.ts'
import { admitted, amount, ask, cap, DRAFT, output, settlement, snapshot } from '../../support/ledger-fixtures.ts'
import { Crash } from '../../support/node-sql.ts'
import { begin, configure, events, HOUR, ledger, NOON, open, restart, sql, TTL } from './one-ledger.ts'

const DAY = 24 * HOUR
const HOLD = amount({ requests: 1, input_tokens: 40, output_tokens: 60, cost_nano_usd: 500 })
const REQUEST = amount({ requests: 1 })
const USED = amount({ input_tokens: 10, output_tokens: 20, cost_nano_usd: 90 })

beforeEach(() => {
  begin()
  configure(cap('total', { requests: 1_000_000, tokens: 10_000_000, cost: 100_000_000 }))
})

function reserve(id: string, now = NOON) {
  const asked = { input_tokens: 40, input_cost_nano_usd: 500, output: output(60, { nano_usd_per_mtok: 0 }) }
  return admitted(ledger.reserve(ask(id, asked), now))
}

/** Admits a call and settles it as one that goes on: its request is counted, all else is held. */
function goOn(id: string, as: string, end: Partial<Settlement> = {}): Settlement {
  const { epoch } = reserve(id)
  const continues = { request_id: as, for_ms: DAY }
  const settled = settlement(id, NOON, { epoch, hold: HOLD, usage: REQUEST, continues, ...end })
  ledger.settle([settled], NOON)
  return settled
}

const conclusion = (request_id: string, usage: Amount | null = USED): Conclusion => ({
  request_id,
  usage,
  usage_source: usage ? 'reported' : 'hold',
  draft: { ...DRAFT, method: 'GET', operation: 'get_response', key_id: 'who-asks' },
  facts: settlement(request_id, NOON).facts,
})
const conclude = (now = NOON, ...ids: string[]) =>
  ledger.conclude(
    ids.map((id) => conclusion(id)),
    now,
  )
const usage = (of = ledger) => {
  const [status] = of.status(NOON)?.caps ?? []
  return { current: status?.current_usage, held: status?.held }
}
const eventsOf = (id: string) => events.filter((event) => event.id === id)
const ALL_HELD = { current: { requests: 1, tokens: 100, cost: 500 }, held: { requests: 0, tokens: 100, cost: 500 } }
const CONCLUDED = { current: { requests: 1, tokens: 30, cost: 90 }, held: { requests: 0, tokens: 0, cost: 0 } }

describe('a call that goes on', () => {
  test('keeps the rest of its hold, through a crash, and takes no more of any cap than before', () => {
    goOn('call', 'goes-on')
    expect(usage()).toEqual(ALL_HELD)
    expect(usage(open())).toEqual(ALL_HELD)
    expect(events).toMatchObject([{ id: 'call', outcome: 'settled', requests: 1, output_tokens: 0 }])
  })

  test('is concluded once, with one event of its own that names the call that began it', () => {
    goOn('call', 'goes-on')
    conclude(NOON + HOUR, 'goes-on', 'goes-on')
    conclude(NOON + HOUR, 'goes-on')
    restart()
    conclude(NOON + HOUR, 'goes-on')
    expect(usage()).toEqual(CONCLUDED)
    expect(eventsOf('goes-on')).toMatchObject([
      { ...DRAFT, ...USED, outcome: 'settled', occurred_at: NOON, settled_at: NOON + HOUR, revision: 0 },
    ])
  })

  test('counts in the window in which it was admitted', () => {
    ledger.configure(snapshot([cap('hourly', { tokens: 100 })], { version: 2 }), NOON)
    goOn('call', 'goes-on')
    conclude(NOON + 3 * HOUR, 'goes-on')
    expect(ledger.status(NOON + 3 * HOUR)?.caps[0]?.current_usage.tokens).toBe(0)
    expect(usage().current?.tokens).toBe(30)
  })

  test('is charged what is held where its usage cannot be read', () => {
    goOn('call', 'goes-on')
    ledger.conclude([conclusion('goes-on', null)], NOON)
    expect(usage().current).toEqual(ALL_HELD.current)
    expect(eventsOf('goes-on')).toMatchObject([{ usage_source: 'hold', output_tokens: 60, overrun: false }])
  })

  test('is known by the model that was asked for, also where it has expired and may yet be corrected', () => {
    goOn('call', 'goes-on')
    const asked = [DRAFT.request_model, null]
    expect(ledger.requestModels(['goes-on', 'of-another-user'])).toEqual(asked)
    ledger.expire(NOON + DAY)
    expect(ledger.requestModels(['goes-on', 'of-another-user'])).toEqual(asked)
  })

  test('is charged what the hold costs where its usage has no price', () => {
    goOn('call', 'goes-on')
    ledger.conclude([{ ...conclusion('goes-on'), usage: { ...USED, cost_nano_usd: null } }], NOON)
    expect(usage().current).toEqual({ requests: 1, tokens: 30, cost: 500 })
    expect(eventsOf('goes-on')).toMatchObject([{ ...USED, cost_nano_usd: 500, usage_source: 'reported' }])
  })

  test('is counted in full and marked where the provider bills more than is held', () => {
    goOn('call', 'goes-on')
    ledger.conclude([conclusion('goes-on', amount({ output_tokens: 700 }))], NOON)
    expect(usage().current?.tokens).toBe(700)
    expect(eventsOf('goes-on')).toMatchObject([{ overrun: true }])
  })

  test('is charged its hold when nobody asks for it, and corrected once when somebody does', () => {
    goOn('call', 'goes-on')
    expect(ledger.nextExpiry()).toBe(NOON + DAY)
    expect([ledger.expire(NOON + DAY - 1), ledger.expire(NOON + DAY)]).toEqual([0, 1])
    expect(usage()).toEqual({ ...ALL_HELD, held: CONCLUDED.held })
    conclude(NOON + DAY + HOUR, 'goes-on')
    conclude(NOON + DAY + HOUR, 'goes-on')
    expect(usage()).toEqual(CONCLUDED)
    expect(eventsOf('goes-on')).toMatchObject([
      { ...DRAFT, outcome: 'expired', usage_source: 'hold', output_tokens: 60, revision: 0 },
      { ...DRAFT, ...USED, outcome: 'settled', usage_source: 'reported', revision: 1 },
    ])
  })

  test('is held for its time from when its answer ended, however long that took', () => {
    const { epoch } = reserve('call')
    const continues = { request_id: 'goes-on', for_ms: DAY }
    ledger.settle([settlement('call', NOON, { epoch, hold: HOLD, usage: REQUEST, continues })], NOON + HOUR)
    expect(ledger.nextExpiry()).toBe(NOON + HOUR + DAY)
  })

  test('leaves nothing of what it said of itself once it has ended for good', () => {
    goOn('call', 'goes-on')
    conclude(NOON, 'goes-on')
    expect(sql.peek('select draft from reservations')).toEqual([{ draft: null }, { draft: null }])
  })

  test('does not count again once its end is forgotten', () => {
    const settled = goOn('call', 'goes-on')
    conclude(NOON, 'goes-on')
    // Later calls than are remembered whatever the clock says.
    const others = Array.from({ length: 1_001 }, (_, i) => settlement(`${i}`, NOON, { hold: HOLD, usage: REQUEST }))
    ledger.settle(others, NOON)
    const later = NOON + DAY + 1
    ledger.prune(later)
    expect(sql.peek("select 1 from reservations where request_id in ('call', 'goes-on')")).toEqual([])
    const before = usage()
    conclude(later, 'goes-on')
    ledger.settle([settled], later)
    conclude(later, 'goes-on')
    expect(usage()).toEqual(before)
    expect([eventsOf('call'), eventsOf('goes-on')]).toMatchObject([{ length: 1 }, { length: 1 }])
  })

  test('stays held while calls are forgotten and the clock jumps', () => {
    goOn('call', 'goes-on')
    ledger.prune(NOON + 400 * DAY)
    ledger.expire(NOON - 400 * DAY)
    expect(usage()).toEqual(ALL_HELD)
    ledger.expire(NOON + 400 * DAY)
    conclude(NOON - DAY, 'goes-on')
    expect(usage()).toEqual(CONCLUDED)
  })
})

describe('a call that goes on under an id that its provider knows', () => {
  const continues = { request_id: 'goes-on', for_ms: DAY, provider_id: 'batch_1' }
  const MINUTE = 60_000

  test('is overdue when its time is up: it is handed out once, and expires a minute later', () => {
    goOn('call', 'goes-on', { continues })
    expect(ledger.takeOverdue(NOON + DAY - 1)).toBeNull()
    expect(ledger.nextExpiry()).toBe(NOON + DAY)
    expect(ledger.expire(NOON + DAY)).toBe(0)
    expect(ledger.takeOverdue(NOON + DAY)).toEqual({ provider_id: 'batch_1', draft: DRAFT })
    expect(usage()).toEqual(ALL_HELD)
    restart()
    expect(ledger.takeOverdue(NOON + DAY)).toBeNull()
    expect(ledger.nextExpiry()).toBe(NOON + DAY + MINUTE)
    expect([ledger.expire(NOON + DAY + MINUTE - 1), ledger.expire(NOON + DAY + MINUTE)]).toEqual([0, 1])
    expect(ledger.takeOverdue(NOON + 2 * DAY)).toBeNull()
    expect(eventsOf('goes-on')).toMatchObject([{ ...DRAFT, outcome: 'expired', usage_source: 'hold' }])
  })

  test.each([
    ['within the minute', MINUTE - 1, ['settled']],
    ['after it', MINUTE, ['expired', 'settled']],
  ])('is charged what is learnt of it %s, once', (_, after, outcomes) => {
    goOn('call', 'goes-on', { continues })
    ledger.takeOverdue(NOON + DAY)
    ledger.expire(NOON + DAY + after)
    conclude(NOON + DAY + after, 'goes-on')
    conclude(NOON + DAY + after, 'goes-on')
    ledger.expire(NOON + 2 * DAY)
    expect(usage()).toEqual(CONCLUDED)
    expect(eventsOf('goes-on').map(({ outcome }) => outcome)).toEqual(outcomes)
  })

  test('is never overdue where somebody has asked for it', () => {
    goOn('call', 'goes-on', { continues })
    conclude(NOON + HOUR, 'goes-on')
    expect(ledger.takeOverdue(NOON + 2 * DAY)).toBeNull()
  })

  test('is handed out in its turn, whatever else is due: the one that is overdue for longest first', () => {
    reserve('in-flight')
    goOn('b', 'later', { continues: { ...continues, request_id: 'later', for_ms: DAY + 1, provider_id: 'batch_2' } })
    goOn('a', 'goes-on', { continues })
    const taken = [1, 2, 3].map(() => ledger.takeOverdue(NOON + 2 * DAY)?.provider_id)
    expect(taken).toEqual(['batch_1', 'batch_2', undefined])
  })

  test('is handed out in its turn under an id of no characters, too: it holds up no other', () => {
    goOn('a', 'nameless', { continues: { ...continues, request_id: 'nameless', provider_id: '' } })
    goOn('b', 'goes-on', { continues })
    const taken = [1, 2, 3].map(() => ledger.takeOverdue(NOON + DAY)?.provider_id)
    expect(taken).toEqual(['', 'batch_1', undefined])
    expect(ledger.nextExpiry()).toBe(NOON + DAY + MINUTE)
  })

  test('where the ledger is of a version that knew no such ids: what is in it expires, what comes is overdue', () => {
    sql.all('alter table reservations drop column provider_id')
    const columns = 'request_id, reserved_at, expires_at, requests, input_tokens, output_tokens, cost_nano_usd, clamped'
    sql.all(
      `insert into reservations (${columns}, draft) values ('old', ?, ?, 0, 5, 0, 0, 0, ?)`,
      ...[NOON, NOON + DAY, JSON.stringify(DRAFT)],
    )
    restart()
    restart()
    goOn('call', 'goes-on', { continues })
    expect(ledger.expire(NOON + DAY)).toBe(1)
    expect(eventsOf('old')).toMatchObject([{ outcome: 'expired', input_tokens: 5 }])
    expect(ledger.takeOverdue(NOON + DAY)?.provider_id).toBe('batch_1')
  })
})

describe('a conclusion', () => {
  test('of a call that this ledger does not know changes nothing', () => {
    goOn('call', 'goes-on')
    conclude(NOON, 'of-another-user')
    expect(usage()).toEqual(ALL_HELD)
    expect(events).toHaveLength(1)
  })

  test('that comes before the call went on is none: it is held until the next', () => {
    conclude(NOON, 'goes-on')
    goOn('call', 'goes-on')
    expect(usage()).toEqual(ALL_HELD)
    conclude(NOON, 'goes-on')
    expect(usage()).toEqual(CONCLUDED)
  })

  test.each(['written', 'in memory alone'])('of a call that is in flight, %s, ends it for good', (where) => {
    const epochs = { a: reserve('a').epoch, b: reserve('b').epoch, c: reserve('c').epoch }
    const id = where === 'written' ? 'a' : 'c'
    expect(epochs[id] === 0).toBe(where === 'written')
    conclude(NOON, id)
    ledger.settle([settlement(id, NOON, { hold: HOLD, epoch: epochs[id], usage: HOLD })], NOON)
    expect(usage()).toMatchObject({ current: { tokens: 230 }, held: { tokens: 200 } })
    expect(events).toMatchObject([{ id, ...USED }])
  })
})

describe('what goes over', () => {
  test('repeating the settlement holds nothing again, and a concluded call stays concluded', () => {
    const settled = goOn('call', 'goes-on')
    ledger.settle([settled], NOON)
    expect(usage()).toEqual(ALL_HELD)
    conclude(NOON, 'goes-on')
    ledger.settle([settled], NOON)
    expect(usage()).toEqual(CONCLUDED)
    expect(events).toHaveLength(2)
  })

  test('of a call that had expired is the rest of what it was charged', () => {
    const { epoch } = reserve('call')
    expect(ledger.expire(NOON + TTL)).toBe(1)
    const continues = { request_id: 'goes-on', for_ms: DAY }
    ledger.settle([settlement('call', NOON, { epoch, hold: HOLD, usage: REQUEST, continues })], NOON + TTL)
    expect(usage()).toEqual(ALL_HELD)
    expect(eventsOf('call')).toMatchObject([{ outcome: 'expired' }, { revision: 1, requests: 1, output_tokens: 0 }])
  })

  test('of a call that a crash took comes off what the crash left', () => {
    const epochs = ['a', 'b', 'c'].map((id) => reserve(id).epoch)
    const epoch = epochs.at(-1) ?? 0
    expect(epoch).toBeGreaterThan(0)
    restart()
    const before = usage()
    const continues = { request_id: 'goes-on', for_ms: DAY }
    ledger.settle([settlement('c', NOON, { epoch, hold: HOLD, usage: REQUEST, continues })], NOON)
    expect(usage().current).toEqual(before.current)
    ledger.expire(NOON + TTL)
    conclude(NOON + TTL, 'goes-on')
    expect(usage().current).toEqual({ requests: 3, tokens: 2 * 100 + 30, cost: 2 * 500 + 90 })
    expect(eventsOf('goes-on')).toMatchObject([{ ...USED, overrun: false }])
  })

  test('of a released call is all of its hold: what goes on may yet be billed', () => {
    goOn('call', 'goes-on', { outcome: 'released', usage: null })
    expect(usage()).toEqual({
      current: { requests: 1, tokens: 100, cost: 500 },
      held: { ...ALL_HELD.held, requests: 1 },
    })
    expect(events).toMatchObject([{ id: 'call', outcome: 'released', requests: 0 }])
  })

  test('of a released call that was never admitted is nothing', () => {
    const continues = { request_id: 'goes-on', for_ms: DAY }
    ledger.settle([settlement('never', NOON, { outcome: 'released', hold: HOLD, continues })], NOON)
    expect([events, usage().current?.tokens]).toEqual([[], 0])
  })

  test('is nothing where usage is unknown: the hold is charged, and no conclusion counts on top of it', () => {
    goOn('call', 'goes-on', { usage: null, usage_source: 'hold' })
    conclude(NOON, 'goes-on')
    expect(usage()).toEqual({ ...ALL_HELD, held: CONCLUDED.held })
    expect(events).toMatchObject([{ ...HOLD, usage_source: 'hold' }])
  })

  test('is nothing where the id is taken, held or ended: unknown never means free', () => {
    goOn('first', 'goes-on')
    goOn('second', 'goes-on')
    conclude(NOON, 'goes-on')
    goOn('third', 'goes-on')
    expect(usage()).toMatchObject({
      current: { requests: 3, tokens: 30 + 2 * 100, cost: 90 + 2 * 500 },
      held: { tokens: 0 },
    })
    for (const id of ['second', 'third']) expect(eventsOf(id)).toMatchObject([{ ...HOLD, usage_source: 'hold' }])
  })

  test('of a released call is nothing where the id is taken: the other is still awaited', () => {
    goOn('first', 'goes-on')
    goOn('second', 'goes-on', { outcome: 'released', usage: null })
    expect(usage().held).toEqual(ALL_HELD.held)
    expect(eventsOf('second')).toMatchObject([{ outcome: 'released' }])
  })

  test('is nothing under a taken id, and what the call used beyond its hold still counts', () => {
    goOn('first', 'goes-on')
    goOn('second', 'goes-on', { usage: amount({ requests: 1, output_tokens: 170 }) })
    expect(usage()).toMatchObject({ current: { requests: 2, tokens: 100 + 170, cost: 2 * 500 } })
    expect(eventsOf('second')).toMatchObject([{ output_tokens: 170, cost_nano_usd: 500, overrun: true }])
  })

  test('never meets the id of a call in memory alone, which must be written later', () => {
    for (const id of ['a', 'b']) reserve(id)
    expect(reserve('unwritten').epoch).toBeGreaterThan(0)
    goOn('call', 'unwritten')
    ledger.writeHolds('all')
    expect(usage()).toMatchObject({ current: { tokens: 400 }, held: { tokens: 300 } })
  })

  test('two of one commit that go on under one id hold it once', () => {
    const continues = { request_id: 'goes-on', for_ms: DAY }
    const ends = ['a', 'b'].map((id) => {
      const { epoch } = reserve(id)
      return settlement(id, NOON, { epoch, hold: HOLD, usage: REQUEST, continues })
    })
    ledger.settle(ends, NOON)
    expect(usage()).toMatchObject({ current: { requests: 2, tokens: 200 }, held: { tokens: 100 } })
  })

  test.each([
    [
      { input_tokens: 50, output_tokens: 0 },
      { input_tokens: 0, output_tokens: 50 },
    ],
    [
      { input_tokens: 0, output_tokens: 70 },
      { input_tokens: 30, output_tokens: 0 },
    ],
    [
      { input_tokens: 90, output_tokens: 90 },
      { input_tokens: 0, output_tokens: 0 },
    ],
    [
      { requests: 2, cost_nano_usd: 501 },
      { requests: 0, cost_nano_usd: 0, input_tokens: 40, output_tokens: 60 },
    ],
  ])('after %o is never more than caps have left of the hold', (used, left) => {
    expect(leftOf(HOLD, amount(used))).toMatchObject(left)
  })
})

test('a failure at any statement leaves no trace: the same again holds once and concludes once', () => {
  const tried = (verb: () => void) => {
    let failures = 0
    for (; ; failures++) {
      const before = usage()
      const told = events.length
      sql.crashAfter(failures)
      try {
        verb()
        sql.crashAfter(null)
        return failures
      } catch (error) {
        sql.crashAfter(null)
        if (!(error instanceof Crash)) throw error
        expect([usage(), usage(open()), events.length]).toEqual([before, before, told])
      }
    }
  }
  const { epoch } = reserve('call')
  const continues = { request_id: 'goes-on', for_ms: DAY }
  const settled = settlement('call', NOON, { epoch, hold: HOLD, usage: REQUEST, continues })
  expect(tried(() => ledger.settle([settled], NOON))).toBeGreaterThan(3)
  expect(usage()).toEqual(ALL_HELD)
  expect(tried(() => conclude(NOON, 'goes-on'))).toBeGreaterThan(2)
  expect(usage()).toEqual(CONCLUDED)
  expect(events.map(({ id }) => id)).toEqual(['call', 'goes-on'])
})
