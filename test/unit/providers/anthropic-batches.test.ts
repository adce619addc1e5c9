import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { quote } from '../../../src/gateway/quote.ts'
import type { Price } from '../../../src/pricing/price.ts'
import { NO_USAGE, UNREAD } from '../../../src/providers/answer.ts'
import { messageBatches, readBatchBound } from '../../../src/providers/anthropic-batches.ts'
import type { Bound, JsonObject, Metered, Operation } from '../../../src/providers/dialect.ts'
import { askedWith, headOf } from './replay.ts'
import { size, tokensOf } from './sizes.ts'

const PARAMS = { model: 'claude-haiku-4-5', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] }
const batchOf = (...params: JsonObject[]) => ({
  requests: params.map((one, at) => ({ custom_id: String(at), params: { ...PARAMS, ...one } })),
})

function boundOf(body: JsonObject): Bound {
  const read = readBatchBound(body, size(body))
  if ('code' in read) throw new Error(read.message)
  return read
}

const operation = (name: string): Operation =>
  messageBatches.find((one) => one.name === `message_batches_${name}`) ?? expect.unreachable(name)

describe('the bound of a batch', () => {
  test('is the sum of its messages, and all or nothing', () => {
    const body = batchOf({}, { max_tokens: 300 })
    const { rounds, input_tokens, output } = boundOf(body)
    expect(input_tokens * rounds).toBeGreaterThanOrEqual(size(body))
    expect(input_tokens * rounds).toBeLessThan(tokensOf(body) + 2)
    expect(output).toEqual({ max_tokens: 200, min_tokens: 200, choices: 2 })
  })

  test('is not cut down to one context window', () => {
    const body = batchOf(...Array.from({ length: 10 }, () => ({ system: 'x'.repeat(100_000) })))
    const options = { default_max_output_tokens: null, model_max_output_tokens: null }
    const { input_tokens } = quote(boundOf(body), PRICE, options)
    expect(input_tokens).toBeGreaterThanOrEqual(1_000_000)
  })

  const PRICE: Price = {
    rates: {
      input: 1,
      cached_input: 1,
      cache_write_5m: 1,
      cache_write_1h: 1,
      output: 1,
      audio_input: null,
      audio_output: null,
      image_input: null,
      image_output: null,
    },
    long_context: [],
    tier_percent: new Map(),
    web_search_nano_usd_per_million: 0,
    request_nano_usd: 0,
    unit_nano_usd: null,
    context_window: 200_000,
    priced_as: 'a',
    price_source: 'catalogue',
  }

  test('is as dear as its dearest message', () => {
    const dear = { system: [{ type: 'text', text: 'a', cache_control: { type: 'ephemeral', ttl: '1h' } }] }
    const search = { tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 3 }] }
    expect(boundOf(batchOf({ inference_geo: 'global' }, dear, { speed: 'fast' }, search))).toMatchObject({
      cache_write: '1h',
      service_tier: 'fast_us',
      web_search_requests: 3,
      rounds: 3 + 4,
      open_input: 'requests[3].params.tools[0]',
    })
    expect(boundOf(batchOf({}, { a_new_field: 1 })).unbounded).toBe('requests[1].params.a_new_field')
    expect(boundOf({ ...batchOf({}), a_new_field: 1 }).unbounded).toBe('a_new_field')
  })

  test.each<[JsonObject, string]>([
    [{}, 'requests'],
    [{ requests: [] }, 'requests'],
    [{ requests: [{ custom_id: 'a' }] }, 'requests[0].params'],
    [batchOf({}, { max_tokens: 0.5 }), 'requests[1].params.max_tokens'],
    [batchOf({}, { model: 'claude-opus-4-1' }), 'requests[1].params.model'],
  ])('%j is refused by name', (body, field) => {
    expect(readBatchBound(body, 100)).toMatchObject({ code: 'invalid_request', field })
  })
})

const meterOf = (name: string, text: string, ...chunks: number[]): Metered => {
  const meter = operation(name).meter(askedWith({}, { params: { id: 'msgbatch_1' } }))(headOf('json'))
  const bytes = new TextEncoder().encode(text)
  let from = 0
  for (const to of [...chunks, bytes.length]) {
    meter.push(bytes.subarray(from, to))
    from = to
  }
  return meter.end()
}

describe('a batch', () => {
  const BATCH = {
    id: 'msgbatch_1',
    type: 'message_batch',
    processing_status: 'in_progress',
    request_counts: { succeeded: 0 },
  }

  test('goes on under its id for two days', () => {
    expect(operation('create').continues_for_ms).toBe(48 * 3_600_000)
    expect(meterOf('create', JSON.stringify(BATCH))).toMatchObject({
      continues_as: 'msgbatch_1',
      usage: null,
      complete: true,
    })
    expect(meterOf('create', '{"id":')).toMatchObject({ continues_as: null, usage: null, complete: false })
    // Nobody can ask how that one ends: its hold is charged.
    expect(meterOf('create', '{"type":"message_batch"}')).toMatchObject({ continues_as: null, may_hide_output: true })
  })

  test('that ended without one answer used nothing; while it runs, or with answers, nothing is known yet', () => {
    const get = (more: object) => meterOf('get', JSON.stringify({ ...BATCH, ...more })).concluded
    expect(get({})).toEqual([])
    expect(get({ processing_status: 'ended', request_counts: { succeeded: 2 } })).toEqual([])
    expect(get({ processing_status: 'ended', request_counts: {} })).toEqual([])
    expect(get({ processing_status: 'ended' })).toEqual([
      {
        id: 'msgbatch_1',
        usage: NO_USAGE,
        longest_input_tokens: null,
        model: null,
        service_tier: null,
        error_class: null,
      },
    ])
  })
})

