import { calcPrice } from '@pydantic/genai-prices'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Catalogue, catalogueOf, loadCatalogue, priceOfEntry } from '../../../src/pricing/catalogue.ts'
import { costOf } from '../../../src/pricing/cost.ts'
import { matchesForSure } from '../../../src/pricing/model-id.ts'
import { NO_USAGE } from '../../../src/providers/answer.ts'

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
    expect(catalogue('openai', 'gpt-4o')?.web_search_nano_usd_per_million).toBe(usd(10) * 1_000)
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

  test('knows where a header still opens a window of a million', () => {
    expect(catalogue('anthropic', 'claude-sonnet-4-5')?.context_window).toBe(200_000)
    expect(catalogue('anthropic', 'claude-haiku-4-5')?.context_window).toBe(200_000)
    expect(catalogue('bedrock', 'us.anthropic.claude-sonnet-4-5-20250929-v1:0')?.context_window).toBe(1_000_000)
    // https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-palmyra-x5.html
    expect(catalogue('bedrock', 'us.writer.palmyra-x5-v1:0')?.context_window).toBe(1_040_000)
  })

  test('a retired name that goes on to another model costs the dearer rates of both', () => {
    const ratesOn = (date: string) => catalogueOf(calcPrice, () => Date.parse(date))('gemini', 'gemini-2.5-pro')?.rates
    expect(ratesOn('2026-11-28')).toMatchObject({ input: usd(1.25), output: usd(10) })
    expect(ratesOn('2026-12-02')).toMatchObject({ input: usd(1.25), output: usd(10) })
    expect(ratesOn('2027-01-02')).toMatchObject({ input: usd(1.5), cached_input: usd(0.15), output: usd(10) })
  })

  test.each([
    ['mistral-medium', 1.5, 7.5],
    ['magistral-medium-latest', 2, 7.5],
    ['mistral-medium-2508', 0.4, 2],
  ])('the alias %s costs no less than the model that it moved on to', (model, input, output) => {
    expect(catalogue('mistral', model)?.rates).toMatchObject({ input: usd(input), output: usd(output) })
  })

  test.each([
    ['openai', 'gpt-4o-audio-preview', 'audio at text rates'],
    ['openai', 'gpt-4o-search-preview', 'searches that no answer tells'],
    ['openai', 'gpt-4o-mini-search-preview', 'searches that no answer tells'],
    ['openai', 'o3-deep-research', 'searches that no answer tells'],
    ['openai', 'dall-e-3', 'a price by size and quality'],
    ['openai', 'gpt-oss-120b', 'a price copied from elsewhere'],
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

  test.each(['gpt-5-nano-2025-08-07', 'gpt-5-mini-2025-08-07', 'gpt-4o-2024-11-20'])('%s is priced', (model) => {
    expect(catalogue('openai', model)).not.toBeNull()
  })

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
  expect(price({ input_mtok: 1, output_mtok: 0 })).toBeNull()
  expect(price({ input_mtok: 1, output_mtok: 2, input_dream_mtok: 3 })).toBeNull()
})

test('audio that has a price only one way is none, and so is a long context that has none', () => {
  const audio = { input_mtok: 1, output_mtok: 2, input_audio_mtok: 3 }
  expect(priceOfEntry('openai', 'gpt-audio-x', 'gpt-audio-x', audio, null)).toBeNull()
  const both = { ...audio, output_audio_mtok: 4 }
  expect(priceOfEntry('openai', 'gpt-audio-x', 'gpt-audio-x', both, null)).not.toBeNull()
  const long = { input_mtok: { base: 1, tiers: [{ start: 200_000, price: 0 }] }, output_mtok: 2 }
  expect(priceOfEntry('openai', 'x', 'x', long, null)).toBeNull()
})

test('an entry that the catalogue itself cannot price has no price', () => {
  const broken = catalogueOf(() => {
    throw new Error('no such tier')
  })
  expect(broken('openai', 'gpt-4o')).toBeNull()
})

