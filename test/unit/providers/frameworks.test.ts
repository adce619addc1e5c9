// Bodies as frameworks write them: each part that is bounded is known.

import { describe, expect, test } from 'vitest'
import { compatibleProviders } from '../../../src/providers/compatible/configured.ts'
import type { Bound, JsonObject } from '../../../src/providers/dialect.ts'
import { gemini } from '../../../src/providers/gemini.ts'
import { openAICompatible } from '../../../src/providers/openai-compatible.ts'
import { askedWith } from './replay.ts'

const PNG = `data:image/png;base64,${'A'.repeat(90_000)}`

const isBound = (bound: unknown): bound is Bound => typeof bound === 'object' && bound !== null && !('code' in bound)
const only = (bound: unknown): Bound => (isBound(bound) ? bound : expect.unreachable(JSON.stringify(bound)))

function compatible(name: string, body: JsonObject, operation = 'chat_completions'): Bound {
  const [provider] = compatibleProviders.parse({ [`${name.toUpperCase()}_API_KEY`]: 'sk' })
  const found = provider && openAICompatible(provider).operations.find((one) => one.name === operation)
  const bytes = JSON.stringify(body).length
  return only(found?.readBound?.(askedWith({ model: 'm', ...body }, { bytes })))
}
const user = (...content: unknown[]) => ({ messages: [{ role: 'user', content }] })

describe('Mistral', () => {
  test('an inline image may be a string', () => {
    const bound = compatible('mistral', user({ type: 'image_url', image_url: PNG }))
    expect(bound).toMatchObject({ open_input: null, unbounded: null })
    expect(bound.input_tokens).toBeGreaterThan(50_000)
    expect(compatible('mistral', user({ type: 'image_url', image_url: 'https://x/a.png' })).open_input).toBe(
      'messages[0].content[0].image_url',
    )
  })
  test('a thought of text is its bytes; one that refers to something is not', () => {
    const thought = (thinking: unknown) => ({
      messages: [{ role: 'assistant', content: [{ type: 'thinking', thinking, closed: true }] }],
    })
    expect(compatible('mistral', thought([{ type: 'text', text: 'hm' }])).open_input).toBeNull()
    for (const other of [[{ type: 'reference', reference_ids: [1] }], 'x', undefined, [7]])
      expect(compatible('mistral', thought(other)).open_input).toBe('messages[0].content[0].thinking')
  })
})

test('Gemini: an image that a function answered with counts as an image, all else as audio of any length', () => {
  const read = (parts: unknown) => {
    const body = {
      contents: [{ role: 'user', parts: [{ functionResponse: { name: 'f', response: {}, parts } }] }],
    }
    const asked = askedWith(body, {
      bytes: JSON.stringify(body).length,
      params: { model: 'gemini-3-pro-preview:generateContent' },
    })
    return only(gemini.operations.find(({ name }) => name === 'generate_content')?.readBound?.(asked))
  }
  const image = read([{ inlineData: { mimeType: 'image/png', data: 'A'.repeat(90_000) } }])
  expect(image).toMatchObject({ open_input: null, audio_input: false })
  expect(image.input_tokens).toBeGreaterThanOrEqual(5_000)
  expect(image.input_tokens).toBeLessThan(6_000)
  expect(read([{ inlineData: { mimeType: 'audio/wav', data: 'AA' } }])).toMatchObject({
    open_input: 'contents[0].parts[0].functionResponse.parts[0].inlineData',
    audio_input: true,
  })
  for (const other of [{ fileData: {} }, { text: 'x' }])
    expect(read([other])).toMatchObject({
      open_input: 'contents[0].parts[0].functionResponse.parts',
      audio_input: true,
    })
})

test('tiers that cost no more than the standard one', () => {
  const tierOf = (service_tier: string) => compatible('groq', { ...user(), service_tier }).unbounded
  expect(tierOf('flex')).toBeNull()
  expect(tierOf('performance')).toBe('service_tier')
  expect(tierOf('priority')).toBe('service_tier')
})

test('xAI: log probabilities of responses, and the older name of parallel_tool_calls', () => {
  expect(compatible('xai', { input: 'x', logprobs: true, top_logprobs: 2 }, 'responses').unbounded).toBeNull()
  expect(compatible('xai', { ...user(), parallel_function_calling: false }).unbounded).toBeNull()
})

test("OpenRouter: opencode's name of how much a model shall think, and what a call is called in traces", () => {
  expect(compatible('openrouter', { ...user(), reasoningEffort: 'medium' }).unbounded).toBeNull()
  expect(compatible('openrouter', { ...user(), trace: { trace_id: 'a', team: 'b' } }).unbounded).toBeNull()
})

test('DeepSeek: whose call it is', () => {
  expect(compatible('deepseek', { ...user(), user_id: 'ada' }).unbounded).toBeNull()
})

test('sampling parameters of responses cost nothing, and a provider’s own fields of chats are not fields of responses', () => {
  const sampling = { top_k: 3, min_p: 0.1, repetition_penalty: 1, seed: 1, presence_penalty: 0, frequency_penalty: 0 }
  const bound = compatible('xai', { input: 'x', ...sampling }, 'responses')
  expect(bound.unbounded).toBeNull()
  expect(compatible('openrouter', { input: 'x', transforms: ['middle-out'] }, 'responses').unbounded).toBe('transforms')
  expect(compatible('openrouter', { input: 'x', reasoning: { mode: 'pro' } }, 'responses').unbounded).toBe(
    'reasoning.mode',
  )
})
