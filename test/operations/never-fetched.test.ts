// A call that goes on at the provider and that nobody asks for again: in the ledger, with a clock of the test's own.

import { beforeEach, expect, test } from 'vitest'
import { Ledger } from '../../durable-objects/ledger/ledger.ts'
import { NO_FACTS } from '../../durable-objects/ledger/no-facts.ts'
import type { Conclusion, UsageEvent } from '../../durable-objects/ledger/types.ts'
import { anthropic } from '../../src/providers/anthropic.ts'
import { openai } from '../../src/providers/openai.ts'
import { amount, ask, cap, DRAFT, settlement, snapshot } from '../support/ledger-fixtures.ts'
import { nodeSql } from '../support/node-sql.ts'

const NOON = Date.UTC(2026, 5, 15, 12)
const HOLD = { input_tokens: 300, output_tokens: 64, cost_nano_usd: 5_000 }
const BATCH = 'the-batch'

const continues_for_ms = (operations: typeof openai.operations, name: string) =>
  operations.find((operation) => operation.name === name)?.continues_for_ms ?? expect.unreachable(name)

let events: UsageEvent[]
let ledger: Ledger
beforeEach(() => {
  events = []
  ledger = new Ledger(nodeSql(), { hold_ttl_ms: 600_000, emit: (event) => events.push(event) }, NOON)
  ledger.configure(snapshot([cap('total', { tokens: 1_000 })]), NOON)
})

/** A call whose answer was settled at one request and nothing else. */
function goOn(for_ms: number) {
  const output = { max_tokens: 64, min_tokens: 64, choices: 1, nano_usd_per_mtok: 1_000_000 }
  const decision = ledger.reserve(ask('a', { input_tokens: 300, input_cost_nano_usd: 4_936, output }), NOON)
  expect(decision).toMatchObject({ admitted: true, hold: HOLD })
  const continues = { request_id: BATCH, for_ms }
  ledger.settle([settlement('a', NOON, { usage: amount({ requests: 1 }), hold: amount(HOLD), continues })], NOON)
}

const used = () => ledger.status(NOON)?.caps[0]?.current_usage.tokens
const told = (tokens: number): Conclusion => ({
  request_id: BATCH,
  usage: amount({ input_tokens: tokens }),
  usage_source: 'reported',
  draft: DRAFT,
  facts: NO_FACTS,
})

test.each([
  ['openai', 'responses', 24],
  ['openai', 'batches_create', 48],
  ['anthropic', 'message_batches_create', 48],
] as const)('%s %s: the hold stays for %i hours, expires and is charged, once', (provider, name, hours) => {
  const for_ms = continues_for_ms(provider === 'openai' ? openai.operations : anthropic.operations, name)
  expect(for_ms).toBe(hours * 3_600_000)
  goOn(for_ms)
  ledger.expire(NOON + for_ms - 1)
  expect(events).toHaveLength(1)
  expect(used()).toBe(364)

  expect(ledger.nextExpiry()).toBe(NOON + for_ms)
  ledger.expire(NOON + for_ms)
  ledger.expire(NOON + for_ms + 1)
  expect(events).toHaveLength(2)
  expect(events[1]).toMatchObject({ ...HOLD, id: BATCH, requests: 0, outcome: 'expired', usage_source: 'hold' })
  expect(used()).toBe(364)
})

test('what is fetched after it has expired is corrected to what it used, in an event that replaces the other', () => {
  goOn(1_000)
  ledger.expire(NOON + 1_000)
  ledger.conclude([told(40)], NOON + 2_000)
  ledger.conclude([told(7)], NOON + 3_000)
  expect(events.slice(1)).toMatchObject([
    { id: BATCH, outcome: 'expired', revision: 0 },
    { id: BATCH, outcome: 'settled', revision: 1, input_tokens: 40 },
  ])
  expect(events).toHaveLength(3)
  expect(used()).toBe(40)
})

test('a call that this user did not make is none of its ledger', () => {
  ledger.conclude([told(40)], NOON)
  expect(events).toEqual([])
  expect(used()).toBe(0)
})
