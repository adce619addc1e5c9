import { expect, test } from 'vitest'
import { charge } from '../../../src/gateway/charge.ts'
import type { Quote } from '../../../src/gateway/quote.ts'
import type { Metered } from '../../../src/providers/dialect.ts'
import { NO_USAGE, PRICE } from '../pricing/fixtures.ts'

const METERED: Metered = {
  usage: null,
  complete: true,
  seen_output_bytes: 40,
  may_hide_output: false,
  response_model: null,
  service_tier: null,
  error_class: null,
}
const QUOTE: Quote = {
  requests: 1,
  input_tokens: 500,
  input_cost_nano_usd: 1_000_000,
  output: { max_tokens: 100, min_tokens: 16, choices: 1, nano_usd_per_mtok: 10_000_000_000 },
}

test('reported usage is charged exactly, by the tier that answered', () => {
  const usage = { ...NO_USAGE, input_tokens: 10, cached_input_tokens: 4, output_tokens: 5, reasoning_tokens: 3 }
  const charged = charge({ ...METERED, usage, service_tier: 'flex' }, QUOTE, PRICE, 100)
  expect(charged.usage).toEqual({
    requests: 1,
    input_tokens: 10,
    output_tokens: 5,
    cost_nano_usd: (6 * 2_000 + 4 * 500 + 50_000) / 2,
  })
  expect(charged.usage_source).toBe('reported')
  expect(charged.kinds).toMatchObject({ cached_input_tokens: 4, reasoning_tokens: 3 })
})

test('a whole answer without usage is charged its input bound and all that went past, at the worst rates', () => {
  expect(charge(METERED, QUOTE, PRICE, 100)).toMatchObject({
    usage: { requests: 1, input_tokens: 500, output_tokens: 56, cost_nano_usd: 1_000_000 + 560_000 },
    usage_source: 'estimated',
  })
  expect(charge(METERED, QUOTE, PRICE, 20).usage?.output_tokens).toBe(20)
})

test.each([
  ['a cut answer', { ...METERED, complete: false }, QUOTE],
  ['an answer that may hide output', { ...METERED, may_hide_output: true }, QUOTE],
  ['an input that nothing bounds', METERED, { ...QUOTE, input_tokens: null }],
])('%s is charged its hold', (_, metered, quoted) => {
  expect(charge(metered, quoted, PRICE, 100)).toMatchObject({ usage: null, usage_source: 'hold' })
})

test('an operation without tokens is charged one request', () => {
  const free = { requests: 1, input_tokens: 0, input_cost_nano_usd: 0, output: null }
  expect(charge({ ...METERED, complete: false }, free, null, null)).toMatchObject({
    usage: { requests: 1, input_tokens: 0, output_tokens: 0, cost_nano_usd: 0 },
    usage_source: 'reported',
  })
})