test('thresholds of several kinds of tokens come in their order', () => {
  const tiered = (start: number, price: number) => ({ base: 1, tiers: [{ start, price }] })
  const prices = { input_mtok: tiered(200_000, 4), output_mtok: tiered(100_000, 3) }
  const long = priceOfEntry('openai', 'x', 'x', prices, null)?.long_context
  expect(long?.map(({ above_input_tokens, rates }) => [above_input_tokens, rates.input, rates.output])).toEqual([
    [100_000, usd(1), usd(3)],
    [200_000, usd(4), usd(3)],
  ])
})

test('a search whose fee no entry names costs what is usual at the provider', () => {
  const fee = (provider: string) =>
    priceOfEntry(provider, 'x', 'x', { input_mtok: 1, output_mtok: 2 }, null)?.web_search_nano_usd_per_million
  expect([fee('openai'), fee('anthropic'), fee('gemini')]).toEqual([usd(10_000), usd(10_000), usd(35_000)])
})

test("OpenRouter's professional Geminis whose window is not known may be long: without rates for that they have no price", () => {
  const pro = (window: number | null) =>
    priceOfEntry('openrouter', 'google/gemini-x-pro', 'google/gemini-x-pro', { input_mtok: 1, output_mtok: 2 }, window)
  expect(pro(200_000)).not.toBeNull()
  expect([pro(200_001), pro(null)]).toEqual([null, null])
})

test('a fee of requests is told by the thousand, and rounded up for one', () => {
  const fee = (requests_kcount: number) =>
    priceOfEntry('openai', 'x', 'x', { input_mtok: 1, output_mtok: 2, requests_kcount }, null)?.request_nano_usd
  expect(fee(5)).toBe(5_000_000)
  expect(fee(0.000_001_5)).toBe(2)
})

test('missing cache prices are the dearer ones', () => {
  const rates = (provider: string) => priceOfEntry(provider, 'x', 'x', { input_mtok: 2, output_mtok: 2 }, null)?.rates
  expect(rates('anthropic')).toMatchObject({ cached_input: usd(2), cache_write_5m: usd(2.5), cache_write_1h: usd(4) })
  // A model whose writes OpenAI bills has their price there.
  expect(rates('openai')).toMatchObject({ cached_input: usd(2), cache_write_5m: usd(2), cache_write_1h: usd(2) })
  // To keep a cache for longer is never cheaper.
  const dear = { input_mtok: 2, output_mtok: 2, cache_write_mtok: 7 }
  expect(priceOfEntry('anthropic', 'x', 'x', dear, null)?.rates).toMatchObject({ cache_write_1h: usd(7) })
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
  const both = { and: [match, { ends_with: 'latest' }] }
  expect(matchesForSure(both, 'claude-x-latest')).toBe(true)
  expect(matchesForSure(both, 'claude-x')).toBe(false)
})

