// Bodies of Gemini's operations, and the worst that it may bill for them.

import fc from 'fast-check'
import type { JsonObject } from '../../src/providers/dialect.ts'
import { type AnyCall, base64, count, longTexts, many, optional, PREAMBLE, text } from './any-body.ts'

const FLASH = 'gemini-2.5-flash'

export const generated: fc.Arbitrary<AnyCall> = fc
  .record({
    texts: fc.array(text, { minLength: 1, maxLength: 3 }),
    image: optional(base64),
    max: optional(count(2_000)),
    candidates: optional(count(8)),
    snake: fc.boolean(),
    tool: fc.boolean(),
    escaped: fc.boolean(),
    events: fc.boolean(),
  })
  .map(({ texts, image, max, candidates, snake, tool, escaped, events }) => {
    const inlineData = { mimeType: 'image/png', data: image }
    const parts = [...texts.map((value) => ({ text: value })), ...(image ? [{ inlineData }] : [])]
    const config = snake
      ? { max_output_tokens: max, candidate_count: candidates }
      : { maxOutputTokens: max, candidateCount: candidates }
    const body: JsonObject = JSON.parse(
      JSON.stringify({
        contents: [{ role: 'user', parts }],
        [snake ? 'generation_config' : 'generationConfig']: config,
        ...(tool && { tools: [{ functionDeclarations: [{ name: 'f', parameters: {} }] }] }),
      }),
    )
    const says = (tokens: number) => ({
      promptTokenCount: tokens + (image ? 1_290 : 0) + (tool ? PREAMBLE : 0),
      candidatesTokenCount: (max ?? 65_536) * (candidates ?? 1),
    })
    return { model: FLASH, body, says, escaped, ...(events && { query: 'alt=sse' }) }
  })

const EMBEDDING = 'gemini-embedding-001'
const said = (tokens: number) => ({ promptTokenCount: tokens })

export const embedded: fc.Arbitrary<AnyCall> = text.map((value) => ({
  model: EMBEDDING,
  body: { content: { parts: [{ text: value }] } },
  says: said,
}))

export const batchEmbedded: fc.Arbitrary<AnyCall> = fc.oneof(many, longTexts).map((texts) => ({
  model: EMBEDDING,
  body: { requests: texts.map((value) => ({ model: `models/${EMBEDDING}`, content: { parts: [{ text: value }] } })) },
  says: said,
}))
