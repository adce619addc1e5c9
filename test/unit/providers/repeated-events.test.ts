import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anthropic } from '../../../src/providers/anthropic.ts'
import type { Operation } from '../../../src/providers/dialect.ts'
import { openai } from '../../../src/providers/openai.ts'
import { recognizeRepeats } from '../../../src/providers/repeated-events.ts'
import { meterOnce } from './replay.ts'

const chunk = (delta: object, more: object = {}, index = 0) =>
  JSON.stringify({ id: 'c', model: 'm', choices: [{ index, delta, finish_reason: null }], usage: null, ...more })

/** What is known of the second event after the first was parsed, whose delta has so many bytes of strings. */
function known(first: string, bytes: number, second: string): number | null {
  const repeats = recognizeRepeats()
  repeats.learn(first, bytes)
  return repeats.bytesOf(second)
}

describe('an event that repeats the one before it', () => {
  test.each([
    ['but for its text', chunk({ content: 'a' }), 1, chunk({ content: 'Grüße 👋' }), 12],
    ['to the letter', chunk({ content: 'a' }), 1, chunk({ content: 'a' }), 1],
    ['with other strings in its delta', chunk({ role: 'r', content: 'a' }), 2, chunk({ role: 'r', content: '' }), 1],
    [
      'with padding',
      chunk({ content: 'a' }, { obfuscation: 'x1' }),
      1,
      chunk({ content: 'b' }, { obfuscation: '' }),
      1,
    ],
    ['with spaces', '{"delta": {"type": "t", "text": "abc"}}', 4, '{"delta": {"type": "t", "text": "ab"}}', 3],
  ])('%s is known', (_, first, bytes, second, known_bytes) => {
    expect(known(first, bytes, second)).toBe(known_bytes)
  })

  test('is known for as long as nothing else comes', () => {
    const repeats = recognizeRepeats()
    repeats.learn(chunk({ content: 'a' }), 1)
    expect(repeats.bytesOf(chunk({ content: 'abc' }))).toBe(3)
    expect(repeats.bytesOf(chunk({}))).toBeNull()
    expect(repeats.bytesOf(chunk({ content: 'abc' }))).toBeNull()
  })
})

describe('an event is to be parsed', () => {
  const first = chunk({ content: 'a' })
  test.each([
    ['with escapes', chunk({ content: 'a\n' })],
    ['with text that is no JSON', first.replace('"a"', '"a\t"')],
    ['of another choice', chunk({ content: 'a' }, {}, 1)],
    ['with more in its delta', chunk({ content: 'a', refusal: 'b' })],
    ['with usage', chunk({ content: 'a' }, { usage: { prompt_tokens: 1 } })],
    ['that goes on', `${first}}`],
    ['that is cut', first.slice(0, -1)],
    ['with padding that the one before had not', chunk({ content: 'a' }, { obfuscation: 'x' })],
    ['that is padding after its end', `${first},"obfuscation":"x"}`],
    ['that is nothing', ''],
  ])('%s', (_, second) => {
    expect(known(first, 1, second)).toBeNull()
  })

  test.each([
    ['has escapes', chunk({ content: 'a\n' })],
    ['has a delta of more than strings', chunk({ tool_calls: [{ index: 0 }], content: 'a' })],
    ['has a delta that ends in no string', chunk({ content: 'a', refusal: null })],
    ['has a second delta', chunk({ content: 'a' }, { delta: { content: 'a' } })],
    ['says "delta" elsewhere', chunk({ content: 'a' }, { type: 'delta' })],
  ])('after one that %s', (_, odd) => {
    expect(known(odd, 1, odd)).toBeNull()
  })

  test('in a stream whose events are all different, which are soon not looked at', () => {
    const repeats = recognizeRepeats()
    for (let at = 0; at < 8; at++) {
      repeats.learn(chunk({ content: 'a' }, { at }), 1)
      expect(repeats.bytesOf(chunk({ content: 'a' }, { at: -1 }))).toBeNull()
    }
    repeats.learn(first, 1)
    expect(repeats.bytesOf(first)).toBeNull()
  })
})

describe('a stream is read as if every event were parsed', () => {
  const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 8 }), fc.constantFrom('a', 'b', '"', '\\', '\t', '}'))
  const end = fc.constantFrom<object>({}, { obfuscation: 'x1' }, { obfuscation: '' })
  const usage = { prompt_tokens: 3, completion_tokens: 2 }
  const chatEvent = fc.oneof(
    { weight: 8, arbitrary: fc.tuple(text, end).map(([content, more]) => chunk({ content }, more)) },
    fc.tuple(text, fc.nat(1)).map(([content, index]) => chunk({ content }, {}, index)),
    text.map((content) => chunk({ role: 'assistant', content }, { service_tier: 'flex' })),
    text.map((content) => chunk({ content }, { usage })),
    text.map((content) => chunk({ content }, { error: { code: content } })),
    text.map((content) => JSON.stringify({ delta: { content }, choices: [{ text: 'abc' }] })),
    fc.constantFrom(chunk({}, { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }), '[DONE]'),
    fc.constant(JSON.stringify({ choices: [], usage })),
  )
  const blockDelta = (delta: object, index = 0) => JSON.stringify({ type: 'content_block_delta', index, delta })
  const messageEvent = fc.oneof(
    { weight: 8, arbitrary: text.map((one) => blockDelta({ type: 'text_delta', text: one })) },
    fc.tuple(text, fc.nat(1)).map(([one, index]) => blockDelta({ type: 'text_delta', text: one }, index)),
    text.map((thinking) => blockDelta({ type: 'thinking_delta', thinking })),
    text.map((one) =>
      JSON.stringify({ type: 'content_block_start', content_block: { text: 'abc' }, delta: { text: one } }),
    ),
    text.map((one) =>
      JSON.stringify({ type: 'message_delta', delta: { stop_reason: one }, usage: { output_tokens: 3 } }),
    ),
    fc.constant(
      JSON.stringify({ type: 'message_start', message: { model: 'm', usage: { input_tokens: 1, output_tokens: 1 } } }),
    ),
    fc.constant('{"type":"message_stop"}'),
  )
  /** Where a byte of the stream is another. */
  const fault = fc.option(fc.tuple(fc.nat(1_000), fc.constantFrom('"', '\\', '}', ',', '\t', 'x', '')))

  test.each([
    ['chat', openai, 'chat_completions', chatEvent],
    ['messages', anthropic, 'messages', messageEvent],
  ])('%s', (_, { operations }, name, event) => {
    const operation = operations.find((one) => one.name === name) as Operation
    const body = { model: 'gpt-4o', stream: true }
    const metered = (events: string[]) => meterOnce(operation, body, true, ...events.map((one) => `data: ${one}\n\n`))
    fc.assert(
      fc.property(fc.array(event, { maxLength: 12 }), fault, (events, faulty) => {
        const given = events.map((one, at) => {
          if (faulty === null || at !== faulty[0] % events.length) return one
          const where = faulty[0] % one.length
          return one.slice(0, where) + faulty[1] + one.slice(where + 1)
        })
        // White space before every other event: no two that follow each other are alike.
        const apart = given.map((one, at) => (at % 2 === 0 || one === '[DONE]' ? one : ` ${one}`))
        expect(metered(given)).toEqual(metered(apart))
      }),
      { numRuns: 3_000 },
    )
  })
})
