import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { costOf, worstCase } from '../../../src/pricing/cost.ts'
import { priceOf } from '../../../src/pricing/money.ts'
import { NO_USAGE, PLAIN_BOUND } from '../../../src/providers/answer.ts'
import { anyKinds, anyPrice, PRICE, RATES, usageWithin } from './fixtures.ts'

describe('hand-computed costs', () => {
  test('every kind at its own rate, rounded up once', () => {
    const usage = {
      ...NO_USAGE,
      input_tokens: 1_000,
      cached_input_tokens: 100,
      cache_write_5m_tokens: 200,
      cache_write_1h_tokens: 300,
      audio_input_tokens: 50,
      image_input_tokens: 150,
      output_tokens: 100,
      reasoning_tokens: 80,
      audio_output_tokens: 10,
      image_output_tokens: 20,
    }
    // 200*2000 + 100*500 + 200*2500 + 300*4000 + 50*30000 + 150*20000 = 6,650,000
    // 70*10000 + 10*60000 + 20*40000 = 2,100,000
    const price = { ...PRICE, rates: { ...RATES, image_input: 20_000_000_000, image_output: 40_000_000_000 } }
    expect(costOf(price, usage, null)).toBe(8_750_000)
    expect(costOf(price, { ...usage, web_search_requests: 2 }, null)).toBe(8_750_000 + 20_000_000)
    expect(costOf({ ...price, request_nano_usd: 7 }, usage, null)).toBe(8_750_007)
  })

  test('a fraction of a nano-dollar is charged whole, once', () => {
    const price = { ...PRICE, rates: { ...RATES, input: 1, output: 1 } }
    expect(costOf(price, { ...NO_USAGE, input_tokens: 1, output_tokens: 1 }, null)).toBe(1)
  })

  test('a long input puts the whole request on the dearer rates', () => {
    expect(costOf(PRICE, { ...NO_USAGE, input_tokens: 1_000, output_tokens: 10 }, null)).toBe(2_000_000 + 100_000)
    expect(costOf(PRICE, { ...NO_USAGE, input_tokens: 1_001, output_tokens: 10 }, null)).toBe(4_004_000 + 150_000)
  })

  test.each([
    ['flex', 50_000],
    ['priority', 250_000],
    ['default', 100_000],
    [null, 100_000],
    ['scale', 100_000],
    // Nobody priced these: as much as the dearest.
    ['fast', 250_000],
    ['constructor', 250_000],
  ])('the tier %s costs %i', (tier, cost) => {
    expect(costOf(PRICE, { ...NO_USAGE, output_tokens: 10 }, tier)).toBe(cost)
  })

  test('a rate that a tier makes a fraction is rounded up', () => {
    const price = { ...PRICE, rates: { ...RATES, output: 3 } }
    expect(costOf(price, { ...NO_USAGE, output_tokens: 1_000_000 }, 'flex')).toBe(2)
    const cheap = { ...price, tier_percent: new Map([['batch', 10]]) }
    expect(costOf(cheap, { ...NO_USAGE, output_tokens: 1_000_000 }, 'batch')).toBe(1)
  })

  test('of several rates of long inputs those of the longest that it passes apply', () => {
    const longest = { above_input_tokens: 2_000, rates: { ...RATES, input: 6_000_000_000 } }
    const price = { ...PRICE, long_context: [...PRICE.long_context, longest] }
    const costs = [2_000, 2_001].map((input_tokens) => costOf(price, { ...NO_USAGE, input_tokens }, null))
    expect(costs).toEqual([2_000 * 4_000, 2_001 * 6_000])
  })

  test('audio without a rate of its own costs as much as text, never nothing', () => {
    const price = { ...PRICE, rates: { ...RATES, audio_input: null, audio_output: null } }
    const usage = { ...NO_USAGE, input_tokens: 10, audio_input_tokens: 10, output_tokens: 10, audio_output_tokens: 10 }
    expect(costOf(price, usage, null)).toBe(10 * 2_000 + 10 * 10_000)
  })

  test('images without a rate of their own cost as much as text, those that were cached as well', () => {
    const text = { ...NO_USAGE, input_tokens: 100, cached_input_tokens: 80, output_tokens: 10 }
    const images = { ...text, image_input_tokens: 100, image_output_tokens: 10 }
    expect(costOf(PRICE, images, null)).toBe(costOf(PRICE, text, null))
  })

  test('images that were cached are charged as such, once; in a tier without a discount for it as all images', () => {
    const rates = { ...RATES, image_input: 20_000_000_000 }
    const price = { ...PRICE, rates, uncached_tiers: new Set(['flex']) }
    const usage = { ...NO_USAGE, input_tokens: 100, image_input_tokens: 90, cached_input_tokens: 80 }
    expect(costOf(price, usage, null)).toBe(20 * 20_000 + 80 * 500)
    expect(costOf(price, usage, 'flex')).toBe((90 * 20_000 + 10 * 2_000) / 2)
  })

  test('what was cached costs as much as all other input in a tier that has no discount for it', () => {
    const price = { ...PRICE, uncached_tiers: new Set(['flex']) }
    const usage = { ...NO_USAGE, input_tokens: 10, cached_input_tokens: 10 }
    expect(costOf(price, usage, null)).toBe(10 * 500)
    expect(costOf(price, usage, 'flex')).toBe((10 * 2_000) / 2)
  })

  test('a tier that nobody priced costs no less than the plain rates where no tier is dearer', () => {
    const price = { ...PRICE, tier_percent: new Map([['flex', 50]]) }
    expect(costOf(price, { ...NO_USAGE, output_tokens: 10 }, 'fast')).toBe(100_000)
  })

  test('of a sum of many requests, the longest one decides whether the rates of long inputs apply', () => {
    const usage = { ...NO_USAGE, input_tokens: 3_000 }
    expect(costOf(PRICE, usage, null, 1_000)).toBe(6_000_000)
    expect(costOf(PRICE, usage, null, 1_001)).toBe(12_000_000)
    expect(costOf(PRICE, usage, null, null)).toBe(12_000_000)
  })

  test('kinds that overlap are charged at the dearer one, and never more tokens than there were', () => {
    const usage = { ...NO_USAGE, input_tokens: 100, cached_input_tokens: 80, audio_input_tokens: 80 }
    expect(costOf(PRICE, usage, null)).toBe(80 * 30_000 + 20 * 500)
  })
})