describe('Bedrock', () => {
  const input = (model: string) => catalogue('bedrock', model)?.rates.input

  test.each([
    ['global.anthropic.claude-sonnet-4-5-20250929-v1:0', 3],
    ['us.anthropic.claude-sonnet-4-5-20250929-v1:0', 3.3],
    ['eu.anthropic.claude-sonnet-4-5-20250929-v1:0', 3.3],
    ['apac.anthropic.claude-sonnet-4-20250514-v1:0', 3],
    ['anthropic.claude-3-5-haiku-20241022-v1:0', 0.8],
    ['us.anthropic.claude-opus-4-5-20251101-v1:0', 5.5],
    ['global.anthropic.claude-opus-4-5-20251101-v1:0', 5],
    ['us.anthropic.claude-sonnet-4-6', 3.3],
    ['in.openai.gpt-5.6-terra', 2.2],
    ['amazon.nova-lite-v1:0', 0.06],
    ['us.amazon.nova-pro-v1:0:300k', 0.8],
    ['meta.llama3-1-70b-instruct-v1:0', 0.72],
    ['us.meta.llama3-3-70b-instruct-v1:0', 0.72],
    ['mistral.mistral-7b-instruct-v0:2', 0.15],
    ['amazon.titan-embed-text-v1', 0.1],
    ['arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0', 0.035],
    ['arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0', 3.3],
    [
      'arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/us-gov.anthropic.claude-haiku-4-5-20251001-v1:0',
      1.32,
    ],
  ])('%s has its price', (model, dollars) => {
    expect(input(model)).toBe(usd(dollars))
  })

  test.each([
    ['amazon.titan-embed-text-v2:0', 'the next version of what the part matches'],
    ['anthropic.claude-3-5-sonnet-20241022-v3:0', 'another version'],
    ['anthropic.claude-sonnet-4-5-20250930-v1:0', 'another date'],
    ['us.amazon.nova-lite-plus-v1:0', 'another model with the same part'],
    ['eu.amazon.nova-pro-v1:0', '15 % dearer there'],
    ['jp.amazon.nova-2-lite-v1:0', '20 % dearer there'],
    ['apac.amazon.nova-micro-v1:0', '6 % dearer there'],
    ['arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3', 'a profile that names no model'],
    ['arn:aws:bedrock:us-east-1:123456789012:provisioned-model/a1b2c3', 'throughput paid by the hour'],
    ['arn:aws:s3:::bucket/amazon.nova-lite-v1:0', 'no model'],
  ])('%s is unpriced: %s', (model) => {
    expect(catalogue('bedrock', model)).toBeNull()
  })

  test('writes to the cache cost a quarter more, and for an hour twice the input', () => {
    expect(catalogue('bedrock', 'us.anthropic.claude-opus-4-6-v1:0')?.rates).toMatchObject({
      input: usd(5.5),
      cached_input: usd(0.55),
      cache_write_5m: usd(6.875),
      cache_write_1h: usd(11),
    })
  })

  test('a long input of Sonnet 4 and 4.5 is dearer, which the entry does not say', () => {
    const price = catalogue('bedrock', 'us.anthropic.claude-sonnet-4-5-20250929-v1:0')
    expect(price?.context_window).toBe(1_000_000)
    expect(price?.long_context).toMatchObject([
      { above_input_tokens: 200_000, rates: { input: usd(6.6), cache_write_1h: usd(13.2), output: usd(24.75) } },
    ])
    expect(catalogue('bedrock', 'us.anthropic.claude-sonnet-4-6')?.long_context).toEqual([])
    for (const [provider, model] of [
      ['anthropic', 'claude-sonnet-4-20250514'],
      ['anthropic', 'claude-sonnet-4-5-20250929'],
      ['openrouter', 'anthropic/claude-sonnet-4'],
    ] as const)
      expect(catalogue(provider, model)?.long_context).toMatchObject([{ rates: { input: usd(6), output: usd(22.5) } }])
  })
})

describe('Gemini', () => {
  test.each([
    ['gemini-2.5-flash', 0.3],
    ['gemini-2.5-pro', 1.25],
    ['gemini-3.5-flash-lite', 0.3],
    ['gemini-embedding-001', 0.15],
  ])('%s has its price', (model, dollars) => {
    expect(catalogue('gemini', model)?.rates.input).toBe(usd(dollars))
  })

  test.each([
    ['gemini-2.5-pro-preview-tts-2', 'a dearer sibling of what the prefix matches'],
    ['gemini-2.5-flash-image', 'images at their own rate'],
    ['gemini-3.1-flash-live-preview', 'images and video at their own rates'],
    ['gemini-3.5-flash-ultra', 'a sibling'],
    ['gemma-3-27b-it', 'no paid tier'],
    ['gemini-2.5-flash-preview-05-20', 'retired: what answers is dearer'],
    ['claude-opus-4-6', "another provider's"],
  ])('%s is unpriced: %s', (model) => {
    expect(catalogue('gemini', model)).toBeNull()
  })

  test('audio has its own rate or none, never that of text', () => {
    expect(catalogue('gemini', 'gemini-2.5-flash')?.rates.audio_input).toBe(usd(1))
    expect(catalogue('gemini', 'gemini-3.5-flash')?.rates.audio_input).toBeNull()
    expect(catalogue('gemini', 'gemini-2.5-flash-preview-tts')?.rates).toMatchObject({ audio_output: usd(10) })
  })

  test('its professional models have the window that their entries leave out', () => {
    for (const model of ['gemini-2.5-pro', 'gemini-3-pro-preview', 'gemini-3.1-pro-preview'])
      expect(catalogue('gemini', model)?.context_window).toBe(1_048_576)
  })

  test('keeps long-context rates', () => {
    expect(catalogue('gemini', 'gemini-2.5-pro')?.long_context).toMatchObject([
      { above_input_tokens: 200_000, rates: { input: usd(2.5), output: usd(15) } },
    ])
  })
})

