// Bodies of Anthropic's and Bedrock's operations, and the worst that they may bill for them.

import fc from 'fast-check'
import type { JsonObject } from '../../src/providers/dialect.ts'
import { type AnyCall, base64, count, longTexts, many, optional, record, text } from './any-body.ts'

const ttls = fc.constantFrom(undefined, '5m', '1h')
const cached = (ttl: string | undefined) => (ttl ? { cache_control: { type: 'ephemeral', ttl } } : {})

/** Each image is some 1,600 tokens, and what declares tools some 500 more; all is written to the dearest cache. */
const messageBody = fc
  .record({
    texts: fc.array(text, { minLength: 1, maxLength: 3 }),
    image: optional(base64),
    ttl: ttls,
    max_tokens: count(2_000),
    uses: optional(count(4)),
    tool: fc.boolean(),
    system: optional(text),
  })
  .map(({ texts, image, ttl, max_tokens, uses, tool, system }) => {
    const source = { type: 'base64', media_type: 'image/png', data: image }
    const tools = [
      ...(uses ? [{ type: 'web_search_20250305', name: 'web_search', max_uses: uses }] : []),
      ...(tool ? [{ name: 'f', input_schema: {} }] : []),
    ]
    const content = [
      ...texts.map((value) => ({ type: 'text', text: value, ...cached(ttl) })),
      ...(image ? [{ type: 'image', source }] : []),
    ]
    const body: JsonObject = {
      max_tokens,
      messages: [{ role: 'user', content }],
      ...(tools.length > 0 && { tools }),
      ...(system !== undefined && { system }),
    }
    const says = (tokens: number) => {
      const read = (tokens + (image ? 1_600 : 0) + (tools.length > 0 ? 500 : 0)) * ((uses ?? 0) + 1)
      return {
        input_tokens: ttl ? 0 : read,
        cache_creation_input_tokens: ttl ? read : 0,
        cache_read_input_tokens: 0,
        cache_creation: {
          ephemeral_5m_input_tokens: ttl === '5m' ? read : 0,
          ephemeral_1h_input_tokens: ttl === '1h' ? read : 0,
        },
        output_tokens: max_tokens,
        server_tool_use: { web_search_requests: uses ?? 0 },
      }
    }
    return { body, says, uses }
  })

const HAIKU = 'claude-haiku-4-5-20251001'

export const messages: fc.Arbitrary<AnyCall> = fc
  .tuple(messageBody, fc.boolean(), fc.boolean())
  .map(([{ body, says }, stream, escaped]) => ({
    model: HAIKU,
    body: { model: HAIKU, ...body, stream },
    says,
    escaped,
  }))

/** The results of the fake say what each message of its own would have used. */
export const messageBatches: fc.Arbitrary<AnyCall> = fc
  .array(messageBody, { minLength: 1, maxLength: 4 })
  .map((all) => ({
    model: HAIKU,
    body: { requests: all.map(({ body }, at) => ({ custom_id: String(at), params: { model: HAIKU, ...body } })) },
  }))

const CLAUDE = 'us.anthropic.claude-haiku-4-5-20251001-v1:0'
const EMBED = 'cohere.embed-english-v3'
const LLAMA = 'meta.llama3-1-8b-instruct-v1:0'

export const invokedInStreams: fc.Arbitrary<AnyCall> = fc.oneof(
  messageBody
    .filter(({ uses }) => uses === undefined)
    .map(({ body, says }) => ({ model: CLAUDE, body: { anthropic_version: 'bedrock-2023-05-31', ...body }, says })),
  record({ prompt: text, max_gen_len: optional(count(2_000)) }).map((body) => ({ model: LLAMA, body })),
)

/** What is embedded is answered whole. */
export const invoked: fc.Arbitrary<AnyCall> = fc.oneof(
  invokedInStreams,
  fc.oneof(many, longTexts).map((texts) => ({ model: EMBED, body: { texts, input_type: 'search_document' } })),
)

export const conversed: fc.Arbitrary<AnyCall> = fc
  .record({
    value: text,
    bytes: optional(base64),
    ttl: ttls,
    maxTokens: optional(count(2_000)),
    tier: optional(fc.constantFrom('default', 'flex', 'priority')),
    tool: fc.boolean(),
  })
  .map(({ value, bytes, ttl, maxTokens, tier, tool }) => {
    const content = [
      { text: value },
      ...(bytes ? [{ image: { format: 'png', source: { bytes } } }] : []),
      ...(ttl ? [{ cachePoint: { type: 'default', ttl } }] : []),
    ]
    const toolSpec = { name: 'f', inputSchema: { json: {} } }
    const body: JsonObject = {
      messages: [{ role: 'user', content }],
      ...(maxTokens && { inferenceConfig: { maxTokens } }),
      ...(tier && { serviceTier: { type: tier } }),
      ...(tool && { toolConfig: { tools: [{ toolSpec }] } }),
    }
    const says = (tokens: number) => {
      const read = tokens + (bytes ? 1_600 : 0) + (tool ? 500 : 0)
      return {
        inputTokens: ttl ? 0 : read,
        outputTokens: maxTokens ?? 64_000,
        ...(ttl && { cacheWriteInputTokens: read, cacheDetails: [{ ttl, inputTokens: read }] }),
      }
    }
    return { model: CLAUDE, body, says }
  })
