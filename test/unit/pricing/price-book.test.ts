import { describe, expect, test } from 'vitest'
import type { Override } from '../../../src/pricing/override.ts'
import { createOverrides, encodeOverrides } from '../../../src/pricing/overrides.ts'
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

const override = (model: string, effective_from = 0, more: Partial<Override['price']> = {}): Override => ({
  id: `00000000-0000-0000-0000-${String(effective_from).padStart(12, '0')}`,
  provider: 'openai',
  model,
  effective_from,
  price: { rates: { input: 7, output: 8 }, ...more },
})

function stored(...list: Override[]) {
  const clock = { now: 1_000 }
  const store = {
    value: encodeOverrides(list) as string | null,
    reads: 0,
    broken: false,
    get: async () => {
      store.reads += 1
      if (store.broken) throw new Error('KV is away')
      return store.value
    },
    put: async (value: string) => {
      if (store.broken) throw new Error('KV is away')
      store.value = value
    },
  }
  const now = () => clock.now
  const overrides = createOverrides(store, now)
  const book = createPriceBook({ overrides, ...counting(), now })
  return { book, overrides, store, clock }
}

test('an override of the exact id comes first, in whatever case the caller writes it', async () => {
  const { book } = stored(override('GPT-a'))
  for (const model of ['gpt-a', 'GPT-A', ' gpt-a '])
    expect(await book.find('openai', model)).toMatchObject({
      rates: { input: 7, cached_input: 7, output: 8, audio_input: null },
      priced_as: 'GPT-a',
      price_source: 'override:00000000-0000-0000-0000-000000000000',
    })
  expect(await book.find('openai', 'gpt-a-2025')).toBe(PRICE)
  expect(await book.find('azure', 'gpt-a')).toBe(PRICE)
})

test('an override applies from its instant on, at the time of the call and without another read', async () => {
  const { book, store, clock } = stored(override('A', 2_000, { rates: { input: 9, output: 9 } }), override('a', 500))
  expect((await book.find('openai', 'a'))?.rates.input).toBe(7)
  expect(await book.explain('openai', 'a')).toMatchObject({
    source: 'override',
    override: { effective_from: 500 },
    next: { effective_from: 2_000 },
  })
  clock.now = 1_999
  expect((await book.find('openai', 'a'))?.rates.input).toBe(7)
  clock.now = 2_000
  expect((await book.find('openai', 'a'))?.rates.input).toBe(9)
  expect((await book.explain('openai', 'a')).next).toBeNull()
  expect(store.reads).toBe(1)
})

test('before the first override takes effect the catalogue applies', async () => {
  const { book } = stored(override('a', 5_000))
  expect(await book.find('openai', 'a')).toBe(PRICE)
  expect(await book.explain('openai', 'a')).toMatchObject({ source: 'catalogue', next: { effective_from: 5_000 } })
})

test('what an override leaves out is usual at the provider, and its window is that of the catalogue', async () => {
  const { book } = stored(
    { ...override('c', 0, { rates: { input: 200, output: 1 } }), provider: 'anthropic' },
    override('d', 0, { tier_percent: { batch: 40 }, context_window: 5, web_search_nano_usd_per_thousand: 3 }),
  )
  expect(await book.find('anthropic', 'c')).toMatchObject({
    rates: { cached_input: 200, cache_write_5m: 250, cache_write_1h: 400 },
    context_window: PRICE.context_window,
    web_search_nano_usd_per_million: 10_000_000_000_000,
  })
  const price = await book.find('openai', 'd')
  expect(Object.fromEntries(price?.tier_percent ?? [])).toEqual({
    batch: 40,
    flex: 50,
    priority: 250,
  })
  expect(price).toMatchObject({ context_window: 5, web_search_nano_usd_per_million: 3_000 })
})

