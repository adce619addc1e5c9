import { expect, test } from 'vitest'
import { beyondGrowth, growthOf } from '../../bench/flatness.ts'

const samples = (calls: number, rss_mib: (calls: number) => number) =>
  Array.from({ length: 31 }, (_, index) => {
    const at = (calls * index) / 30
    return { calls: at, rss_mib: rss_mib(at) }
  })
const wrong = (calls: number, rss_mib: (calls: number) => number) => beyondGrowth(growthOf(samples(calls, rss_mib)))

test('memory that rises at first and then stays is within the limits', () => {
  expect(wrong(10_000, (calls) => 200 + Math.min(99, calls / 50))).toEqual([])
})

test('more than 100 MiB in the first 10,000 calls is beyond them, even where it is given back', () => {
  expect(wrong(10_000, (calls) => (calls === 3_000 ? 301 : 200))).toEqual(['memory grew by 101 MiB in the first calls'])
})

test('what comes after 10,000 calls is no growth of the first', () => {
  expect(growthOf(samples(100_000, (calls) => 200 + (calls > 20_000 ? 150 : 0)))).toEqual({
    growth_mib: 0,
    drift_mib: 0,
  })
})

test('a leak of 700 bytes a call shows in 100,000 calls', () => {
  expect(wrong(100_000, (calls) => 200 + (calls * 700) / 2 ** 20)).toEqual([
    'memory still rose by 22 MiB in the last third',
  ])
})

test('the teeth of a garbage collector are no drift, nor is a single step', () => {
  const teeth = (calls: number) => 200 + (Math.round(calls / 100) % 17)
  expect(wrong(100_000, teeth)).toEqual([])
  expect(wrong(100_000, (calls) => (calls > 95_000 ? 230 : 200))).toEqual([])
})

test('memory that could not be told is beyond the limits', () => {
  expect(wrong(10_000, () => Number.NaN)).toHaveLength(2)
  expect(beyondGrowth(growthOf([]))).toHaveLength(2)
})
