import { expect, test } from 'vitest'
import type { Price } from '../../../src/pricing/price.ts'
import { createPriceBook } from '../../../src/pricing/price-book.ts'
import { PRICE } from './fixtures.ts'

const counting = () => {
  const looked: string[] = []
  const catalogue = async () => (_: string, model: string) => {
    looked.push(model)
    return model === 'none' ? null : PRICE
  }
  return { looked, catalogue }
}

test('an override of the exact id comes first, and may change at any time', async () => {
  let override: Price | undefined
  const book = createPriceBook({ overrides: (_, model) => (model === 'a' ? override : undefined), ...counting() })
  expect(await book.find('openai', 'a')).toBe(PRICE)
  override = { ...PRICE, price_source: 'override' }
  expect(await book.find('openai', 'a')).toBe(override)
  expect(await book.find('openai', 'a-2025')).toBe(PRICE)
})

test('prices, and that there are none, are remembered until they may have changed', async () => {
  let now = 0
  const { looked, catalogue } = counting()
  const book = createPriceBook({ catalogue, now: () => now })
  for (const model of ['a', 'none', 'a', 'none']) await book.find('openai', model)
  expect(looked).toEqual(['a', 'none'])
  now = 10 * 60_000
  await book.find('openai', 'a')
  expect(looked).toEqual(['a', 'none', 'a'])
})

test('made-up names of models do not fill the memory', async () => {
  const { looked, catalogue } = counting()
  const book = createPriceBook({ catalogue })
  await book.find('openai', 'first')
  for (let at = 0; at < 600; at++) await book.find('openai', `made-up-${at}`)
  await book.find('openai', 'first')
  expect(looked.filter((model) => model === 'first')).toHaveLength(2)
})
