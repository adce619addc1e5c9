import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { boundToWrite, quote } from '../../../src/gateway/quote.ts'
import { costOf } from '../../../src/pricing/cost.ts'
import { priceOf } from '../../../src/pricing/money.ts'
import { PLAIN_BOUND } from '../../../src/providers/answer.ts'
import type { Bound } from '../../../src/providers/dialect.ts'
import { anyKinds, anyPrice, PRICE, usageWithin } from '../pricing/fixtures.ts'

const BOUND: Bound = {
  ...PLAIN_BOUND,
  model: 'test-model',
  stream: false,
  input_tokens: 500,
  output: { max_tokens: 100, min_tokens: 1, choices: 2 },
}
const NONE = { default_max_output_tokens: null, model_max_output_tokens: null }

describe('the quote', () => {
  test('is the bound at its dearest price', () => {
    expect(quote(BOUND, PRICE, NONE)).toEqual({
      requests: 1,
      input_tokens: 500,
      input_cost_nano_usd: 1_000_000,
      output: { max_tokens: 100, min_tokens: 16, choices: 2, nano_usd_per_mtok: 10_000_000_000 },
    })
  })

  test('of an operation without tokens is one request that costs nothing', () => {
    expect(quote(null, null, NONE)).toEqual({ requests: 1, input_tokens: 0, input_cost_nano_usd: 0, output: null })
  })

  test('takes the context window where bytes do not bound the input, and says null where that is unknown', () => {
    const open = { ...BOUND, open_input: 'messages[0]' }
    expect(quote(open, PRICE, NONE)).toMatchObject({ input_tokens: 105_000, input_cost_nano_usd: 420_000_000 })
    expect(quote(open, { ...PRICE, context_window: null }, NONE)).toMatchObject({
      input_tokens: null,
      input_cost_nano_usd: null,
    })
    expect(quote(open, { ...PRICE, context_window: null }, NONE).output?.nano_usd_per_mtok).toBe(15_000_000_000)
    expect(quote({ ...open, unbounded: 'tools[0]' }, PRICE, NONE)).toMatchObject({
      input_tokens: null,
      input_cost_nano_usd: null,
    })
  })

  test('is at most the context window', () => {
    expect(quote({ ...BOUND, input_tokens: 10 ** 7 }, PRICE, NONE).input_tokens).toBe(105_000)
  })

  test('takes the input once for each round that the provider may make of it, and the window for each', () => {
    expect(quote({ ...BOUND, rounds: 3 }, PRICE, NONE).input_tokens).toBe(1_500)
    expect(quote({ ...BOUND, rounds: 3, open_input: 'messages[0]' }, PRICE, NONE).input_tokens).toBe(315_000)
  })

  test('takes all of the rounds, also where they are thousands of a large window: batches of documents, searches', () => {
    const large = { ...PRICE, context_window: 1_000_000 }
    const documents = { ...BOUND, rounds: 5_000, open_input: 'requests[0].params.messages[0].content[0]' }
    expect(quote(documents, large, NONE).input_tokens).toBe(5_000 * 1_050_000)
  })

  test('of a model without a price has amounts and no cost', () => {
    expect(quote(BOUND, null, NONE)).toMatchObject({
      input_tokens: 500,
      input_cost_nano_usd: null,
      output: { max_tokens: 100, nano_usd_per_mtok: null },
    })
  })

  test.each([
    ['the client', 40, { default_max_output_tokens: 50, model_max_output_tokens: 60 }, 40],
    ['the default', null, { default_max_output_tokens: 50, model_max_output_tokens: 60 }, 50],
    ['the default of a model whose maximum is unknown', null, { ...NONE, default_max_output_tokens: 50 }, 50],
    ['a default above the model', null, { default_max_output_tokens: 70, model_max_output_tokens: 60 }, 60],
    ['the model', null, { default_max_output_tokens: null, model_max_output_tokens: 60 }, 60],
    [
      'a model that writes more than its window, which is its input’s alone',
      null,
      { ...NONE, model_max_output_tokens: 200_000 },
      200_000,
    ],
    ['the window', null, NONE, 105_000],
    ['a client above the window', 10 ** 9, NONE, 105_000],
  ])('bounds the output by %s', (_, max_tokens, options, expected) => {
    const asked = { ...BOUND, output: { max_tokens, min_tokens: 1, choices: 1 } }
    expect(quote(asked, PRICE, options).output?.max_tokens).toBe(expected)
  })

  test('bounds the output of a client that sets a thinking budget alone by that and the default', () => {
    const asked = { ...BOUND, output: { max_tokens: null, min_tokens: 2_001, choices: 1 } }
    const bound = (model_max_output_tokens: number | null) =>
      quote(asked, PRICE, { default_max_output_tokens: 300, model_max_output_tokens }).output
    expect(bound(null)).toMatchObject({ max_tokens: 2_300, min_tokens: 2_001 })
    expect(bound(2_200)).toMatchObject({ max_tokens: 2_200, min_tokens: 2_001 })
  })

  test('stays countable where nothing but a client that asks for everything bounds it', () => {
    const asked = { ...BOUND, output: { max_tokens: Number.MAX_SAFE_INTEGER, min_tokens: 1, choices: 1 } }
    const windowless = { ...PRICE, context_window: null }
    expect(quote(asked, windowless, NONE).output).toMatchObject({ max_tokens: 10 ** 9, min_tokens: 16 })
    const reads = (input_tokens: number, rounds: number) =>
      quote({ ...BOUND, input_tokens, rounds }, windowless, NONE).input_tokens
    expect(reads(10 ** 10, 50)).toBe(50 * 10 ** 9)
    expect(reads(10 ** 9, 10 ** 8)).toBe(Number.MAX_SAFE_INTEGER)
  })

  test('asks for at least 16 tokens or more than the thinking budget, but never more than was asked', () => {
    const least = (max_tokens: number | null, min_tokens: number) =>
      quote({ ...BOUND, output: { max_tokens, min_tokens, choices: 1 } }, null, NONE).output
    expect(least(100, 1)?.min_tokens).toBe(16)
    expect(least(5, 1)?.min_tokens).toBe(5)
    expect(least(9_000, 2_001)?.min_tokens).toBe(2_001)
    expect(least(null, 1)).toMatchObject({ max_tokens: null, min_tokens: 16 })
  })

  test('is never below what a provider may bill within it', () => {
    const cases = fc
      .record({
        price: anyPrice,
        kinds: anyKinds,
        bytes: fc.nat(4_000),
        open: fc.boolean(),
        asked: fc.option(fc.integer({ min: 1, max: 4_000 })),
        choices: fc.integer({ min: 1, max: 4 }),
      })
      .map(({ price, kinds, bytes, open, asked, choices }) => {
        const output = { max_tokens: asked, min_tokens: 1, choices }
        const bound = { ...BOUND, ...kinds, input_tokens: bytes, open_input: open ? 'messages[0]' : null, output }
        return { price, bound, quoted: quote(bound, price, NONE) }
      })
      .filter(({ quoted }) => quoted.input_cost_nano_usd !== null && quoted.output?.max_tokens !== null)
      .chain(({ price, bound, quoted }) => {
        // What bytes and window bound: the provider cannot take more, nor answer more.
        const window = price.context_window ?? Number.MAX_SAFE_INTEGER
        const input = bound.open_input ? window : Math.min(bound.input_tokens, window)
        const output = Math.min(bound.output.max_tokens ?? window, window) * bound.output.choices
        return usageWithin(bound, input, output).map((usage) => ({ price, bound, quoted, usage }))
      })
    fc.assert(
      fc.property(cases, ({ price, bound, quoted, usage }) => {
        const { input_tokens, input_cost_nano_usd, output } = quoted
        const outputs = (output?.max_tokens ?? 0) * (output?.choices ?? 0)
        expect(input_tokens).toBeGreaterThanOrEqual(usage.input_tokens)
        expect(outputs).toBeGreaterThanOrEqual(usage.output_tokens)
        const held =
          (input_cost_nano_usd ?? 0) +
          priceOf([{ count: outputs, nano_usd_per_million: output?.nano_usd_per_mtok ?? 0 }])
        expect(held).toBeGreaterThanOrEqual(costOf(price, usage, bound.service_tier))
      }),
      { numRuns: 500 },
    )
  })
})

