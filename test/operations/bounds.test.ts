// For any body of any operation, what is quoted is never below what its provider may bill: tokens, fees and cost, at the
// catalogue's prices. An operation that is paid for and has no bodies here fails by its name.

import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { headOf } from '../../src/gateway/answer-headers.ts'
import { quote } from '../../src/gateway/quote.ts'
import { configuredPrices } from '../../src/gateway/upstreams.ts'
import { answerAnthropic } from '../../src/local/fake-anthropic.ts'
import { answerBedrock, BEDROCK_CREDENTIAL } from '../../src/local/fake-bedrock.ts'
import { answerGemini, GOOGLE_CREDENTIAL } from '../../src/local/fake-gemini.ts'
import { answerOpenAI } from '../../src/local/fake-openai.ts'
import type { Script } from '../../src/local/fake-script.ts'
import { type Catalogue, loadCatalogue } from '../../src/pricing/catalogue.ts'
import { costOf } from '../../src/pricing/cost.ts'
import type { Price } from '../../src/pricing/price.ts'
import { NO_USAGE } from '../../src/providers/answer.ts'
import type { Asked, Bound, Operation, TokenUsage } from '../../src/providers/dialect.ts'
import * as anyAnthropic from './any-anthropic.ts'
import type { AnyCall } from './any-body.ts'
import * as anyGemini from './any-gemini.ts'
import * as anyOpenAI from './any-openai.ts'
import { isPaid } from './case.ts'
import { saying } from './says.ts'
import { CASES, providers } from './stage.ts'

const compatible = (model: string, more: Record<string, fc.Arbitrary<AnyCall>> = {}) => ({
  chat_completions: anyOpenAI.chat(model, 4_000),
  ...more,
})

const BODIES: Record<string, Record<string, fc.Arbitrary<AnyCall>>> = {
  openai: {
    chat_completions: anyOpenAI.chat('gpt-4o-mini', 16_384),
    completions: anyOpenAI.completions('gpt-3.5-turbo-instruct'),
    responses: anyOpenAI.responses('gpt-4o-mini', true),
    embeddings: anyOpenAI.embeddings('text-embedding-3-small'),
    images_generations: anyOpenAI.images,
    images_edits: anyOpenAI.imageForms,
    images_variations: anyOpenAI.variations,
    audio_transcriptions: anyOpenAI.transcripts(true),
    audio_translations: anyOpenAI.transcripts(false),
    audio_speech: anyOpenAI.speech,
  },
  anthropic: { messages: anyAnthropic.messages, message_batches_create: anyAnthropic.messageBatches },
  bedrock: {
    invoke_model: anyAnthropic.invoked,
    invoke_model_stream: anyAnthropic.invokedInStreams,
    converse: anyAnthropic.conversed,
    converse_stream: anyAnthropic.conversed,
  },
  gemini: {
    generate_content: anyGemini.generated,
    stream_generate_content: anyGemini.generated,
    embed_content: anyGemini.embedded,
    batch_embed_contents: anyGemini.batchEmbedded,
  },
  groq: compatible('openai/gpt-oss-20b', { responses: anyOpenAI.responses('openai/gpt-oss-20b', false) }),
  mistral: compatible('mistral-large-latest', { embeddings: anyOpenAI.embeddings('mistral-embed') }),
  deepseek: compatible('deepseek-v3.2'),
  xai: compatible('grok-4.3', { responses: anyOpenAI.responses('grok-4.3', false) }),
  together: compatible('meta-llama/Llama-3.3-70B-Instruct-Turbo', {
    completions: anyOpenAI.completions('mistralai/Mixtral-8x7B-Instruct-v0.1'),
    embeddings: anyOpenAI.embeddings('BAAI/bge-large-en-v1.5'),
  }),
  openrouter: compatible('openai/gpt-4o-mini', {
    responses: anyOpenAI.responses('openai/gpt-4o-mini', false),
    embeddings: anyOpenAI.embeddings('openai/text-embedding-3-small'),
  }),
  azure: compatible('gpt-4o-mini', {
    completions: anyOpenAI.completions('gpt-3.5-turbo-instruct'),
    responses: anyOpenAI.responses('gpt-4o-mini', false),
    embeddings: anyOpenAI.embeddings('text-embedding-3-small'),
  }),
  'workers-ai': compatible('@cf/meta/llama-3.1-8b-instruct', {
    responses: anyOpenAI.responses('@cf/meta/llama-3.1-8b-instruct', false),
    embeddings: anyOpenAI.embeddings('@cf/baai/bge-m3'),
  }),
}

