import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decimalOfNanoUsd, nanoUsdOfDecimal, nanoUsdOfUsd, priceOf } from '../../../src/pricing/money.ts'

const read = (amount: string | number) => nanoUsdOfDecimal(amount, 1_000)

test.each([
  ['0.15', 150_000_000],
  [0.15, 150_000_000],
  ['2.50', 2_500_000_000],
  [1e-7, 100],
  [1.5e-8, 15],
  ['0.000000001', 1],
  [1e-9, 1],
  ['0', 0],
  [0, 0],
  ['1000', 1e12],
  [' 1.10000000000000 ', 1_100_000_000],
  [0.1, 100_000_000],
  [0.07, 70_000_000],
])('%j dollars are %i nano-dollars, exactly', (amount, nano_usd) => {
  expect(read(amount)).toBe(nano_usd)
})

test.each([
  ['-1', 'must not be negative'],
  [-0.5, 'must not be negative'],
  ['0.0000000001', 'must have at most 9 decimals'],
  [1e-10, 'must have at most 9 decimals'],
  [0.1 + 0.2, 'must have at most 9 decimals'],
  ['1000.000000001', 'must be at most 1000'],
  [1e21, 'must be a decimal amount of US dollars, such as "0.15"'],
  [Number.NaN, 'must be a decimal amount of US dollars, such as "0.15"'],
  [Number.POSITIVE_INFINITY, 'must be a decimal amount of US dollars, such as "0.15"'],
  ['', 'must be a decimal amount of US dollars, such as "0.15"'],
  ['1,5', 'must be a decimal amount of US dollars, such as "0.15"'],
  ['1e-3', 'must be a decimal amount of US dollars, such as "0.15"'],
  ['$1', 'must be a decimal amount of US dollars, such as "0.15"'],
  ['.5', 'must be a decimal amount of US dollars, such as "0.15"'],
  ['0x10', 'must be a decimal amount of US dollars, such as "0.15"'],
  ['9'.repeat(60), 'must be a decimal amount of US dollars, such as "0.15"'],
])('%j is refused: %s', (amount, fault) => {
  expect(read(amount)).toEqual({ fault })
})

test('every amount of nano-dollars is the same after it was written and read, as text and as a number', () => {
  fc.assert(
    fc.property(fc.nat({ max: 1e12 }), (nano_usd) => {
      expect(read(decimalOfNanoUsd(nano_usd))).toBe(nano_usd)
      expect(read(Number(decimalOfNanoUsd(nano_usd)))).toBe(nano_usd)
    }),
    { numRuns: 2_000 },
  )
})

test('the least part of a nano-dollar is charged whole, and what is whole is not rounded', () => {
  const price = (count: number) => priceOf([{ count, nano_usd_per_million: 1 }])
  expect([0, 1, 1_000_000, 1_000_001].map(price)).toEqual([0, 1, 1, 2])
})

test.each([
  [1.005, 1_005_000_000],
  [8.2, 8_200_000_000],
  [0.000_007_7, 7_700],
])("a catalogue's %d dollars are %i nano-dollars, though their product is a little less or more", (usd, nano_usd) => {
  expect(usd * 1e9).not.toBe(nano_usd)
  expect(nanoUsdOfUsd(usd)).toBe(nano_usd)
})

test('a price that is past all reason stays an exact integer', () => {
  const price = priceOf([{ count: 1e9, nano_usd_per_million: 1e13 }])
  expect(price).toBe(Number.MAX_SAFE_INTEGER)
})
