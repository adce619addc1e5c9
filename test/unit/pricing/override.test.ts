import { expect, test } from 'vitest'
import { type GivenPrice, priceOfOverride } from '../../../src/pricing/override.ts'

const priceOf = (price: GivenPrice) =>
  priceOfOverride({ id: 'one', provider: 'openai', model: 'gpt-own', effective_from: 0, price })
const PLAIN = { input: 1_000, output: 3_000 }
const FILLED = {
  ...PLAIN,
  cached_input: 1_000,
  cache_write_5m: 1_250,
  cache_write_1h: 2_000,
  audio_input: null,
  audio_output: null,
  image_input: null,
  image_output: null,
}

test('kinds of tokens that an override leaves out cost the dearest that is usual, images as much as text; audio has no price then', () => {
  const { rates, long_context } = priceOf({
    rates: PLAIN,
    long_context: [{ above_input_tokens: 5, rates: { ...PLAIN, cached_input: 100 } }],
  })
  expect(rates).toEqual(FILLED)
  expect(long_context).toEqual([{ above_input_tokens: 5, rates: { ...FILLED, cached_input: 100 } }])
})

test('what was cached may have been images', () => {
  expect(priceOf({ rates: { ...PLAIN, image_input: 9_000 } }).rates.cached_input).toBe(9_000)
  expect(priceOf({ rates: { ...PLAIN, image_input: 0 } }).rates.cached_input).toBe(PLAIN.input)
})

test('what an override gives is taken as it is, nothing too', () => {
  const given = {
    cached_input: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    audio_input: 7,
    audio_output: 0,
    image_input: 0,
    image_output: 9,
  }
  expect(priceOf({ rates: { ...PLAIN, ...given } }).rates).toEqual({ ...PLAIN, ...given })
})