test('a call that can cause what has no price is unpriced', () => {
  for (const kind of ['audio_input', 'audio_output'] as const) {
    const silent = { ...PRICE, rates: { ...RATES, [kind]: null }, long_context: [] }
    expect(worstCase(silent, { ...PLAIN_BOUND, [kind]: true }, 10)).toBeNull()
    expect(
      worstCase(silent, { ...PLAIN_BOUND, audio_input: true, audio_output: true, [kind]: false }, 10),
    ).not.toBeNull()
  }
  expect(worstCase(PRICE, { ...PLAIN_BOUND, units: 1 }, 10)).toBeNull()
  expect(worstCase({ ...PRICE, unit_nano_usd: 7 }, { ...PLAIN_BOUND, units: 3 }, 0)?.input_cost_nano_usd).toBe(21)
})

test.each(['fast', 'performance', 'constructor'])('the tier %s, which nobody priced, is unpriced', (service_tier) => {
  expect(worstCase(PRICE, { ...PLAIN_BOUND, service_tier }, 10)).toBeNull()
})

test.each([null, 'default', 'standard', 'auto', 'on_demand', 'scale', 'reserved'])(
  'the tier %s is the standard one',
  (service_tier) => {
    const plain = worstCase(PRICE, PLAIN_BOUND, 10)
    expect(plain).not.toBeNull()
    expect(worstCase(PRICE, { ...PLAIN_BOUND, service_tier }, 10)).toEqual(plain)
  },
)

