// Bodies of OpenAI's operations, and the worst that OpenAI or a compatible provider may bill for them.

import fc from 'fast-check'
import type { JsonObject } from '../../src/providers/dialect.ts'
import { type AnyCall, base64, count, longTexts, many, optional, PREAMBLE, record, text } from './any-body.ts'

const schema = fc.constantFrom({ type: 'object', properties: { city: { type: 'string' } } }, {})
/** gpt-4o-mini multiplies the tokens of images. */
const IMAGE_TOKENS = 48_169

const chatPart = fc.oneof(
  text.map((value) => ({ type: 'text', text: value })),
  base64.map((data) => ({ type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } })),
)

const imagesIn = (messages: unknown) => JSON.stringify(messages).split('data:image/png').length - 1
/** What does not fit the context window is refused, not billed: two of the largest images do. */
const fitting = ({ messages }: JsonObject) => imagesIn(messages) <= 2

/** @param most_output what the model writes where nothing bounds it. */
export const chat = (model: string, most_output: number): fc.Arbitrary<AnyCall> =>
  record({
    model: fc.constant(model),
    messages: fc.array(
      fc.record({
        role: fc.constantFrom('user', 'system', 'assistant'),
        content: fc.oneof(text, fc.array(chatPart, { maxLength: 3 })),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    n: optional(count(5)),
    max_tokens: optional(count(3_000)),
    max_completion_tokens: optional(count(3_000)),
    service_tier: optional(fc.constantFrom('auto', 'default', 'flex', 'priority')),
    tools: optional(schema.map((parameters) => [{ type: 'function', function: { name: 'f', parameters } }])),
    response_format: optional(fc.constant({ type: 'json_object' })),
    stop: optional(text),
    stream: optional(fc.boolean()),
  })
    .filter(fitting)
    .chain((body) =>
      fc.boolean().map((escaped): AnyCall => {
        const asked: JsonObject = body.stream ? { ...body, stream_options: { include_usage: true } } : body
        const limits = [asked.max_tokens, asked.max_completion_tokens].filter((one) => typeof one === 'number')
        const most = limits.length > 0 ? Math.max(...limits) : most_output
        const images = imagesIn(asked.messages)
        const says = (tokens: number) => ({
          prompt_tokens: tokens + images * IMAGE_TOKENS + (asked.tools || asked.response_format ? PREAMBLE : 0),
          completion_tokens: most * Number(asked.n ?? 1),
        })
        return { model, body: asked, escaped, says }
      }),
    )

const numbers = fc.array(fc.nat(200_000), { minLength: 1, maxLength: 40 })
const inputs = fc.oneof(text, many, longTexts, numbers, fc.array(numbers, { minLength: 1, maxLength: 5 }))

/** The fakes of these bill the worst by themselves. */
export const completions = (model: string): fc.Arbitrary<AnyCall> =>
  record({
    model: fc.constant(model),
    prompt: inputs,
    max_tokens: optional(count(2_000)),
    n: optional(count(4)),
    best_of: optional(count(8)),
    echo: optional(fc.boolean()),
    stream: optional(fc.boolean()),
    stream_options: fc.constant({ include_usage: true }),
  }).map((body) => ({ model, body }))

export const embeddings = (model: string): fc.Arbitrary<AnyCall> =>
  record({
    model: fc.constant(model),
    input: inputs,
    dimensions: optional(count(256)),
  }).map((body) => ({ model, body }))

export const responses = (model: string, hosted: boolean): fc.Arbitrary<AnyCall> =>
  record({
    model: fc.constant(model),
    input: fc.oneof(
      text,
      fc
        .array(
          fc.oneof(
            text.map((value) => ({ type: 'input_text', text: value })),
            base64.map((data) => ({ type: 'input_image', image_url: `data:image/png;base64,${data}` })),
          ),
          { maxLength: 3 },
        )
        .map((content) => [{ role: 'user', content }]),
    ),
    instructions: optional(text),
    max_output_tokens: optional(count(3_000)),
    max_tool_calls: hosted ? count(5) : fc.constant(undefined),
    previous_response_id: hosted ? optional(fc.constant('resp_1')) : fc.constant(undefined),
    service_tier: optional(fc.constantFrom('auto', 'default', 'flex', 'priority')),
    tools: hosted ? optional(fc.constant([{ type: 'web_search' }])) : fc.constant(undefined),
    stream: optional(fc.boolean()),
  }).map((body) => ({ model, body }))

const IMAGE_MODELS = ['gpt-image-1', 'gpt-image-1-mini', 'gpt-image-1.5', 'gpt-image-2', 'dall-e-2', 'dall-e-3']
const qualities = optional(fc.constantFrom('low', 'medium', 'high', 'auto'))

export const images: fc.Arbitrary<AnyCall> = record({
  model: fc.constantFrom(...IMAGE_MODELS),
  prompt: text,
  n: optional(count(10)),
  quality: qualities,
  partial_images: optional(fc.integer({ min: 0, max: 3 })),
  stream: optional(fc.boolean()),
}).map((body) => ({ model: String(body.model), body }))

/** What stands in a part of a form as it is. */
const plain = fc.string({ minLength: 1, maxLength: 100 }).filter((one) => !/[\r\n"]/.test(one))

const formOf = (fields: { [name: string]: unknown }): AnyCall => {
  const form = fields as Record<string, string | null>
  const file = { name: 'a.bin', type: 'application/octet-stream', size: 4 }
  const body = Object.fromEntries(Object.entries(form).map(([name, value]) => [name, value ?? file]))
  return { model: String(form.model), body, form }
}

export const imageForms: fc.Arbitrary<AnyCall> = record({
  model: fc.constantFrom(...IMAGE_MODELS),
  prompt: plain,
  n: optional(count(10).map(String)),
  quality: qualities,
  image: fc.constant(null),
  mask: optional(fc.constant(null)),
  stream: optional(fc.constantFrom('true', 'false')),
}).map(formOf)

export const variations: fc.Arbitrary<AnyCall> = record({
  model: fc.constantFrom('dall-e-2', 'gpt-image-1'),
  image: fc.constant(null),
  n: optional(count(10).map(String)),
}).map(formOf)

export const transcripts = (stream: boolean): fc.Arbitrary<AnyCall> =>
  record({
    model: fc.constantFrom('gpt-4o-transcribe', 'gpt-4o-mini-transcribe', 'whisper-1'),
    file: fc.constant(null),
    prompt: optional(plain),
    response_format: fc.constant('verbose_json'),
    stream: stream ? optional(fc.constantFrom('true', 'false')) : fc.constant(undefined),
  }).map(formOf)

export const speech: fc.Arbitrary<AnyCall> = record({
  model: fc.constantFrom('tts-1', 'tts-1-hd', 'gpt-4o-mini-tts'),
  input: text,
  voice: fc.constant('alloy'),
  stream_format: fc.constant('sse'),
}).map((body) => ({ model: String(body.model), body }))
