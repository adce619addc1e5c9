// For any body of any operation, the bound is never below what the fake provider bills for it: which is, by its making,
// the worst that it may.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { quote } from '../../../src/gateway/quote.ts'
import { answerOpenAI } from '../../../src/local/fake-openai.ts'
import type { Script } from '../../../src/local/fake-script.ts'
import { costOf } from '../../../src/pricing/cost.ts'
import type { Price } from '../../../src/pricing/price.ts'
import type { AnswerHead, JsonObject } from '../../../src/providers/dialect.ts'
import { openai } from '../../../src/providers/openai.ts'
import { operation } from './openai-operations.ts'
import { askedWith } from './replay.ts'

const rates = {
  input: 3_000,
  cached_input: 300,
  cache_write_5m: 3_750,
  cache_write_1h: 6_000,
  output: 15_000,
  audio_input: 6_000,
  audio_output: 30_000,
  image_input: 5_000,
  image_output: 20_000,
}
const PRICE: Price = {
  rates,
  long_context: [],
  tier_percent: new Map([['priority', 250]]),
  web_search_nano_usd_per_million: 10_000_000_000_000,
  request_nano_usd: 7,
  unit_nano_usd: 1_000,
  context_window: 128_000,
  priced_as: 'test',
  price_source: 'configuration',
}

/** What an answer was billed, read by the operation's own meter, must lie within what was quoted for the call. */
function check(
  name: string,
  body: JsonObject,
  sent: { bytes: Buffer; content_type?: string },
  context_window: number | null,
) {
  const one = operation(name)
  const price = { ...PRICE, context_window }
  const asked = askedWith(body, { bytes: sent.bytes.length })
  const bound = one.readBound?.(asked)
  if (!bound || 'code' in bound) throw new Error(JSON.stringify(bound))
  const quoted = quote(bound, price, { default_max_output_tokens: null, model_max_output_tokens: 100_000 })
  const script = answerOpenAI('POST', one.path, 'Bearer sk-fake', sent.bytes, sent.content_type)
  const meter = one.meter(asked)(headOf(script))
  for (const step of script.steps) {
    if (step instanceof Uint8Array) meter.push(step)
    else if (typeof step === 'string') meter.push(new TextEncoder().encode(step))
  }
  const { usage, complete, service_tier } = meter.end()
  expect({ status: script.status ?? 200, complete }).toEqual({ status: 200, complete: true })
  if (!usage) throw new Error(`${name} reported no usage`)
  if (quoted.input_tokens === null) {
    expect(bound.unbounded ?? bound.open_input).not.toBeNull()
    return
  }
  expect(usage.input_tokens).toBeLessThanOrEqual(quoted.input_tokens)
  const output = (quoted.output?.max_tokens ?? 0) * (quoted.output?.choices ?? 0)
  expect(usage.output_tokens).toBeLessThanOrEqual(output)
  expect(usage.units).toBeLessThanOrEqual(bound.units)
  expect(usage.web_search_requests).toBeLessThanOrEqual(bound.web_search_requests)
  const most = (quoted.input_cost_nano_usd ?? 0) + Math.ceil((output * (quoted.output?.nano_usd_per_mtok ?? 0)) / 1e6)
  expect(costOf(price, usage, service_tier)).toBeLessThanOrEqual(most)
}

const headOf = ({ status = 200, headers = {} }: Script): AnswerHead => {
  const type = headers['content-type']?.split(';')[0]
  const format = type === 'application/json' ? 'json' : type === 'text/event-stream' ? 'sse' : 'other'
  return { status, format, headers: new Headers(headers) }
}

const asJson = (body: JsonObject) => ({ bytes: Buffer.from(JSON.stringify(body)) })
const text = fc.string({ unit: 'binary', maxLength: 300 })
const many = fc.array(text, { minLength: 1, maxLength: 40 })
const tokens = fc.array(fc.nat(200_000), { minLength: 1, maxLength: 40 })
const optional = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined })
const max_tokens = optional(fc.integer({ min: 1, max: 5_000 }))

const runs = { numRuns: 200 }

test('responses', () => {
  const png = `data:image/png;base64,${Buffer.alloc(300).toString('base64')}`
  const part = fc.oneof(
    text.map((value) => ({ type: 'input_text', text: value })),
    fc.constant({ type: 'input_image', image_url: png }),
  )
  const body = fc.record({
    model: fc.constant('gpt-4o-mini'),
    input: fc.oneof(
      text,
      fc.array(part, { maxLength: 4 }).map((content) => [{ role: 'user', content }]),
    ),
    max_output_tokens: max_tokens,
    max_tool_calls: optional(fc.integer({ min: 1, max: 5 })),
    previous_response_id: optional(fc.constant('resp_1')),
    service_tier: optional(fc.constantFrom('auto', 'default', 'flex', 'priority')),
    tools: optional(
      fc.array(fc.constantFrom({ type: 'function', name: 'f' }, { type: 'web_search' }), { maxLength: 2 }),
    ),
    stream: optional(fc.boolean()),
  })
  fc.assert(
    fc.property(body, fc.constantFrom(128_000, null), (one, window) => {
      check('responses', one, asJson(one), window)
    }),
    runs,
  )
})