describe('OpenAI-compatible providers', () => {
  test.each([
    ['groq', 'llama-3.3-70b-versatile', 0.59],
    ['mistral', 'mistral-large-2512', 0.5],
    ['mistral', 'magistral-small-2509', 0.5],
    ['mistral', 'mistral-embed', 0.1],
    ['xai', 'grok-4.3', 1.25],
    ['together', 'NousResearch/Nous-Hermes-Llama2-13b', 0.225],
    ['openrouter', 'anthropic/claude-haiku-4.5', 1],
    ['openrouter', 'openai/gpt-4.1-mini', 0.4],
    ['azure', 'gpt-4o-mini', 0.15],
    ['azure', 'o4-mini', 1.1],
    ['azure', 'text-embedding-3-small', 0.02],
    ['azure', 'text-embedding-ada-002', 0.1],
    ['azure', 'codex-mini', 1.5],
    ['azure', 'claude-haiku-4-5', 1],
    ['workers-ai', '@cf/meta/llama-3.1-8b-instruct', 0.282],
    ['workers-ai', '@cf/baai/bge-m3', 0.012],
  ])('%s %s has its price', (provider, model, dollars) => {
    expect(catalogue(provider, model)?.rates.input).toBe(usd(dollars))
  })

  test.each([
    ['groq', 'whisper-large-v3', 'billed by the hour, ten seconds at least'],
    ['mistral', 'mistral-small-latest', 'an alias that moved on to a dearer model'],
    ['mistral', 'mistral-small-3.2-24b-instruct', 'a price copied from elsewhere'],
    ['mistral', 'mistral-ocr-latest', 'billed by the page'],
    ['deepseek', 'deepseek-chat', 'an alias that moved on to a dearer model'],
    ['xai', 'grok-voice-latest', 'billed by the hour'],
    ['xai', 'grok-4', 'retired: another model answers, at another price'],
    ['xai', 'grok-3-latest', 'retired'],
    ['xai', 'grok-4-fast', 'retired: what answers costs six times as much'],
    ['xai', 'grok-4-1-fast-non-reasoning', 'retired'],
    ['xai', 'grok-code-fast-1', 'retired'],
    ['xai', 'grok-build-0.1', 'retired'],
    ['xai', 'grok-3-mini', 'retired: what answers costs four times as much'],
    ['xai', 'grok-2-latest', 'retired'],
    ['xai', 'grok-latest', 'an alias that moved on to models whose cached input is dearer'],
    ['openrouter', 'x-ai/grok-4-fast', 'retired'],
    ['openrouter', 'meta-llama/llama-3.1-8b-instruct', 'the price of whichever host serves it'],
    ['openrouter', 'openai/gpt-oss-20b', 'open weights'],
    ['openrouter', 'openai/gpt-5-image', 'images'],
    ['openrouter', 'google/gemini-2.5-pro', 'long-context rates that are missing'],
    ['openrouter', 'x-ai/grok-4.3', 'long-context rates that are missing'],
    ['openrouter', 'anthropic/claude-haiku-4.5:nitro', 'a variant'],
    ['openrouter', 'qwen/qwen3-8b:free', 'free'],
    ['azure', 'my-deployment', 'a name that tells nothing'],
    ['azure', 'deepseek-v4-pro', "Azure's own price is three times DeepSeek's"],
    ['azure', 'grok-4.20', "Azure's own price is above xAI's"],
    ['azure', 'phi-4', "OpenRouter's price"],
  ])('%s %s is unpriced: %s', (provider, model) => {
    expect(catalogue(provider, model)).toBeNull()
  })

  test('near a change of the hour the dearer price applies, at other times the one of the hour', () => {
    const at = (time: string) =>
      catalogueOf(calcPrice, () => Date.parse(`2026-11-18T${time}Z`))('deepseek', 'deepseek-v4-pro')?.rates.input
    expect(at('12:00')).toBe(usd(0.66))
    expect(at('00:00')).toBe(usd(0.66))
    expect(at('00:30')).toBe(usd(1.32))
    expect(at('02:00')).toBe(usd(1.32))
    expect(at('03:50')).toBe(usd(1.32))
    expect(at('04:00')).toBe(usd(0.66))
  })
})