test('of a provider that is not known here, what an override leaves out is the dearest of any', async () => {
  const { book } = stored({ ...override('m', 0, { rates: { input: 200, output: 1 } }), provider: 'acme' })
  const price = await book.find('acme', 'm')
  expect(price?.web_search_nano_usd_per_million).toBe(35_000_000_000_000)
  expect(price?.tier_percent.size).toBe(0)
})

test('an override leaves the rules of its model as they are', async () => {
  const { book } = stored(
    override('gpt-4o-mini', 0, { rates: { input: 150, output: 600 } }),
    override('gpt-4.1-mini', 0, { rates: { input: 150, output: 600 }, web_search_nano_usd_per_thousand: 3 }),
    override('gpt-3.5-turbo-1106'),
    override('gpt-5-mini'),
  )
  // Its searches find 8,000 tokens that no usage counts, and its batches have no discount for cached input.
  const price = await book.find('openai', 'gpt-4o-mini')
  expect(price?.web_search_nano_usd_per_million).toBe(10_000_000_000_000 + 8_000 * 150)
  expect(price?.uncached_tiers).toEqual(new Set(['batch']))
  expect(price?.tier_percent.get('priority')).toBe(167)
  // Who names the fee names all of it.
  expect((await book.find('openai', 'gpt-4.1-mini'))?.web_search_nano_usd_per_million).toBe(3_000)
  expect((await book.find('openai', 'gpt-3.5-turbo-1106'))?.tier_percent.get('batch')).toBe(100)
  expect(await book.find('openai', 'gpt-5-mini')).not.toHaveProperty('uncached_tiers')
})

test('what an override says is what applies: fees, pieces, audio, images and long inputs, and an hour of cache is never cheaper', async () => {
  const long = { above_input_tokens: 1_000, rates: { input: 14, output: 16 } }
  const rates = {
    input: 100,
    output: 8,
    cache_write_5m: 900,
    audio_input: 30,
    audio_output: 60,
    image_input: 150,
    image_output: 9,
  }
  const { book } = stored(override('rates', 0, { rates, long_context: [long] }), {
    ...override('pieces'),
    price: { request_nano_usd: 5, unit_nano_usd: 6 },
  })
  expect(await book.find('openai', 'rates')).toMatchObject({
    rates: { ...rates, cache_write_1h: 900 },
    long_context: [{ above_input_tokens: 1_000, rates: { input: 14, cached_input: 14, output: 16 } }],
    unit_nano_usd: null,
  })
  expect(await book.find('openai', 'pieces')).toMatchObject({
    rates: { input: 0, output: 0 },
    request_nano_usd: 5,
    unit_nano_usd: 6,
  })
})

test('an override applies to its model, whether that or the call is written as an ARN', async () => {
  const arn = (id: string) => `arn:aws:bedrock:us-east-1:123456789012:inference-profile/${id}`
  const { book } = stored(
    { ...override('us.amazon.nova-pro-v1:0'), provider: 'bedrock' },
    { ...override(arn('us.amazon.nova-lite-v1:0')), provider: 'bedrock' },
  )
  const sourceOf = async (model: string) => (await book.explain('bedrock', model)).source
  expect(await sourceOf(arn('us.amazon.nova-pro-v1:0'))).toBe('override')
  expect(await sourceOf(arn('us.amazon.nova-lite-v1:0'))).toBe('override')
  expect(await sourceOf('us.amazon.nova-lite-v1:0')).toBe('override')
  expect(await sourceOf('amazon.nova-lite-v1:0')).toBe('catalogue')
})

test('a thousand calls at once and after another read the store once', async () => {
  const { book, store, clock } = stored(override('a'))
  await book.find('openai', 'a')
  for (let call = 0; call < 1_000; call++) await book.find('openai', 'a')
  expect(store.reads).toBe(1)
  clock.now += 30_000
  await Promise.all(Array.from({ length: 1_000 }, () => book.find('openai', 'a')))
  expect(store.reads).toBe(2)
})

