// The matching of calls, events and what the provider saw: what it must find fault with.

import { expect, test } from 'vitest'
import type { EventRow } from '../support/books.ts'
import { type Call, nothingSeen, type Seen } from './load.ts'
import { type Evidence, matchCalls } from './match.ts'
import type { Forwarded } from './provider-record.ts'

const USED = { input_tokens: 50, output_tokens: 10, cost_nano_usd: 13_500 }

const CALL: Call = {
  marker: 'call-1',
  user_id: 'ada',
  kind: 'openai JSON',
  request_id: 'request-1',
  status: 200,
  is_over: true,
  answer_id: 'chatcmpl-1',
  said: null,
  took_ms: 20,
}
const FORWARDED: Forwarded = {
  marker: 'call-1',
  user_id: 'ada',
  at: 5_000,
  answer_id: 'chatcmpl-1',
  is_billed: true,
  ...USED,
}
const EVENT: EventRow = {
  id: 'request-1',
  user_id: 'ada',
  job_id: 'call-1',
  occurred_at: 5_000,
  outcome: 'settled',
  usage_source: 'reported',
  overrun: false,
  revision: 0,
  requests: 1,
  tokens: 60,
  ...USED,
}
const HOLD = { ...EVENT, outcome: 'expired', usage_source: 'hold', input_tokens: 200, cost_nano_usd: 36_000 }
const SOON_AFTER = [{ from: 5_100, to: 5_300 }]
const LATER = [{ from: 8_000, to: 8_300 }]

/** As it should be, but for `more`: one call that was answered whole, unless `seen` says something else. */
function faults(more: Partial<Evidence> = {}, seen: Partial<Seen> = { answered: [CALL] }): string {
  const usual = { events: [EVENT], forwarded: [FORWARDED], kills: [] }
  return matchCalls({ ...usual, seen: { ...nothingSeen(), ...seen }, ...more }).faults.join('\n')
}

test('a whole answer has one event, under its id, of just what the provider said', () => {
  expect(faults()).toBe('')
  expect(faults({ events: [], kills: SOON_AFTER })).toContain('has no event')
  expect(faults({ events: [EVENT, { ...EVENT, id: 'request-2' }] })).toContain('has 2 events')
  expect(faults({ events: [{ ...EVENT, id: 'request-2' }] })).toContain('under another id')
  expect(faults({ events: [{ ...EVENT, output_tokens: 11 }] })).toContain('is charged 11 output_tokens, not 10')
  expect(faults({ events: [HOLD] })).toContain('is not charged as reported')
  expect(faults({ forwarded: [] })).toContain('was never forwarded')
  expect(faults({ forwarded: [FORWARDED, FORWARDED] })).toContain('was forwarded 2 times')
  expect(faults({ forwarded: [{ ...FORWARDED, answer_id: 'chatcmpl-2' }] })).toContain("another call's answer")
})

test('every event and every forwarded call is of a call that a client made', () => {
  expect(faults({}, {})).toContain('an event is of no call')
  expect(faults({ events: [] }, {})).toContain('the provider saw call-1')
  expect(faults({ besides: new Set(['request-9']) })).toContain('1 events that were waiting did not arrive')
})

test('a refused call was neither forwarded nor recorded', () => {
  const refused = { refused: [{ ...CALL, status: 429, answer_id: null }] }
  expect(faults({ events: [], forwarded: [] }, refused)).toBe('')
  expect(faults({ forwarded: [] }, refused)).toContain('has an event')
  expect(faults({ events: [] }, refused)).toContain('was forwarded')
})

test.each(['broken_off', 'unanswered'] as const)(
  'a call that is %s has at most one event, which is never free',
  (fate) => {
    const seen = { [fate]: [CALL] }
    expect(faults({ events: [HOLD], kills: LATER }, seen)).toBe('')
    expect(faults({ events: [], kills: SOON_AFTER }, seen)).toBe('')
    expect(faults({ events: [HOLD, { ...HOLD, id: 'request-2' }], kills: LATER }, seen)).toContain('has 2 events')
    expect(faults({ events: [{ ...HOLD, input_tokens: 49 }], kills: LATER }, seen)).toContain('is charged 49')
    expect(faults({ events: [{ ...EVENT, outcome: 'released' }], kills: LATER }, seen)).toContain('is free')
  },
)

test('a call is only lost where everything died soon after it was forwarded', () => {
  const seen = { unanswered: [CALL] }
  expect(faults({ events: [], kills: LATER }, seen)).toContain('was lost')
  expect(faults({ events: [], kills: [{ from: 1_000, to: 2_000 }] }, seen)).toContain('was lost')
  expect(faults({ events: [] }, seen)).toContain('nothing was killed')
})

test('where only its ledger died so soon, a call is lost if everything dies before its worker brings it back', () => {
  const seen = { unanswered: [CALL] }
  const lost = (kill: number, user_id = 'ada', loss = 5_100) => {
    const died = { kills: [{ from: kill, to: kill + 300 }], ledger_losses: [{ user_id, from: loss, to: loss + 50 }] }
    return faults({ events: [], ...died }, seen)
  }
  expect(lost(30_000)).toBe('')
  expect(lost(40_000)).toContain('was lost')
  expect(lost(30_000, 'bob')).toContain('was lost')
  expect(lost(30_000, 'ada', 6_500)).toContain('was lost')
})

test('where only its ledger died so soon, a call is lost, too, if its worker tells it in vain until it gives up', () => {
  const died = { kills: [{ from: 40_000, to: 40_300 }], ledger_losses: [{ user_id: 'ada', from: 5_100, to: 5_150 }] }
  for (const fate of ['broken_off', 'ended_badly', 'failed'] as const) {
    const lost = (took_ms: number, more: Partial<Evidence> = died) =>
      faults({ events: [], ...more }, { [fate]: [{ ...CALL, status: 503, took_ms }] })
    expect(lost(7_700)).toBe('')
    expect(lost(7_700, { ...died, ledger_losses: [] })).toContain('was lost')
    expect(lost(7_000)).toMatch(/was lost|has no event/)
  }
})

test("what failed has an error that says so: a 500 is the provider's, or a fault", () => {
  const failed = (status: number) => ({ failed: [{ ...CALL, status, answer_id: null }] })
  for (const status of [502, 503, 504]) expect(faults({ events: [HOLD] }, failed(status))).toBe('')
  expect(faults({ events: [HOLD] }, failed(500))).toContain('has a 500')
  expect(faults({ events: [HOLD], forwarded: [] }, failed(500))).toContain('has a 500')
  const theirs = [{ ...FORWARDED, is_billed: false }]
  for (const status of [400, 500, 529]) expect(faults({ events: [HOLD], forwarded: theirs }, failed(status))).toBe('')
})

test('an answer that ends early never looks whole', () => {
  expect(faults({}, { cut_short: [CALL] })).toContain('ended early as if it were whole')
  expect(faults({ some_break_off: true }, { cut_short: [CALL] })).toContain('ended early as if it were whole')
})

test('a stream that was cut where nothing but its mark was to come has an event, of no less', () => {
  const said = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}],"usage":null}\n\n'
  const seen = { cut_short: [{ ...CALL, said }] }
  expect(faults({ some_break_off: true, events: [HOLD] }, seen)).toBe('')
  expect(faults({ some_break_off: true, events: [], kills: SOON_AFTER }, seen)).toContain('has no event')
  expect(faults({ events: [HOLD] }, seen)).toContain('ended early as if it were whole')
})