test('legacy completions', () => {
  const body = fc.record({
    model: fc.constant('gpt-3.5-turbo-instruct'),
    prompt: fc.oneof(text, many, tokens, fc.array(tokens, { minLength: 1, maxLength: 5 })),
    max_tokens,
    n: optional(fc.integer({ min: 1, max: 4 })),
    best_of: optional(fc.integer({ min: 1, max: 8 })),
    suffix: optional(text),
    stream: optional(fc.boolean()),
    stream_options: fc.constant({ include_usage: true }),
  })
  // The window bounds each prompt, not all of them.
  fc.assert(
    fc.property(body, (one) => check('completions', one, asJson(one), 8_192)),
    runs,
  )
})

test('embeddings', () => {
  const body = fc.record({
    model: fc.constant('text-embedding-3-small'),
    input: fc.oneof(text, many, tokens, fc.array(tokens, { minLength: 1, maxLength: 20 })),
  })
  fc.assert(
    fc.property(body, (one) => check('embeddings', one, asJson(one), 512)),
    runs,
  )
})

const IMAGE_MODELS = ['gpt-image-1', 'gpt-image-1-mini', 'gpt-image-1.5', 'gpt-image-2', 'dall-e-2', 'dall-e-3']

test('images that are generated', () => {
  const body = fc.record({
    model: fc.constantFrom(...IMAGE_MODELS),
    prompt: text,
    n: optional(fc.integer({ min: 1, max: 10 })),
    quality: optional(fc.constantFrom('low', 'medium', 'high', 'auto', 'hd', 'standard')),
    partial_images: optional(fc.integer({ min: 0, max: 3 })),
    stream: optional(fc.boolean()),
  })
  fc.assert(
    fc.property(body, (one) => check('images_generations', one, asJson(one), null)),
    runs,
  )
})

const BOUNDARY = 'b0undary'
const FILE = { name: 'a.bin', type: 'application/octet-stream', size: 4 }

/** The same as fields and as bytes; a value of null is a file. */
function asForm(fields: { [name: string]: string | null | undefined }) {
  const body: JsonObject = {}
  let bytes = ''
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    body[name] = value ?? FILE
    const head = `name="${name}"${value === null ? '; filename="a.bin"' : ''}`
    bytes += `--${BOUNDARY}\r\nContent-Disposition: form-data; ${head}\r\n\r\n${value ?? 'data'}\r\n`
  }
  return {
    body,
    sent: {
      bytes: Buffer.from(`${bytes}--${BOUNDARY}--\r\n`),
      content_type: `multipart/form-data; boundary=${BOUNDARY}`,
    },
  }
}

const plain = fc.string({ minLength: 1, maxLength: 100 }).filter((one) => !/[\r\n"]/.test(one))

test('images that are edited or varied', () => {
  const form = fc.record({
    model: fc.constantFrom(...IMAGE_MODELS),
    prompt: plain,
    n: optional(fc.integer({ min: 1, max: 10 }).map(String)),
    quality: optional(fc.constantFrom('low', 'medium', 'high', 'auto')),
    image: fc.constant(null),
    mask: optional(fc.constant(null)),
    stream: optional(fc.constantFrom('true', 'false')),
  })
  fc.assert(
    fc.property(form, (fields) => {
      const { body, sent } = asForm(fields)
      check('images_edits', body, sent, null)
    }),
    runs,
  )
  const { body, sent } = asForm({ model: 'dall-e-2', image: null, n: '3' })
  check('images_variations', body, sent, null)
})

test('transcriptions', () => {
  const form = fc.record({
    model: fc.constantFrom('gpt-4o-transcribe', 'gpt-4o-mini-transcribe', 'whisper-1'),
    file: fc.constant(null),
    prompt: optional(plain),
    stream: optional(fc.constantFrom('true', 'false')),
  })
  fc.assert(
    fc.property(form, (fields) => {
      const { body, sent } = asForm(fields)
      check('audio_transcriptions', body, sent, 16_000)
    }),
    runs,
  )
})

test('speech', () => {
  const body = fc.record({
    model: fc.constantFrom('tts-1', 'tts-1-hd', 'gpt-4o-mini-tts'),
    input: text,
    voice: fc.constant('alloy'),
    stream_format: fc.constant('sse'),
  })
  fc.assert(
    fc.property(body, (one) => check('audio_speech', one, asJson(one), null)),
    runs,
  )
})

test('every operation that is paid for is checked here, or has no bound at all', () => {
  const paid = openai.operations.filter(({ readBound }) => {
    const bound = readBound?.(askedWith({ model: 'm', input: 'x', messages: [] }))
    return bound && !('code' in bound && bound.code === 'not_found')
  })
  expect(paid.map(({ name }) => name).sort()).toEqual([
    'audio_speech',
    'audio_transcriptions',
    'audio_translations',
    'batches_create',
    'chat_completions',
    'completions',
    'embeddings',
    'images_edits',
    'images_generations',
    'images_variations',
    'responses',
  ])
})