test('a change is seen after half a minute, and at once by an isolate that has slept', async () => {
  const { book, store, clock } = stored(override('a'))
  await book.find('openai', 'a')
  store.value = encodeOverrides([])
  clock.now += 29_999
  expect((await book.explain('openai', 'a')).source).toBe('override')
  clock.now += 1
  expect((await book.explain('openai', 'a')).source).toBe('catalogue')
  store.value = encodeOverrides([override('a')])
  clock.now += 45_000
  const all = await Promise.all([1, 2, 3].map(() => book.explain('openai', 'a')))
  expect(all.map(({ source }) => source)).toEqual(['override', 'override', 'override'])
})

test('a change is seen at once by the isolate that wrote it, and not at all where it could not be written', async () => {
  const { book, overrides, store } = stored(override('a'))
  await book.find('openai', 'a')
  await overrides.put(encodeOverrides([]))
  expect((await book.explain('openai', 'a')).source).toBe('catalogue')
  store.broken = true
  await expect(overrides.put(encodeOverrides([override('a')]))).rejects.toThrow('away')
  expect((await book.explain('openai', 'a')).source).toBe('catalogue')
})

describe('a change that is written while the store is read stays', () => {
  async function expectItStays({ book, overrides, store }: ReturnType<typeof stored>) {
    const before = Promise.withResolvers<string>()
    store.get = () => before.promise
    const asked = book.explain('openai', 'a')
    await overrides.put(encodeOverrides([]))
    before.resolve(encodeOverrides([override('a')]))
    expect((await asked).source).toBe('catalogue')
    expect((await book.explain('openai', 'a')).source).toBe('catalogue')
  }

  test('where nothing was known', () => expectItStays(stored(override('a'))))

  test('where it is what was known before another worker’s change', async () => {
    const known = stored()
    await known.book.find('openai', 'a')
    known.clock.now += 45_000
    await expectItStays(known)
  })
})

test('a change is seen after half a minute also where the clock was set back', async () => {
  const { book, store, clock } = stored(override('a'))
  clock.now += 3_600_000
  await book.find('openai', 'a')
  store.value = encodeOverrides([])
  clock.now -= 3_600_000
  expect((await book.explain('openai', 'a')).source).toBe('catalogue')
})

test('while one request reads, others go on with what is known; a reader that never returns does not hold them up', async () => {
  const { book, store, clock } = stored(override('a'))
  await book.find('openai', 'a')
  clock.now += 30_000
  const { get } = store
  const stuck = Promise.withResolvers<string | null>()
  let asked = 0
  store.get = () => {
    asked += 1
    return stuck.promise
  }
  const reading = book.find('openai', 'a')
  expect((await book.explain('openai', 'a')).source).toBe('override')
  expect(asked).toBe(1)
  store.get = get
  clock.now += 2_000
  store.value = encodeOverrides([])
  expect((await book.explain('openai', 'a')).source).toBe('catalogue')
  // Else it would give up, and say so, in the midst of a later test.
  stuck.resolve(store.value)
  await reading
})

test('a read that ends after a later one undoes nothing of what that has found', async () => {
  const { book, store, clock } = stored(override('a'))
  const { get, value } = store
  let answer = (_: string | null) => {}
  store.get = () => new Promise((resolve) => (answer = resolve))
  const first = book.explain('openai', 'a')
  store.get = get
  store.value = encodeOverrides([])
  clock.now += 45_000
  expect((await book.explain('openai', 'a')).source).toBe('catalogue')
  answer(value)
  await first
  expect((await book.explain('openai', 'a')).source).toBe('catalogue')
})

test('nor where that has found what was known before', async () => {
  const { book, store, clock } = stored()
  await book.find('openai', 'a')
  clock.now += 45_000
  const { get } = store
  const late = Promise.withResolvers<string>()
  store.get = () => late.promise
  const first = book.explain('openai', 'a')
  store.get = get
  expect((await book.explain('openai', 'a')).source).toBe('catalogue')
  late.resolve(encodeOverrides([override('a')]))
  await first
  expect((await book.explain('openai', 'a')).source).toBe('catalogue')
})

