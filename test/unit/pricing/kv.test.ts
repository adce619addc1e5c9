import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { encodeOverrides } from '../../../src/pricing/overrides.ts'
import { bundle } from '../../support/build.ts'
import { RUNTIME } from '../../support/runtime.ts'

// Real workerd: what one request waits for there, no other may.
let miniflare: Miniflare
let url: string
let scriptPath: string
beforeAll(() => {
  scriptPath = bundle('test/unit/pricing/kv-worker.ts')
})
beforeEach(async () => {
  miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name: 'kv-worker',
      modules: true,
      scriptPath,
      ...RUNTIME,
      kvNamespaces: ['PRICES'],
      unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    }),
  )
  await miniflare.ready
  url = (await miniflare.unsafeGetDirectURL()).origin
})
afterEach(() => miniflare?.dispose())

const ask = async (query = '', init: RequestInit = {}): Promise<{ source: string; reads: number }> => {
  const response = await fetch(`${url}/?${query}`, init)
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
  return response.json() as Promise<{ source: string; reads: number }>
}

const write = async (...models: string[]) => {
  const kv = await miniflare.getKVNamespace('PRICES')
  const overrides = models.map((model) => ({
    id: crypto.randomUUID(),
    provider: 'openai',
    model,
    effective_from: 0,
    price: { request_nano_usd: 1 },
  }))
  await kv.put('overrides', encodeOverrides(overrides))
}

const sourcesOf = (answers: { source: string }[]) => [...new Set(answers.map(({ source }) => source))]

test('racing requests of a cold isolate all have the price, and warm ones read nothing', async () => {
  await write('gpt-4o-mini')
  expect(sourcesOf(await Promise.all(Array.from({ length: 50 }, () => ask('delay_ms=50'))))).toEqual(['override'])
  const { reads } = await ask()
  const warm = await Promise.all(Array.from({ length: 200 }, () => ask()))
  expect(warm.every((answer) => answer.reads === reads)).toBe(true)
})

test('while one request reads slowly the others go on, each on its own I/O', async () => {
  await write('gpt-4o-mini')
  const { reads } = await ask('delay_ms=300')
  await write('another-model')
  const slow = ask('ahead_ms=31000')
  const others = await Promise.all(Array.from({ length: 50 }, () => ask()))
  expect(sourcesOf([...others, await slow]).sort()).toEqual(['catalogue', 'override'])
  expect((await ask()).source).toBe('catalogue')
  expect((await ask()).reads).toBeLessThanOrEqual(reads + 2)
})

test('a client that leaves while its request reads takes nobody else with it', async () => {
  await write('another-model')
  expect((await ask()).source).toBe('catalogue')
  await write('gpt-4o-mini')
  const gone = ask('delay_ms=500&ahead_ms=31000', { signal: AbortSignal.timeout(100) }).catch(() => null)
  await gone
  await ask('delay_ms=0')
  expect(sourcesOf(await Promise.all(Array.from({ length: 20 }, () => ask('ahead_ms=46000'))))).toEqual(['override'])
})