/** A price of every kind, for models that the catalogue does not know. */
const UNKNOWN: Price = {
  rates: {
    input: 1_000_000_000,
    cached_input: 100_000_000,
    cache_write_5m: 1_250_000_000,
    cache_write_1h: 2_000_000_000,
    output: 5_000_000_000,
    audio_input: 6_000_000_000,
    audio_output: 9_000_000_000,
    image_input: 7_000_000_000,
    image_output: 8_000_000_000,
  },
  long_context: [],
  tier_percent: new Map([['priority', 250]]),
  web_search_nano_usd_per_million: 10_000_000_000_000,
  request_nano_usd: 7,
  unit_nano_usd: 40_000_000,
  context_window: null,
  priced_as: 'unknown',
  price_source: 'configuration',
}

const PROVIDERS = providers()
const ROWS = Object.entries(BODIES).flatMap(([provider, operations]) =>
  Object.entries(operations).map(([name, bodies]) => ({ provider, name, bodies, title: `${provider} ${name}` })),
)

let catalogue: Catalogue
beforeAll(async () => {
  catalogue = await loadCatalogue()
})

test.each(ROWS.map((row) => [row.title, row] as const))('%s', (_, { provider, name, bodies }) => {
  const { dialect } = PROVIDERS.find((one) => one.dialect.provider === provider) ?? expect.unreachable(provider)
  const operation = dialect.operations.find((one) => one.name === name) ?? expect.unreachable(name)
  fc.assert(
    fc.property(bodies, (call) => {
      const sent = sentOf(call)
      const asked = askedOf(call, operation, sent.bytes)
      const bound = operation.readBound?.(asked)
      if (!bound || 'code' in bound) return expect.unreachable('no bound')
      const price = catalogue(provider, call.model) ?? UNKNOWN
      const usual = answerOf(provider, operation, call, sent)
      const tokens = Buffer.byteLength(JSON.stringify(call.body).normalize('NFKC'))
      const script = call.says
        ? saying(usual, call.says(Math.max(tokens, sent.raw)), provider === 'gemini' ? 'usageMetadata' : undefined)
        : usual
      const { usage, service_tier } = billed(operation, asked, script, provider)
      expectCovered(bound, price, { usage, service_tier }, dialect.maxOutputTokens(call.model))
    }),
    { numRuns: 150 },
  )
})

test('every operation that is paid for has bodies here, is paid by the call, or has no bound at all', () => {
  const paid = Object.entries(CASES).flatMap(([provider, cases]) =>
    cases.filter(isPaid).map(({ operation }) => `${provider} ${operation}`),
  )
  const missing = [...new Set(paid)].filter((title) => !ROWS.some((row) => row.title === title))
  expect(missing.filter((title) => !/^(google-places|things) /.test(title))).toEqual(['openai batches_create'])
})

test('what is paid by the call is quoted at its price', () => {
  const find = configuredPrices({ PER_CALL_SERVICES: [] } as never)
  const { dialect } = PROVIDERS.find((one) => one.dialect.provider === 'google-places') ?? expect.unreachable()
  const operation = dialect.operations.find(({ name }) => name === 'search_text') ?? expect.unreachable()
  const fields = { id: 0, displayName: 32_000_000, rating: 35_000_000, reviews: 40_000_000, '*': 40_000_000 }
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.constantFrom(...(Object.keys(fields) as (keyof typeof fields)[])), { minLength: 1 }),
      (mask) => {
        const headers = new Headers({ 'x-goog-fieldmask': mask.map((field) => `places.${field}`).join(',') })
        const bound = operation.readBound?.({ ...askedOf({ model: '', body: {} }, operation, 2), headers })
        if (!bound || 'code' in bound || bound.model === null) return expect.unreachable('no bound')
        const price = find('google-places', bound.model) ?? expect.unreachable('no price')
        const worst = Math.max(...mask.map((field) => fields[field]))
        const quoted = quote(bound, price, { default_max_output_tokens: null, model_max_output_tokens: null })
        expect(quoted.input_cost_nano_usd).toBe(worst)
      },
    ),
  )
})

