// How a call ends: what it is charged, and what its event says.

import { describe, expect, test } from 'vitest'
import type { Admission } from '../../../durable-objects/ledger/types.ts'
import type { AnswerEnd } from '../../../src/gateway/answer.ts'
import type { Call } from '../../../src/gateway/call.ts'
import { type Answered, endOfAnswer, endOfFailure } from '../../../src/gateway/call-end.ts'
import { continuedId } from '../../../src/gateway/conclude.ts'
import { NO_USAGE, PLAIN_BOUND, UNREAD } from '../../../src/providers/answer.ts'
import type { Metered } from '../../../src/providers/dialect.ts'
import { amount, DRAFT } from '../../support/ledger-fixtures.ts'
import { PRICE } from '../pricing/fixtures.ts'

const OUTPUT = { max_tokens: 100, min_tokens: 16, choices: 1 }
const CALL: Call = {
  started_at: 1_000,
  target: '/v1/chat/completions',
  asked: {} as Call['asked'],
  bytes: null,
  json: null,
  headers: [],
  bound: { ...PLAIN_BOUND, model: 'm', stream: false, input_tokens: 50, output: OUTPUT },
  price: PRICE,
  are_prices_known: true,
  output_defaults: { default_max_output_tokens: null, model_max_output_tokens: null },
  quote: {
    requests: 1,
    input_tokens: 50,
    input_cost_nano_usd: 100_000,
    output: { ...OUTPUT, nano_usd_per_mtok: 10_000_000_000 },
  },
  draft: DRAFT,
  credential: 'sk-provider',
}
const ADMISSION: Admission = {
  admitted: true,
  granted_output_tokens: 100,
  clamped: false,
  tightest: null,
  hold: amount({ requests: 1, input_tokens: 50, output_tokens: 100 }),
  reserved_at: 1_000,
  epoch: 0,
}
const METERED: Metered = {
  ...UNREAD,
  complete: true,
  may_hide_output: false,
  usage: { ...NO_USAGE, input_tokens: 10, cached_input_tokens: 4, output_tokens: 5 },
  response_model: 'm-2026',
  service_tier: 'flex',
}

const ended = (
  metered: Partial<Metered> = {},
  how: Partial<AnswerEnd> = {},
  answered: Partial<Answered> = {},
  call: Partial<Call> = {},
  admission: Partial<Admission> = {},
) =>
  endOfAnswer(
    { ...CALL, ...call },
    { ...ADMISSION, ...admission },
    {
      status: 200,
      provider_request_id: 'req-1',
      end: { metered: { ...METERED, ...metered }, cut: null, client_gone: false, first_byte_at: 1_030, ...how },
      continues_for_ms: 7_000,
      now: 1_200,
      ...answered,
    },
  )

test('an answer is charged what was reported, and its event says what is known of it', () => {
  expect(ended()).toEqual({
    outcome: 'settled',
    usage: { requests: 1, input_tokens: 10, output_tokens: 5, cost_nano_usd: (6 * 2_000 + 4 * 500 + 50_000) / 2 },
    usage_source: 'reported',
    continues: null,
    facts: expect.objectContaining({
      latency_ms: 200,
      time_to_first_byte_ms: 30,
      status: 200,
      provider_request_id: 'req-1',
      response_model: 'm-2026',
      service_tier: 'flex',
      cached_input_tokens: 4,
      error_class: null,
      priced_as: 'test-model',
      price_source: 'catalogue',
      clamped_output_tokens: null,
    }),
  })
})

describe('a refusal', () => {
  test('by the provider is charged nothing', () => {
    const refused = ended({ usage: null }, {}, { status: 500 })
    expect(refused).toMatchObject({ outcome: 'released', usage_source: 'reported' })
    expect(refused.facts?.error_class).toBe('upstream_error')
  })

  test('whose only sign is an error in the stream is charged nothing, unless there is usage', () => {
    const refused = ended({ usage: null, complete: false, is_turned_away: true })
    expect(refused).toMatchObject({ outcome: 'released', usage_source: 'reported' })
    expect(ended({ is_turned_away: true })).toMatchObject({ outcome: 'settled', usage: { input_tokens: 10 } })
  })

  test('that tells of usage all the same is charged that', () => {
    expect(ended({}, {}, { status: 500 })).toMatchObject({ outcome: 'settled', usage: { input_tokens: 10 } })
  })

  test.each([520, 524])('in Cloudflare’s words (%i) may have been billed: the hold', (status) => {
    const lost = ended({ usage: null, complete: false }, {}, { status })
    expect(lost).toMatchObject({ outcome: 'settled', usage: null, usage_source: 'hold' })
  })

  test('that is billed all the same is charged the hold', () => {
    const billed = ended({ usage: null, complete: false, is_billed: true }, {}, { status: 400 })
    expect(billed).toMatchObject({ outcome: 'settled', usage: null, usage_source: 'hold' })
  })

  test('of a call that would go on begins nothing', () => {
    expect(ended({ usage: null, continues_as: 'resp_1' }, {}, { status: 400 }).continues).toBeNull()
  })
})