describe('the results of a batch', () => {
  const FILE = readFileSync(join(import.meta.dirname, 'vectors', 'anthropic-batch-results.txt'), 'utf8')
  const WHOLE = {
    ...UNREAD,
    may_hide_output: false,
    complete: true,
    concluded: [
      {
        id: 'msgbatch_1',
        usage: {
          ...NO_USAGE,
          input_tokens: 363,
          cached_input_tokens: 50,
          cache_write_5m_tokens: 100,
          cache_write_1h_tokens: 200,
          output_tokens: 13,
        },
        longest_input_tokens: 360,
        model: 'claude-haiku-4-5-20251001',
        service_tier: 'batch',
        error_class: null,
      },
    ],
  }

  test('conclude it with the sum of what its messages used, read alike at every chunk boundary', () => {
    const length = new TextEncoder().encode(FILE).length
    for (let at = 0; at <= length; at++) expect(meterOf('results', FILE, at)).toEqual(WHOLE)
    expect(meterOf('results', FILE.trimEnd())).toEqual(WHOLE)
  })

  test('that are cut inside of a line, empty, or shorter than announced, conclude nothing', () => {
    expect(meterOf('results', '').concluded).toEqual([])
    expect(meterOf('results', FILE.slice(0, 300))).toMatchObject({ complete: false, concluded: [] })
    const head = headOf('other', { 'content-length': '100000' })
    const meter = operation('results').meter(askedWith({}, { params: { id: 'a' } }))(head)
    meter.push(new TextEncoder().encode(FILE))
    expect(meter.end()).toMatchObject({ complete: false, concluded: [] })
  })

  // The header is then the length of what was compressed: more than a short file has.
  test('that came compressed, though nobody asked for that, conclude it', () => {
    const line = new TextEncoder().encode('{"custom_id":"a","result":{"type":"canceled"}}\n')
    const head = headOf('other', { 'content-length': '67', 'content-encoding': 'gzip' })
    const meter = operation('results').meter(askedWith({}, { params: { id: 'a' } }))(head)
    meter.push(line)
    expect(meter.end()).toMatchObject({ complete: true, concluded: [{ id: 'a', usage: NO_USAGE }] })
  })

  test('with megabytes of a fetched document in a line conclude it', () => {
    const content = [{ type: 'web_fetch_tool_result', content: { source: { data: 'A'.repeat(9 * 2 ** 20) } } }]
    const message = { content, usage: { input_tokens: 3, output_tokens: 5 } }
    const line = `${JSON.stringify({ custom_id: 'x', result: { type: 'succeeded', message } })}\n`
    expect(meterOf('results', line, line.length - 100).concluded).toMatchObject([{ usage: { output_tokens: 5 } }])
  })

  // Else it would take minutes.
  test('of a long line in many small chunks cost no quadratic time', () => {
    const content = Array.from({ length: 2_600 }, () => ({ type: 'text', text: 'a'.repeat(3_000) }))
    const message = { content, usage: { input_tokens: 3, output_tokens: 5 } }
    const line = new TextEncoder().encode(JSON.stringify({ custom_id: 'x', result: { type: 'succeeded', message } }))
    const meter = operation('results').meter(askedWith({}, { params: { id: 'a' } }))(headOf('other'))
    for (let at = 0; at < line.length; at += 64) meter.push(line.subarray(at, at + 64))
    expect(meter.end().concluded).toMatchObject([{ usage: { output_tokens: 5 } }])
  })

  test('with a line that cannot be read are of unknown usage; of errors alone, of none', () => {
    const usageOf = (text: string) => meterOf('results', text).concluded[0]?.usage
    expect(usageOf(`${FILE}{"custom_id":"e","result":{"type":"succeeded","message":{}}}\n`)).toBeNull()
    expect(usageOf(`${FILE}nonsense\n`)).toBeNull()
    expect(usageOf(`${FILE}{"custom_id":"e","result":{"type":"something_new"}}\n`)).toBeNull()
    const zeros = '"content":[{"type":"text","text":"Hi"}],"usage":{"input_tokens":0,"output_tokens":0}'
    expect(usageOf(`${FILE}{"custom_id":"e","result":{"type":"succeeded","message":{${zeros}}}}\n`)).toBeNull()
    expect(usageOf('{"custom_id":"e","result":{"type":"canceled"}}\n')).toEqual(NO_USAGE)
    // With `max_tokens: 0` it fills the cache and says nothing.
    const nothing = '"content":[],"usage":{"input_tokens":3,"output_tokens":0}'
    expect(usageOf(`{"custom_id":"e","result":{"type":"succeeded","message":{${nothing}}}}\n`)).toMatchObject({
      input_tokens: 3,
    })
  })

  test('cost as much as the dearest of its answers', () => {
    const line = (usage: object) =>
      `${JSON.stringify({ custom_id: 'x', result: { type: 'succeeded', message: { usage: { input_tokens: 1, output_tokens: 1, ...usage } } } })}\n`
    const tierOf = (...usages: object[]) => meterOf('results', usages.map(line).join('')).concluded[0]?.service_tier
    expect(tierOf({ service_tier: 'batch' }, {})).toBe('batch')
    expect(tierOf({ service_tier: 'batch' }, { service_tier: 'batch', inference_geo: 'us' })).toBe('batch_us')
    expect(tierOf({ service_tier: 'batch' }, { service_tier: 'standard' })).toBe('standard')
    expect(tierOf({ service_tier: null })).toBe('batch')
    expect(tierOf({ service_tier: null, inference_geo: 'us' })).toBe('batch_us')
  })
})