test('image models have rates of images beside those of text; of what was cached, which no usage tells apart, the dearer', () => {
  const rates = (model: string) => catalogue('openai', model)?.rates
  const [text, image] = [
    { input: usd(5), output: usd(10) },
    { image_input: usd(8), image_output: usd(32) },
  ]
  expect(rates('gpt-image-1.5')).toMatchObject({ ...text, ...image, cached_input: usd(2) })
  expect(rates('gpt-image-1')).toMatchObject({
    input: usd(5),
    image_input: usd(10),
    output: usd(40),
    image_output: null,
  })
  const prices = { input_mtok: 5, cache_read_mtok: 1, output_mtok: 40, input_image_mtok: 10 }
  expect(priceOfEntry('openai', 'gpt-image-x', 'gpt-image-x', prices, null)?.rates.cached_input).toBe(usd(10))
})

test('an image model with a rate that is not understood is unpriced', () => {
  const prices = { input_mtok: 5, output_mtok: 10, output_image_hd_mtok: 60 }
  expect(priceOfEntry('openai', 'gpt-image-x', 'gpt-image-x', prices, null)).toBeNull()
})

test('elsewhere no usage tells images apart: an entry with a rate of theirs is unpriced', () => {
  const prices = { input_mtok: 1, output_mtok: 2, output_image_mtok: 30 }
  expect(priceOfEntry('gemini', 'gemini-x-image', 'gemini-x-image', prices, null)).toBeNull()
  expect(priceOfEntry('openai', 'gpt-x', 'gpt-x', prices, null)).toBeNull()
})

test('text and images of one call cost what its provider bills', () => {
  const cost = (model: string, usage: object) =>
    costOf(catalogue('openai', model) ?? expect.unreachable(), { ...NO_USAGE, ...usage }, null)
  const usage = { input_tokens: 100, image_input_tokens: 40, output_tokens: 1_000, image_output_tokens: 1_000 }
  expect(cost('gpt-image-1', usage)).toBe(60 * 5_000 + 40 * 10_000 + 1_000 * 40_000)
  const mixed = { ...usage, image_output_tokens: 700 }
  expect(cost('gpt-image-1.5', mixed)).toBe(60 * 5_000 + 40 * 8_000 + 300 * 10_000 + 700 * 32_000)
})

const IMAGE_MODELS = ['gpt-image-1', 'gpt-image-1-mini', 'gpt-image-1.5', 'gpt-image-2']

test.each(IMAGE_MODELS)('%s: cached tokens never cost too little, nor more than if all were images', (model) => {
  const found = calcPrice({ input_tokens: 0 }, model, { providerId: 'openai' })?.model_price
  const usdOf = (key: string) => Number(found?.[key] ?? Number.NaN)
  const price = catalogue('openai', model) ?? expect.unreachable()
  fc.assert(
    fc.property(fc.nat(1_000), fc.nat(1_000), fc.nat(1_000), fc.nat(1_000), (text, image, cachedText, cachedImage) => {
      const usage = {
        ...NO_USAGE,
        input_tokens: text + image + cachedText + cachedImage,
        image_input_tokens: image + cachedImage,
        cached_input_tokens: cachedText + cachedImage,
      }
      const billed = text * usdOf('input_mtok') + image * usdOf('input_image_mtok')
      const cached = cachedText * usdOf('cache_read_mtok') + cachedImage * usdOf('cache_image_read_mtok')
      const cost = costOf(price, usage, null)
      expect(cost).toBeGreaterThanOrEqual(Math.floor((billed + cached) * 1_000))
      const images = (text + image) * usdOf('input_image_mtok')
      const cachedImages = (cachedText + cachedImage) * usdOf('cache_image_read_mtok')
      expect(cost).toBeLessThanOrEqual(Math.ceil((images + cachedImages) * 1_000))
    }),
  )
})