test('a call that goes on is charged its request, and the rest is kept for as long as it may take', () => {
  expect(ended({ continues_as: 'resp_1' })).toMatchObject({
    usage: { requests: 1, input_tokens: 0, output_tokens: 0, cost_nano_usd: 0 },
    continues: { request_id: continuedId('openai', 'resp_1'), for_ms: 7_000, provider_id: 'resp_1' },
  })
})

test('of a call that goes on in the caller’s own account nobody can ask with the gateway’s credential', () => {
  const own = ended({ continues_as: 'resp_1' }, {}, {}, { draft: { ...DRAFT, brings_own_key: true } })
  expect(own.continues).toEqual({ request_id: continuedId('openai', 'resp_1'), for_ms: 7_000 })
})

test.each<[string, Partial<Metered>, Partial<AnswerEnd>, number, string]>([
  ['its status', { error_class: 'overloaded' }, { cut: 'upstream_cut' }, 401, 'upstream_unauthorized'],
  ['a status that forbids', {}, {}, 403, 'upstream_unauthorized'],
  ['a status that asks for patience', {}, {}, 429, 'upstream_rate_limited'],
  ['a status that blames the request', {}, {}, 400, 'upstream_invalid_request'],
  ['any other that does', {}, {}, 499, 'upstream_invalid_request'],
  ['what the provider said in it', { error_class: 'overloaded' }, { cut: 'upstream_cut' }, 200, 'overloaded'],
  ['why it was cut', {}, { cut: 'upstream_timeout', client_gone: true }, 200, 'upstream_timeout'],
  ['that its client was gone', {}, { client_gone: true }, 200, 'client_gone'],
])('the fault of an answer is %s, before all that is less', (_, metered, how, status, error_class) => {
  expect(ended(metered, how, { status }).facts?.error_class).toBe(error_class)
})

describe('the price that an event names', () => {
  const priceOf = (call: Partial<Call>) => {
    const { priced_as, price_source } = ended({}, {}, {}, call).facts ?? {}
    return [priced_as, price_source]
  }

  test('is none for a model without one, so that they can be found', () => {
    expect(priceOf({ price: null })).toEqual([null, 'none'])
  })

  test('is none where pieces are billed that it does not price', () => {
    const bound = CALL.bound && { ...CALL.bound, units: 3 }
    expect(priceOf({ bound })).toEqual([null, 'none'])
    expect(priceOf({ bound, price: { ...PRICE, unit_nano_usd: 0 } })).toEqual(['test-model', 'catalogue'])
  })

  test('is not asked for where nothing is used', () => {
    expect(priceOf({ bound: null, price: null })).toEqual([null, null])
  })
})

test('a bound that was made smaller is on the event', () => {
  expect(ended({}, {}, {}, {}, { clamped: true }).facts?.clamped_output_tokens).toBe(100)
  expect(endOfFailure(CALL, { ...ADMISSION, clamped: true }, FAILURE).facts?.clamped_output_tokens).toBe(100)
})

const FAILURE = { status: 502, error_class: 'upstream_unreachable', was_sent: true, now: 1_500 }

test('a call without an answer is charged its hold, unless it never reached the provider', () => {
  expect(endOfFailure(CALL, ADMISSION, FAILURE)).toMatchObject({
    outcome: 'settled',
    usage: null,
    usage_source: 'hold',
    facts: { status: 502, error_class: 'upstream_unreachable', latency_ms: 500, priced_as: 'test-model' },
  })
  expect(endOfFailure(CALL, ADMISSION, { ...FAILURE, was_sent: false })).toMatchObject({
    outcome: 'released',
    usage: null,
    usage_source: 'reported',
  })
})
