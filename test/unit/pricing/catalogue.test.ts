import { beforeAll, describe, expect, test } from 'vitest'
import { type Catalogue, loadCatalogue, matchesForSure, priceOfEntry } from '../../../src/pricing/catalogue.ts'

const usd = (dollars: number) => Math.round(dollars * 1e9)

let catalogue: Catalogue
beforeAll(async () => {
  catalogue = await loadCatalogue()
})

describe('the catalogue', () => {
  test('gives integer nano-dollars per million tokens', () => {
    const price = catalogue('openai', 'gpt-4o-mini-2024-07-18')
    expect(price).toMatchObject({
      rates: {
        input: usd(0.15),
        cached_input: usd(0.075),
        cache_write_5m: usd(0.15),
        output: usd(0.6),
        audio_input: null,
      },
      context_window: 128_000,
      priced_as: 'gpt-4o-mini',
      price_source: 'catalogue',
    })
    expect(price?.web_search_nano_usd_per_million).toBe(usd(10) * 1_000)
  })

  test('keeps long-context rates, of every kind', () => {
    const price = catalogue('anthropic', 'claude-sonnet-4-5-20250929')
    expect(price?.rates).toMatchObject({
      input: usd(3),
      cache_write_5m: usd(3.75),
      cache_write_1h: usd(6),
      output: usd(15),
    })
    expect(price?.long_context).toHaveLength(1)
    expect(price?.long_context[0]).toMatchObject({
      above_input_tokens: 200_000,
      rates: { input: usd(6), cached_input: usd(0.6), cache_write_1h: usd(12), output: usd(22.5) },
    })
  })

  test('knows that a header opens a window of a million', () => {
    expect(catalogue('anthropic', 'claude-sonnet-4-5')?.context_window).toBe(1_000_000)
  })

  test.each([
    ['openai', 'gpt-4o-audio-preview', 'audio at text rates'],
    ['openai', 'gpt-4o-search-preview', 'searches that no answer tells'],
    ['openai', 'gpt-4o-mini-search-preview', 'searches that no answer tells'],
    ['openai', 'gpt-image-1', 'image tokens'],
    ['openai', 'omni-moderation-latest', 'no price'],
    ['openai', 'gpt-4o-of-tomorrow', 'unknown'],
    ['anthropic', 'claude-opus-4-6-fast', 'a dearer sibling of what the prefix matches'],
    ['anthropic', 'claude-opus-5-7', 'another version'],
    ['anthropic', 'gpt-4o', 'another provider'],
    ['unknown', 'gpt-4o', 'unknown provider'],
    ['openai', 'constructor', 'a name of JavaScript'],
  ])('%s %s is unpriced: %s', (provider, model) => {
    expect(catalogue(provider, model)).toBeNull()
  })

  test.each(['claude-3-haiku-20240307', 'claude-sonnet-4-20250514', 'claude-opus-4-1', 'claude-3-5-sonnet-latest'])(
    '%s is priced',
    (model) => {
      expect(catalogue('anthropic', model)).not.toBeNull()
    },
  )

  test('prices audio where both ways have a price', () => {
    expect(catalogue('openai', 'gpt-audio')?.rates).toMatchObject({ audio_input: usd(32), audio_output: usd(64) })
  })
})

test('prices that cannot be right are none', () => {
  const price = (prices: Record<string, number>) => priceOfEntry('openai', 'gpt-x', 'gpt-x', prices, null)
  expect(price({ input_mtok: 1, output_mtok: 2 })).not.toBeNull()
  expect(price({ input_mtok: 0, output_mtok: 2 })).toBeNull()
  expect(price({ output_mtok: 2 })).toBeNull()
  expect(price({ input_mtok: 1 })).toBeNull()
  expect(price({ input_mtok: 1, output_mtok: 2, input_dream_mtok: 3 })).toBeNull()
})

test('missing cache prices are the dearer ones', () => {
  const rates = (provider: string) => priceOfEntry(provider, 'x', 'x', { input_mtok: 2, output_mtok: 2 }, null)?.rates
  expect(rates('anthropic')).toMatchObject({ cached_input: usd(2), cache_write_5m: usd(2.5), cache_write_1h: usd(4) })
  expect(rates('openai')).toMatchObject({ cached_input: usd(2), cache_write_5m: usd(2), cache_write_1h: usd(2) })
})

test('only a date or latest may follow a prefix', () => {
  const match = { starts_with: 'claude-x' }
  for (const id of ['claude-x', 'claude-x-20250101', 'claude-x@20250101', 'claude-x-2025-01-01', 'claude-x-latest']) {
    expect(matchesForSure(match, id), id).toBe(true)
  }
  for (const id of ['claude-x-fast', 'claude-x-2', 'claude-xl', 'claude-x-20250101-v2']) {
    expect(matchesForSure(match, id), id).toBe(false)
  }
  expect(matchesForSure({ contains: 'claude' }, 'claude-x')).toBe(false)
  expect(matchesForSure({ regex: 'claude' }, 'claude-x')).toBe(false)
})