test('only a bound that neither the client nor the model keeps is written into the body', () => {
  const write = (clientSet: number | null, granted: number | null, clamped: boolean, byDefault: number | null) => {
    const output = { max_tokens: clientSet, min_tokens: 1, choices: 1 }
    const defaults = { ...NONE, default_max_output_tokens: byDefault }
    return boundToWrite({ granted_output_tokens: granted, clamped }, { ...BOUND, output }, PRICE, defaults)
  }
  expect(write(null, 16_384, false, null)).toBeNull()
  expect(write(500, 500, false, 4_000)).toBeNull()
  expect(write(null, 4_000, false, 4_000)).toBe(4_000)
  expect(write(null, 90, true, null)).toBe(90)
  expect(write(500, 90, true, null)).toBe(90)
  expect(write(null, null, false, 4_000)).toBeNull()
  expect(
    boundToWrite({ granted_output_tokens: null, clamped: false }, null, null, {
      ...NONE,
      default_max_output_tokens: 4_000,
    }),
  ).toBeNull()
  expect(write(null, 105_000, false, 200_000)).toBeNull()
  expect(write(null, 100_000, true, null)).toBeNull()
  expect(write(null, 99_999, true, null)).toBe(99_999)
  // What the client asked for is more than was granted, whatever its model can.
  expect(write(300_000, 100_000, true, null)).toBe(100_000)
})

test('where the window holds the input alone, a bound above it is written that is below the most the model answers', () => {
  const bound = { ...BOUND, output: { max_tokens: null, min_tokens: 1, choices: 1 } }
  const write = (granted_output_tokens: number) =>
    boundToWrite({ granted_output_tokens, clamped: true }, bound, PRICE, { ...NONE, model_max_output_tokens: 120_000 })
  expect([write(100_000), write(119_999), write(120_000)]).toEqual([100_000, 119_999, null])
})