test('seconds and characters have the published prices', () => {
  expect((catalogue('openai', 'whisper-1')?.unit_nano_usd ?? 0) * 60).toBe(usd(0.006))
  expect((catalogue('openai', 'tts-1')?.unit_nano_usd ?? 0) * 1_000_000).toBe(usd(15))
  expect((catalogue('openai', 'TTS-1-HD')?.unit_nano_usd ?? 0) * 1_000_000).toBe(usd(30))
})

test.each([
  // https://aws.amazon.com/bedrock/pricing, as others quote it: extended access, and GovCloud.
  ['bedrock', 'anthropic.claude-3-5-sonnet-20241022-v2:0', 6, 30],
  ['bedrock', 'us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0', 3.6, 18],
  ['bedrock', 'us-gov.openai.gpt-oss-120b-1:0', 0.18, 0.72],
  ['openrouter', 'anthropic/claude-3.5-sonnet', 6, 30],
  // https://www.together.ai/models/llama-3-3-70b, as https://github.com/anomalyco/models.dev/pull/2989 shows it.
  ['together', 'meta-llama/Llama-3.3-70B-Instruct-Turbo', 1.04, 1.04],
  // Billed in neurons.
  ['workers-ai', '@cf/zai-org/glm-4.7-flash', 0.0605, 0.4],
])('%s %s costs at least what it was raised to, and hardly more', (provider, model, input, output) => {
  const { rates } = catalogue(provider, model) ?? expect.unreachable(model)
  for (const [rate, raised] of [
    [rates.input, usd(input)],
    [rates.output, usd(output)],
  ] as const) {
    expect(rate).toBeGreaterThanOrEqual(raised)
    expect(rate).toBeLessThanOrEqual(raised * 1.11)
  }
})

test('what was raised costs more to cache, too', () => {
  const rates = catalogue('bedrock', 'anthropic.claude-3-5-sonnet-20241022-v2:0')?.rates
  expect(rates).toMatchObject({ cached_input: usd(0.6), cache_write_5m: usd(7.5), cache_write_1h: usd(12) })
})

// It was to last until 21 November 2026 at least; Azure's until the 30th. OpenRouter's entry is half of it.
test.each([
  ['openai', 'gpt-5.6-sol', 1],
  ['openai', 'gpt-5.6', 1],
  ['openai', 'gpt-5-6-sol', 1],
  ['azure', 'gpt-5.6-sol', 1],
  ['bedrock', 'us.openai.gpt-5.6-sol', 1.1],
  ['openrouter', 'openai/gpt-5.6-sol', 1],
])(
  'a promotion that may be over is not trusted: %s %s costs at least what it did before',
  (provider, model, factor) => {
    const price = catalogue(provider, model) ?? expect.unreachable(model)
    expect(price.rates).toMatchObject({
      input: usd(5 * factor),
      cached_input: usd(0.5 * factor),
      cache_write_5m: usd(6.25 * factor),
      output: usd(30 * factor),
    })
    expect(price.long_context).toMatchObject([{ rates: { input: usd(10 * factor), output: usd(45 * factor) } }])
  },
)

test('no write to a cache is cheaper than the input that it is, at any provider', () => {
  for (const [provider, model] of [
    ['openrouter', 'google/gemini-3.1-flash-lite'],
    ['gemini', 'gemini-2.5-flash'],
    ['openai', 'gpt-5.6-sol'],
  ] as const) {
    const rates = catalogue(provider, model)?.rates
    expect(rates?.cache_write_5m, model).toBeGreaterThanOrEqual(rates?.input ?? Number.NaN)
  }
})