test('while the store is away what was read last goes on, and the store is not asked for each call', async () => {
  const { book, store, clock } = stored(override('a'))
  await book.find('openai', 'a')
  store.broken = true
  clock.now += 3_600_000
  for (let call = 0; call < 100; call++) expect((await book.explain('openai', 'a')).source).toBe('override')
  expect(store.reads).toBe(2)
})

test('where the store never answered nothing has a price, until it answers', async () => {
  const { book, store, clock } = stored()
  store.broken = true
  expect(await book.explain('openai', 'a')).toMatchObject({ price: null, source: 'overrides_unknown' })
  await expect(book.find('openai', 'a')).rejects.toThrow('openai/a')
  store.broken = false
  clock.now += 1_000
  expect(await book.find('openai', 'a')).toBe(PRICE)
})

test.each(['{', '[]', '{"format":2,"overrides":[]}', '{"format":1}', 'null'])(
  'what no admin wrote (%s) is not taken for "no overrides"',
  async (value) => {
    const { book, store } = stored()
    store.value = value
    await expect(book.find('openai', 'a')).rejects.toThrow('openai/a')
  },
)

test('a store that was never written has no overrides', async () => {
  const { book, store } = stored()
  store.value = null
  expect(await book.find('openai', 'a')).toBe(PRICE)
})

test('prices that come with configuration are below overrides and above the catalogue', async () => {
  const fixed = { ...PRICE, request_nano_usd: 5, price_source: 'configuration' as const }
  const configured = (provider: string, model: string) =>
    provider === 'places' && model === 'search' ? fixed : undefined
  const list = encodeOverrides([{ ...override('details'), provider: 'places' }])
  const store = { get: async () => list, put: async () => {} }
  const book = createPriceBook({ configured, overrides: createOverrides(store), ...counting() })
  expect(await book.explain('places', 'search')).toMatchObject({ price: fixed, source: 'configuration' })
  expect((await book.explain('places', 'details')).source).toBe('override')
  expect((await book.explain('openai', 'search')).source).toBe('catalogue')
})

test('prices, and that there are none, are remembered until they may have changed', async () => {
  let now = 0
  const { looked, catalogue } = counting()
  const book = createPriceBook({ catalogue, now: () => now })
  for (const model of ['a', 'none', 'a', 'none']) await book.find('openai', model)
  expect(looked).toEqual(['a', 'none'])
  now = 10 * 60_000
  for (const model of ['a', 'a']) await book.find('openai', model)
  expect(looked).toEqual(['a', 'none', 'a'])
})

test('what a clock has remembered that was then set back is not remembered until it is that late again', async () => {
  let now = 24 * 3_600_000
  const { looked, catalogue } = counting()
  const book = createPriceBook({ catalogue, now: () => now })
  await book.find('openai', 'a')
  now = 0
  await book.find('openai', 'a')
  expect(looked).toEqual(['a', 'a'])
})

test('one model is remembered for each of its providers: they do not cost the same', async () => {
  const catalogue = async () => (provider: string) => ({ ...PRICE, priced_as: provider })
  const book = createPriceBook({ catalogue })
  const priced = [
    await book.find('groq', 'llama'),
    await book.find('together', 'llama'),
    await book.find('groq', 'llama'),
  ]
  expect(priced.map((price) => price?.priced_as)).toEqual(['groq', 'together', 'groq'])
  expect(await createPriceBook(counting()).explain('openai', 'none')).toMatchObject({ price: null, source: 'none' })
})

test('made-up names of models do not fill the memory', async () => {
  const { looked, catalogue } = counting()
  const book = createPriceBook({ catalogue })
  await book.find('openai', 'first')
  for (let at = 0; at < 600; at++) await book.find('openai', `made-up-${at}`)
  await book.find('openai', 'first')
  expect(looked.filter((model) => model === 'first')).toHaveLength(2)
})
