import { expect, test } from 'vitest'
import { charge, chargeReported } from '../../../src/gateway/charge.ts'
import type { Quote } from '../../../src/gateway/quote.ts'
import { NO_USAGE, PLAIN_BOUND, UNREAD } from '../../../src/providers/answer.ts'
import type { Bound, Metered } from '../../../src/providers/dialect.ts'
import { PRICE } from '../pricing/fixtures.ts'

const METERED: Metered = {
  ...UNREAD,
  complete: true,
  seen_output_bytes: 40,
  may_hide_output: false,
}
const OUTPUT = { max_tokens: 100, min_tokens: 16, choices: 1, nano_usd_per_mtok: 10_000_000_000 }
const QUOTE: Quote = { requests: 1, input_tokens: 500, input_cost_nano_usd: 1_000_000, output: OUTPUT }
const BOUND: Bound = {
  ...PLAIN_BOUND,
  model: 'm',
  stream: false,
  input_tokens: 700,
  output: { max_tokens: null, min_tokens: 1, choices: 1 },
}
const CALL = { quote: QUOTE, price: PRICE, bound: BOUND }

test('reported usage is charged exactly, by the tier that answered', () => {
  const usage = { ...NO_USAGE, input_tokens: 10, cached_input_tokens: 4, output_tokens: 5, reasoning_tokens: 3 }
  const charged = charge({ ...METERED, usage, service_tier: 'flex' }, CALL, 100)
  expect(charged.usage).toEqual({
    requests: 1,
    input_tokens: 10,
    output_tokens: 5,
    cost_nano_usd: (6 * 2_000 + 4 * 500 + 50_000) / 2,
  })
  expect(charged.usage_source).toBe('reported')
  expect(charged.kinds).toMatchObject({ cached_input_tokens: 4, reasoning_tokens: 3 })
})

// https://github.com/mudler/LocalAI/issues/9927, https://github.com/BerriAI/litellm/issues/1354
test('a usage without input or output, beside an answer that can be seen, is no usage', () => {
  expect(charge({ ...METERED, may_hide_output: true, usage: NO_USAGE }, CALL, 100)).toMatchObject({
    usage: null,
    usage_source: 'hold',
  })
  expect(charge({ ...METERED, usage: NO_USAGE }, CALL, 100)).toMatchObject({ usage_source: 'estimated' })
  const withoutInput = { ...NO_USAGE, output_tokens: 10 }
  expect(charge({ ...METERED, usage: withoutInput }, CALL, 100)).toMatchObject({ usage_source: 'estimated' })
  const withoutOutput = { ...NO_USAGE, input_tokens: 10 }
  expect(charge({ ...METERED, usage: withoutOutput }, CALL, 100)).toMatchObject({ usage_source: 'estimated' })
  const unseen = { ...METERED, seen_output_bytes: 0, usage: withoutOutput }
  expect(charge(unseen, CALL, 100)).toMatchObject({ usage_source: 'reported' })
  const embedding = { ...CALL, bound: { ...BOUND, output: null } }
  expect(charge({ ...METERED, usage: withoutOutput }, embedding, null)).toMatchObject({ usage_source: 'reported' })
  const spoken = { ...NO_USAGE, units: 40 }
  expect(charge({ ...METERED, usage: spoken }, CALL, 100)).toMatchObject({ usage_source: 'reported' })
  const images = { ...METERED, seen_output_bytes: 0, usage: NO_USAGE }
  expect(charge(images, CALL, 100)).toMatchObject({ usage_source: 'reported' })
})

test('of the usage of many requests the longest one decides which rates apply', () => {
  const usage = { ...NO_USAGE, input_tokens: 3_000 }
  expect(chargeReported(usage, PRICE, null, 1_000).usage.cost_nano_usd).toBe(3_000 * 2_000)
  expect(chargeReported(usage, PRICE, null, 1_001).usage.cost_nano_usd).toBe(3_000 * 4_000)
})

test('a whole answer without usage is charged its input bound and all that went past, at the worst rates', () => {
  expect(charge(METERED, CALL, 100)).toMatchObject({
    usage: { requests: 1, input_tokens: 500, output_tokens: 56, cost_nano_usd: 1_000_000 + 560_000 },
    usage_source: 'estimated',
  })
  expect(charge(METERED, CALL, 20).usage?.output_tokens).toBe(20)
  expect(charge(METERED, CALL, null).usage?.output_tokens).toBe(56)
  const twice = { ...CALL, quote: { ...QUOTE, output: { ...OUTPUT, choices: 2 } } }
  expect(charge(METERED, twice, 100).usage?.output_tokens).toBe(72)
  expect(charge(METERED, twice, 20).usage?.output_tokens).toBe(40)
})

test.each([
  ['a cut answer', { ...METERED, complete: false }],
  ['an answer that may hide output', { ...METERED, may_hide_output: true }],
])('%s is charged its hold', (_, metered) => {
  expect(charge(metered, CALL, 100)).toMatchObject({ usage: null, usage_source: 'hold' })
})

test.each([
  [
    'input',
    { input_tokens: null, input_cost_nano_usd: null },
    { input_tokens: 700, cost_nano_usd: 1_400_000 + 400_000 },
  ],
  ['output', { output: { ...OUTPUT, max_tokens: null } }, { input_tokens: 500, cost_nano_usd: 1_000_000 + 400_000 }],
])('a cut call whose %s nothing bounds is charged what went past, for there is no hold', (_, unbounded, charged) => {
  const call = { ...CALL, quote: { ...QUOTE, ...unbounded } }
  expect(charge({ ...METERED, complete: false }, call, null)).toMatchObject({
    usage: { requests: 1, output_tokens: 40, ...charged },
    usage_source: 'estimated',
  })
})

test('an operation without tokens is charged one request', () => {
  const free = { requests: 1, input_tokens: 0, input_cost_nano_usd: 0, output: null }
  expect(charge({ ...METERED, complete: false }, { quote: free, price: null, bound: null }, null)).toMatchObject({
    usage: { requests: 1, input_tokens: 0, output_tokens: 0, cost_nano_usd: 0 },
    usage_source: 'reported',
  })
})