test('tiers: batch and flex halve, priority adds what the provider asks', () => {
  const tiers = (provider: string, model: string) => Object.fromEntries(catalogue(provider, model)?.tier_percent ?? [])
  expect(tiers('openai', 'gpt-4o')).toMatchObject({ batch: 50, flex: 50, priority: 170 })
  expect(tiers('bedrock', 'amazon.nova-pro-v1:0')).toMatchObject({ batch: 50, flex: 50, priority: 175 })
  expect(tiers('gemini', 'gemini-2.5-flash')).toMatchObject({ batch: 50, flex: 50, priority: 200 })
  expect(tiers('anthropic', 'claude-sonnet-4-5')).toMatchObject({ batch: 50 })
  // Inference in the US alone is a tenth dearer, in every tier.
  expect(tiers('anthropic', 'claude-opus-4-6')).toMatchObject({ us: 110, batch_us: 55, fast: 600, fast_us: 660 })
  expect(tiers('bedrock', 'amazon.nova-pro-v1:0')).toMatchObject({ optimized: 125 })
  expect(tiers('azure', 'gpt-4o')).toMatchObject({ batch: 50, priority: 250 })
})

test.each([
  ['gpt-6-astra', 20, 100],
  ['gpt-5.6-sol', 10, 60],
  ['gpt-5.5', 12.5, 75],
  ['gpt-5.4', 5, 30],
  ['gpt-5.2-2025-12-11', 3.5, 28],
  ['gpt-5-mini', 0.45, 3.6],
  ['gpt-4.1', 3.5, 14],
  ['gpt-4.1-nano', 0.2, 0.8],
  ['gpt-4o-2024-05-13', 8.75, 26.25],
  ['gpt-4o-mini-2024-07-18', 0.25, 1],
  ['o3', 3.5, 14],
  ['o4-mini', 2, 8],
])('the priority price of %s is never below the published one, and at most a percent above', (model, input, output) => {
  const price = catalogue('openai', model) ?? expect.unreachable(model)
  const percent = price.tier_percent.get('priority') ?? 0
  for (const [rate, published] of [
    [price.rates.input, usd(input)],
    [price.rates.output, usd(output)],
  ] as const) {
    expect(Math.ceil((rate * percent) / 100)).toBeGreaterThanOrEqual(published)
    expect((rate * percent) / 100).toBeLessThanOrEqual(published * 1.01)
  }
})

test('a model whose tiers are not known has the dearest ones of its provider', () => {
  const percent = (provider: string, model: string, tier: string) =>
    catalogue(provider, model)?.tier_percent.get(tier) ?? expect.unreachable(model)
  expect(percent('openai', 'gpt-5.4-nano', 'priority')).toBe(250)
  expect(percent('anthropic', 'claude-opus-4-6', 'fast')).toBe(600)
  // $10 and $50 where the plain price is $5 and $25.
  expect(percent('anthropic', 'claude-opus-4-8', 'fast')).toBe(200)
  expect(percent('anthropic', 'claude-opus-5', 'fast_us')).toBe(220)
  expect(percent('anthropic', 'claude-opus-5-5', 'fast')).toBe(200)
  expect(percent('anthropic', 'claude-sonnet-5', 'fast')).toBe(600)
  expect(percent('openai', 'gpt-3.5-turbo-1106', 'batch')).toBe(100)
})

test('before GPT-5 a batch has no discount for cached input', () => {
  const usage = { ...NO_USAGE, input_tokens: 1_000_000, cached_input_tokens: 1_000_000 }
  const cost = (model: string, tier: string | null) =>
    costOf(catalogue('openai', model) ?? expect.unreachable(model), usage, tier)
  expect(cost('gpt-4o', 'batch')).toBe(usd(1.25))
  expect(cost('gpt-4o', null)).toBe(usd(1.25))
  expect(cost('o3', 'batch')).toBe(usd(1))
  expect(cost('o3', 'flex')).toBe(usd(0.25))
  expect(cost('gpt-5', 'batch')).toBe(usd(0.0625))
})

test('what a search finds is billed by the block of 8,000 input tokens where OpenAI says so', () => {
  const fee = (model: string) => catalogue('openai', model)?.web_search_nano_usd_per_million
  const plain = usd(10) * 1_000
  expect(fee('gpt-4o-mini-2024-07-18')).toBe(plain + 8_000 * usd(0.15))
  expect(fee('gpt-4.1-mini')).toBe(plain + 8_000 * usd(0.4))
  expect(fee('gpt-4.1')).toBe(plain)
  expect(fee('gpt-5-mini')).toBe(plain)
})