function expectCovered(
  bound: Bound,
  price: Price,
  { usage, service_tier }: { usage: TokenUsage; service_tier: string | null },
  model_max_output_tokens: number | null,
) {
  const quoted = quote(bound, price, { default_max_output_tokens: null, model_max_output_tokens })
  if (quoted.input_tokens === null) {
    // Refused under a token or cost cap, by the name of what is to blame.
    expect(bound.unbounded ?? bound.open_input).not.toBeNull()
    return
  }
  expect(usage.input_tokens).toBeLessThanOrEqual(quoted.input_tokens)
  expect(usage.web_search_requests).toBeLessThanOrEqual(bound.web_search_requests)
  expect(usage.units).toBeLessThanOrEqual(bound.units)
  // An output that nothing bounds is refused, too; a price that is not known is under a cost cap.
  if (quoted.output?.max_tokens === null) return
  const { max_tokens = 0, choices = 0, nano_usd_per_mtok = 0 } = quoted.output ?? {}
  const output = (max_tokens ?? 0) * choices
  expect(usage.output_tokens).toBeLessThanOrEqual(output)
  if (quoted.input_cost_nano_usd === null) return
  const most = quoted.input_cost_nano_usd + Math.ceil((output * (nano_usd_per_mtok ?? 0)) / 1e6)
  expect(costOf(price, usage, service_tier)).toBeLessThanOrEqual(most)
}

interface SentBody {
  bytes: number
  /** Without escapes. */
  raw: number
  buffer: Buffer
  content_type: string
}

const BOUNDARY = 'b0undary'

function sentOf({ body, form, escaped }: AnyCall): SentBody {
  if (form) {
    const parts = Object.entries(form).map(([name, value]) => {
      const filename = value === null ? '; filename="a.bin"' : ''
      return `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${filename}\r\n\r\n${value ?? 'data'}\r\n`
    })
    const buffer = Buffer.from(`${parts.join('')}--${BOUNDARY}--\r\n`)
    return { bytes: buffer.length, raw: 0, buffer, content_type: `multipart/form-data; boundary=${BOUNDARY}` }
  }
  const json = JSON.stringify(body)
  const text = escaped
    ? json.replace(/[\u0080-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
    : json
  const buffer = Buffer.from(text)
  return { bytes: buffer.length, raw: Buffer.byteLength(json), buffer, content_type: 'application/json' }
}

function askedOf({ model, body, query }: AnyCall, operation: Operation, bytes: number): Asked {
  // Gemini's paths hold the call beside the model.
  const call = /:(\w+)\}$/.exec(operation.path)?.[1]
  const params = { model: call && operation.path.includes('models/') ? `${model}:${call}` : model }
  return { body, bytes, params, query: new URLSearchParams(query), headers: new Headers() }
}

function answerOf(
  provider: string,
  { path, name }: Operation,
  call: AnyCall,
  { buffer, content_type }: SentBody,
): Script {
  const { model, query } = call
  if (provider === 'bedrock') {
    const url = path.replace(':model', encodeURIComponent(model))
    return answerBedrock('POST', url, { authorization: `Bearer ${BEDROCK_CREDENTIAL}` }, buffer)
  }
  if (provider === 'gemini') {
    const verb = /:(\w+)\}$/.exec(path)?.[1]
    const url = new URL(`http://fake/v1beta/models/${model}:${verb}?${query ?? ''}`)
    return answerGemini('POST', url, { 'x-goog-api-key': GOOGLE_CREDENTIAL }, buffer)
  }
  if (provider === 'anthropic') {
    const headers = { 'x-api-key': 'sk-ant-fake', 'anthropic-version': '2023-06-01' }
    const answer = answerAnthropic('POST', path, headers, buffer)
    if (name === 'messages') return answer
    const { id } = JSON.parse(String(answer.steps[0]))
    return answerAnthropic('GET', `/v1/messages/batches/${id}/results`, headers, Buffer.alloc(0))
  }
  return answerOpenAI('POST', path, 'Bearer sk-fake', buffer, content_type)
}

/** What the operation's own meter reads; of a batch, what that of its results reads. */
function billed(operation: Operation, asked: Asked, script: Script, provider: string) {
  const results = PROVIDERS.find(({ dialect }) => dialect.provider === provider)?.dialect.operations.find(
    ({ name }) => name === 'message_batches_results',
  )
  const read = operation.name === 'message_batches_create' ? (results ?? operation) : operation
  const meter = read.meter(asked)(headOf(new Response(null, script)))
  for (const step of script.steps) {
    if (step instanceof Uint8Array) meter.push(step)
    else if (typeof step === 'string') meter.push(new TextEncoder().encode(step))
  }
  const metered = meter.end()
  expect({ status: script.status ?? 200, complete: metered.complete }).toEqual({ status: 200, complete: true })
  const { usage, service_tier } = metered.concluded[0] ?? metered
  // A translation that tells nothing has no bound either.
  return { usage: usage ?? NO_USAGE, service_tier }
}