test('the worst case is that of any tier that may answer, whatever an override makes of them', () => {
  const plain = worstCase(PRICE, PLAIN_BOUND, 10)
  const priced = (tiers: Record<string, number>) => ({ ...PRICE, tier_percent: new Map(Object.entries(tiers)) })
  expect(worstCase(priced({ priority: 50 }), { ...PLAIN_BOUND, service_tier: 'priority' }, 10)).toEqual(plain)
  const dearer = { input_cost_nano_usd: 22_000, output_nano_usd_per_mtok: 11e9 }
  for (const tier of ['default', 'standard', 'flex', 'on_demand'])
    expect(worstCase(priced({ [tier]: 110 }), PLAIN_BOUND, 10)).toEqual(dearer)
  // Fast mode, and inference in the US: either may turn out not to have been, and what runs in the US may be a batch.
  for (const tier of ['fast', 'us', 'batch_us']) {
    const price = priced({ fast_us: 100, [tier]: 110 })
    expect(worstCase(price, { ...PLAIN_BOUND, service_tier: 'fast_us' }, 10)).toEqual(dearer)
    expect(worstCase(price, PLAIN_BOUND, 10)).toEqual(plain)
  }
})

test('the worst case takes the long-context rates exactly where they can be reached', () => {
  const kinds = { ...PLAIN_BOUND, service_tier: 'priority' }
  expect(worstCase(PRICE, kinds, 1_000)).toEqual({ input_cost_nano_usd: 5_000_000, output_nano_usd_per_mtok: 25e9 })
  expect(worstCase(PRICE, kinds, 1_001)).toEqual({ input_cost_nano_usd: 10_010_000, output_nano_usd_per_mtok: 37.5e9 })
})

test.each([
  ['input', {}],
  ['cached_input', {}],
  ['cache_write_5m', { cache_write: '5m' }],
  ['cache_write_5m', { cache_write: '1h' }],
  ['cache_write_1h', { cache_write: '1h' }],
  ['audio_input', { audio_input: true }],
  ['image_input', {}],
] as const)('input is held at the rate of %s where that is the dearest that it can be: %j', (kind, more) => {
  const flat = { ...RATES, cached_input: 0, cache_write_5m: 1e9, cache_write_1h: 1e9, audio_input: 1e9, input: 1e9 }
  const price = { ...PRICE, rates: { ...flat, [kind]: 50e9 }, long_context: [] }
  expect(worstCase(price, { ...PLAIN_BOUND, ...more }, 1_000)?.input_cost_nano_usd).toBe(50_000_000)
})

test('output is held at the rate of images where that is the dearest', () => {
  const price = { ...PRICE, rates: { ...RATES, image_output: 50e9 } }
  expect(worstCase(price, PLAIN_BOUND, 10)?.output_nano_usd_per_mtok).toBe(50e9)
})

test('rates of long inputs that are cheaper lower no worst case: the input may turn out short', () => {
  const cheap = { above_input_tokens: 1_000, rates: { ...RATES, input: 1, cached_input: 1, output: 1 } }
  const price = { ...PRICE, long_context: [cheap] }
  const short = { input_cost_nano_usd: 4_000_000, output_nano_usd_per_mtok: RATES.output }
  expect(worstCase(price, PLAIN_BOUND, 2_000)).toEqual(short)
})

test('the worst case is never below the cost of any usage within the bound', () => {
  const cases = fc
    .record({ price: anyPrice, kinds: anyKinds, input: fc.nat(4_000), output: fc.nat(4_000) })
    .chain(({ price, kinds, input, output }) =>
      fc.record({
        price: fc.constant(price),
        kinds: fc.constant(kinds),
        input: fc.constant(input),
        output: fc.constant(output),
        usage: usageWithin(kinds, input, output),
        tier: fc.constantFrom(null, 'flex', 'default', ...(kinds.service_tier === null ? [] : ['priority'])),
      }),
    )
  fc.assert(
    fc.property(cases, ({ price, kinds, input, output, usage, tier }) => {
      const worst = worstCase(price, kinds, input)
      fc.pre(worst !== null)
      const held =
        worst.input_cost_nano_usd + priceOf([{ count: output, nano_usd_per_million: worst.output_nano_usd_per_mtok }])
      expect(held).toBeGreaterThanOrEqual(costOf(price, usage, tier))
    }),
    { numRuns: 1_000 },
  )
})
