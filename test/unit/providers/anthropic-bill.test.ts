// The worst case that a call is quoted at, against what the fake providers bill for it.

import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { quote } from '../../../src/gateway/quote.ts'
import { answerMessage } from '../../../src/local/fake-anthropic.ts'
import { answerBedrock, BEDROCK_CREDENTIAL } from '../../../src/local/fake-bedrock.ts'
import type { Script } from '../../../src/local/fake-script.ts'
import { type Catalogue, loadCatalogue } from '../../../src/pricing/catalogue.ts'
import { costOf } from '../../../src/pricing/cost.ts'
import { anthropic } from '../../../src/providers/anthropic.ts'
import type { Asked, Dialect, JsonObject } from '../../../src/providers/dialect.ts'
import { bedrock } from './bedrock-vectors.ts'
import { askedWith, headOf } from './replay.ts'

const CLAUDE = 'us.anthropic.claude-haiku-4-5-20251001-v1:0'

let catalogue: Catalogue
beforeAll(async () => {
  catalogue = await loadCatalogue()
})

function billAndBound(dialect: Dialect, name: string, asked: Asked, answer: Script) {
  const operation = dialect.operations.find((one) => one.name === name)
  const bound = operation?.readBound?.(asked)
  if (!operation || !bound || 'code' in bound || bound.model === null) throw new Error(`${name} has no bound`)
  const price = catalogue(dialect.provider, bound.model)
  if (!price) throw new Error(`${bound.model} has no price`)
  const { input_tokens, input_cost_nano_usd, output } = quote(bound, price, {
    default_max_output_tokens: null,
    model_max_output_tokens: dialect.maxOutputTokens(bound.model),
  })
  const meter = operation.meter(asked)(headOf('json', answer.headers))
  meter.push(Buffer.from(String(answer.steps[0])))
  const { usage, service_tier } = meter.end()
  if (!usage) throw new Error('no usage')
  const most_output = (output?.max_tokens ?? 0) * (output?.choices ?? 0)
  return {
    billed: { ...usage, cost: costOf(price, usage, service_tier) },
    bound: {
      input_tokens: input_tokens ?? Number.POSITIVE_INFINITY,
      output_tokens: most_output,
      web_search_requests: bound.web_search_requests,
      cost: (input_cost_nano_usd ?? 0) + Math.ceil((most_output * (output?.nano_usd_per_mtok ?? 0)) / 1_000_000),
    },
  }
}

const word = fc.string({ unit: 'grapheme', maxLength: 300 })
const text = fc.tuple(word, fc.boolean()).map(([said, search]) => (search ? `${said} search ` : said))
const ttl = fc.constantFrom(undefined, '5m', '1h')
const max_tokens = fc.integer({ min: 1, max: 60 })
const uses = fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined })

const message = fc.record({ text, ttl, max_tokens, uses, system: word }).map(
  ({ text, ttl, max_tokens, uses, system }): JsonObject => ({
    model: 'claude-haiku-4-5-20251001',
    max_tokens,
    system,
    messages: [
      { role: 'user', content: [{ type: 'text', text, ...(ttl && { cache_control: { type: 'ephemeral', ttl } }) }] },
    ],
    ...(uses && { tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: uses }] }),
  }),
)

const converse = fc.record({ text, ttl, maxTokens: max_tokens, priority: fc.boolean() }).map(
  ({ text, ttl, maxTokens, priority }): JsonObject => ({
    messages: [{ role: 'user', content: [{ text }, ...(ttl ? [{ cachePoint: { type: 'default', ttl } }] : [])] }],
    inferenceConfig: { maxTokens },
    ...(priority && { serviceTier: { type: 'priority' } }),
  }),
)

function expectCovered({ billed, bound }: ReturnType<typeof billAndBound>) {
  expect(billed.input_tokens).toBeLessThanOrEqual(bound.input_tokens)
  expect(billed.output_tokens).toBeLessThanOrEqual(bound.output_tokens)
  expect(billed.web_search_requests).toBeLessThanOrEqual(bound.web_search_requests)
  expect(billed.cost).toBeLessThanOrEqual(bound.cost)
}

test('a message never costs more than it was quoted at: caches for an hour, searches and their rounds', () => {
  fc.assert(
    fc.property(message, (body) => {
      const bytes = Buffer.from(JSON.stringify(body))
      const asked = askedWith(body, { bytes: bytes.length })
      expectCovered(billAndBound(anthropic, 'messages', asked, answerMessage(body, String(body.model), bytes)))
    }),
  )
})

test('a Converse call never costs more than it was quoted at: caches for an hour, priority', () => {
  fc.assert(
    fc.property(converse, (body) => {
      const bytes = Buffer.from(JSON.stringify(body))
      const asked = askedWith(body, { bytes: bytes.length, params: { model: CLAUDE } })
      const headers = { authorization: `Bearer ${BEDROCK_CREDENTIAL}` }
      const answer = answerBedrock('POST', `/model/${encodeURIComponent(CLAUDE)}/converse`, headers, bytes)
      expectCovered(billAndBound(bedrock, 'converse', asked, answer))
    }),
  )
})
