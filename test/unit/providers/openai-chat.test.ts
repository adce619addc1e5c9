import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Bound, JsonObject } from '../../../src/providers/dialect.ts'
import { editChat, isStreamWithoutUsage, readChatBound } from '../../../src/providers/openai-chat.ts'
import { size, tokensOf } from './sizes.ts'

const BODY = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }

function bound(extra: JsonObject): Bound {
  const body = { ...BODY, ...extra }
  const read = readChatBound(body, size(body))
  if ('code' in read) throw new Error(read.message)
  return read
}

const refusal = (extra: JsonObject) => {
  const read = readChatBound({ ...BODY, ...extra }, 100)
  return 'code' in read ? read : null
}

const user = (...content: unknown[]) => ({ messages: [{ role: 'user', content }] })

describe('wrong fields are named', () => {
  const wrong = ['10', 0, -1, 1.5, JSON.parse('1e400'), [], {}, true]
  const cases = ['n', 'max_tokens', 'max_completion_tokens'].flatMap((field) =>
    wrong.map((value): [string, unknown] => [field, value]),
  )
  const others: [string, unknown][] = [
    ['n', 129],
    ['model', undefined],
    ['model', ''],
    ['model', 'x'.repeat(201)],
    ['model', 7],
    ['messages', undefined],
    ['messages', 'hello'],
    ['stream', 'yes'],
    ['stream_options', 'yes'],
    ['stream_options', []],
    ['tools', {}],
    ['modalities', 'audio'],
  ]
  test.each([...cases, ...others])('%s: %j', (field, value) => {
    expect(refusal({ [field]: value })).toMatchObject({ code: 'invalid_request', field })
  })

  test('stream_options.include_usage: 1', () => {
    expect(refusal({ stream_options: { include_usage: 1 } })).toMatchObject({ field: 'stream_options.include_usage' })
  })
})

describe('the output bound', () => {
  test('null is absent', () => {
    expect(bound({ max_tokens: null, max_completion_tokens: null, n: null, stream: null }).output).toEqual({
      max_tokens: null,
      min_tokens: 1,
      choices: 1,
    })
  })

  test('is the larger of both fields, for every choice', () => {
    expect(bound({ max_tokens: 10, max_completion_tokens: 20, n: 3 }).output).toMatchObject({
      max_tokens: 20,
      choices: 3,
    })
  })
})

describe('the input bound', () => {
  test('is never below the bytes of the body', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (content) => {
        const body = { ...BODY, messages: [{ role: 'user', content }] }
        expect(bound(body).input_tokens).toBeGreaterThanOrEqual(size(body))
        expect(bound(body).input_tokens).toBeGreaterThanOrEqual(
          new TextEncoder().encode(JSON.stringify(body).normalize('NFKC')).length,
        )
      }),
    )
  })

  test('counts what normalization makes of ligatures, behind escapes too', () => {
    const plain = bound(user({ type: 'text', text: 'x' })).input_tokens
    expect(bound(user({ type: 'text', text: '\ufdfa'.repeat(10) })).input_tokens).toBeGreaterThan(plain + 10 * 33 - 10)
  })

  test('megabytes of the most expanding letter take bounded time and memory', () => {
    const started = performance.now()
    expect(bound(user({ type: 'text', text: '\ufdfa'.repeat(500_000) })).input_tokens).toBeGreaterThan(33 * 500_000)
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  test('grows by 1,000 where tools or functions are declared', () => {
    const tools = [{ type: 'function', function: { name: 'f' } }]
    expect(bound({ tools }).input_tokens).toBe(tokensOf({ ...BODY, tools }) + 1_000)
    expect(bound({ functions: [{ name: 'f' }] }).input_tokens).toBe(
      tokensOf({ ...BODY, functions: [{ name: 'f' }] }) + 1_000,
    )
  })

  test('takes 50,000 for an inline image, in place of its bytes', () => {
    const url = `data:image/png;base64,${'A'.repeat(100_000)}`
    const body = {
      ...BODY,
      ...user({ type: 'image_url', image_url: { url } }, { type: 'image_url', image_url: { url } }),
    }
    expect(bound(body).input_tokens).toBe(tokensOf(body) + 2 * (50_000 - url.length))
    expect(bound(body).open_input).toBeNull()
  })

  test.each([
    ['gpt-4o', 5_000],
    ['gpt-4o-2024-11-20', 5_000],
    ['chatgpt-4o-latest', 5_000],
    ['gpt-4.1-nano-2025-04-14', 5_000],
    ['gpt-5-mini', 5_000],
    ['o4-mini', 5_000],
    ['gpt-4o-mini-2024-07-18', 50_000],
    ['gpt-5.4', 50_000],
    ['gpt-5.4-mini', 50_000],
    ['openai/gpt-4o', 50_000],
    ['ft:gpt-4o-2024-08-06:acme::1', 50_000],
  ])('knows that an image takes few tokens with some models: %s', (model, tokens) => {
    const body = { ...BODY, model, ...user({ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }) }
    expect(bound(body).input_tokens).toBe(tokensOf(body) + tokens)
  })

  test('takes as much for an image by URL, behind which OpenAI takes nothing else', () => {
    const body = { ...BODY, ...user({ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }) }
    expect(bound(body)).toMatchObject({ input_tokens: tokensOf(body) + 50_000, open_input: null })
  })

  test.each([
    [
      'an image from somewhere else',
      { type: 'image_url', image_url: { url: 'gs://bucket/https:/a.png' } },
      'messages[0].content[0].image_url',
    ],
    [
      'a document as an image',
      { type: 'image_url', image_url: { url: 'data:application/pdf;base64,AA' } },
      'messages[0].content[0].image_url',
    ],
    ['an image without URL', { type: 'image_url' }, 'messages[0].content[0].image_url'],
    ['a file', { type: 'file', file: { file_id: 'f' } }, 'messages[0].content[0].file'],
    ['audio', { type: 'input_audio', input_audio: { data: 'AA' } }, 'messages[0].content[0].input_audio'],
    ['something new', { type: 'hologram' }, 'messages[0].content[0].hologram'],
    ['no type', { text: 'x' }, 'messages[0].content[0]'],
    ['no object', 7, 'messages[0].content[0]'],
  ])('is open for %s', (_, part, path) => {
    expect(bound(user(part)).open_input).toBe(path)
  })

  test.each([
    ['images', [{ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }], 'messages[0].images'],
    ['reasoning_details', [{ type: 'reasoning.encrypted', data: 'gAAAA' }], 'messages[0].reasoning_details'],
    ['something_new', { id: 'a' }, 'messages[0].something_new'],
    ['reasoning_details', [{ type: 'reasoning.text', text: 'hm' }], null],
    ['reasoning_details', [{ type: 'reasoning.encrypted', data: 'a', format: 'google-gemini-v1' }], null],
    ['thinking_blocks', [{ type: 'thinking', thinking: 'hm', signature: 'a' }], null],
    ['provider_specific_fields', { refusal: null }, null],
    ['provider_specific_fields', { id: 'a' }, 'messages[0].provider_specific_fields'],
    ['reasoning', 'hm', null],
    ['annotations', [{ type: 'url_citation' }], null],
    ['images', [], null],
    ['refusal', null, null],
  ])('of an assistant message with %s %j is open at %s', (name, value, path) => {
    expect(bound({ messages: [{ role: 'assistant', content: 'a', [name]: value }] }).open_input).toBe(path)
  })

  test('is open where a message is not understood or refers to earlier audio', () => {
    expect(bound({ messages: ['hi'] }).open_input).toBe('messages[0]')
    expect(bound({ messages: [{ role: 'user', content: { a: 1 } }] }).open_input).toBe('messages[0].content')
    expect(bound({ messages: [{ role: 'assistant', audio: { id: 'a' } }] })).toMatchObject({
      open_input: 'messages[0].audio',
      audio_input: true,
    })
    expect(
      bound({ messages: [{ role: 'assistant', content: null, audio: null, tool_calls: [{}] }] }).open_input,
    ).toBeNull()
  })
})

describe('what nothing bounds is named', () => {
  test.each([
    [{ web_search_options: {} }, 'web_search_options'],
    [{ tools: [{ type: 'function' }, { type: 'web_search' }] }, 'tools[1]'],
    [{ tools: [null] }, 'tools[0]'],
    [{ model: 'gpt-4o-search-preview' }, 'model'],
    [{ prediction: { type: 'content', content: 'x' } }, 'prediction'],
    [{ a_new_field: 1 }, 'a_new_field'],
    [{ moderation: { model: 'ft:omni-moderation-latest' } }, 'moderation'],
    [{ moderation: { model: ['omni-moderation-latest'] } }, 'moderation'],
    [{ moderation: { model: 'omni-moderation-latest', explain: true } }, 'moderation'],
    [{ moderation: { model: 'omni-moderation-latest', policy: { input: { mode: 'block' } } } }, 'moderation'],
    [{ moderation: { model: 'omni-moderation-latest', policy: { input: { mode: 'score', by: 'm' } } } }, 'moderation'],
    [{ moderation: { model: 'omni-moderation-latest', policy: 'score' } }, 'moderation'],
    [{ moderation: true }, 'moderation'],
    [{ modalities: ['text', 'image'] }, 'modalities'],
    [{ service_tier: 'scale' }, 'service_tier'],
    [{ service_tier: 'faster' }, 'service_tier'],
    [{ service_tier: ['default'] }, 'service_tier'],
    [{ service_tier: 'ultrafast' }, 'service_tier'],
    [{ prompt_cache_options: { ttl: '12h' } }, 'prompt_cache_options.ttl'],
    [{ prompt_cache_options: { ttl: 30 } }, 'prompt_cache_options.ttl'],
    [{ metadata: { prompt_cache_breakpoint: { ttl: '12h' } } }, 'prompt_cache_breakpoint.ttl'],
    [{ Max_Tokens: 1 }, 'Max_Tokens'],
    [JSON.parse('{"__proto__": {"n": 5}}'), '__proto__'],
  ])('%j', (extra, name) => {
    const body = JSON.parse(`${JSON.stringify(BODY).slice(0, -1)},${JSON.stringify(extra).slice(1)}`)
    const read = readChatBound(body, 100)
    expect(read).toMatchObject({ unbounded: name })
  })

  test('not so for functions, custom tools, or fields that ask for nothing', () => {
    expect(bound({ tools: [{ type: 'function' }, { type: 'custom' }], web_search_options: null }).unbounded).toBeNull()
  })

  test('not so for scores of input and output by a free model', () => {
    const scored = { input: { mode: 'score' }, output: null }
    for (const moderation of [...[scored, null].map((policy) => ({ model: 'omni-moderation-latest', policy })), null])
      expect(bound({ moderation })).toMatchObject({ unbounded: null, open_input: null })
  })

  test('not so for a cache of half an hour, which is what its writes are priced at', () => {
    const content = [{ type: 'text', text: 'a', prompt_cache_breakpoint: { mode: 'explicit', ttl: '30m' } }]
    const messages = [{ role: 'user', content }]
    for (const prompt_cache_options of [{ ttl: '30m', prewarm: true }, { mode: 'explicit', ttl: null }, null])
      expect(bound({ messages, prompt_cache_options })).toMatchObject({ unbounded: null, cache_write: '5m' })
  })
})

test.each([
  [undefined, 'priority'],
  ['auto', 'priority'],
  ['priority', 'priority'],
  ['default', null],
  ['flex', null],
])('the service tier %s may cost as much as %s', (service_tier, dearest) => {
  const extra = service_tier === undefined ? {} : { service_tier }
  expect(bound(extra)).toMatchObject({ service_tier: dearest, unbounded: null })
})

test('audio is flagged each way', () => {
  expect(bound({ modalities: ['text', 'audio'] })).toMatchObject({ audio_input: false, audio_output: true })
  expect(bound({ audio: { voice: 'a', format: 'wav' } }).audio_output).toBe(true)
  expect(bound(user({ type: 'input_audio' })).audio_input).toBe(true)
  expect(bound({ modalities: ['text'], audio: null })).toMatchObject({ audio_input: false, audio_output: false })
})

describe('edits', () => {
  test('none where nothing must be set', () => {
    expect(editChat({ ...BODY, max_tokens: 5 }, null)).toEqual([])
    expect(editChat({ ...BODY, max_tokens: 5 }, 5)).toEqual([])
  })

  test('clamp every field that is larger than what was granted, and set one where none is', () => {
    expect(editChat({ ...BODY, max_tokens: 50, max_completion_tokens: 5 }, 10)).toEqual([
      { field: 'max_tokens', value: 10 },
    ])
    expect(editChat({ ...BODY, max_tokens: 50, max_completion_tokens: 60 }, 10)).toHaveLength(2)
    expect(editChat({ ...BODY, max_tokens: null }, 10)).toEqual([{ field: 'max_completion_tokens', value: 10 }])
  })

  test('ask for usage in streams, beside the client’s own options, and then drop its chunk', () => {
    const set = (value: unknown) => [{ field: 'stream_options', value }]
    expect(editChat({ ...BODY, stream: true }, null)).toEqual(set({ include_usage: true }))
    const options = { include_obfuscation: false, include_usage: false }
    expect(editChat({ ...BODY, stream: true, stream_options: options }, null)).toEqual(
      set({ ...options, include_usage: true }),
    )
    expect(isStreamWithoutUsage({ ...BODY, stream: true, stream_options: null })).toBe(true)

    const asked = { ...BODY, stream: true, stream_options: { include_usage: true } }
    expect(editChat(asked, null)).toEqual([])
    expect(isStreamWithoutUsage(asked)).toBe(false)
    expect(editChat({ ...BODY, stream: false }, null)).toEqual([])
    expect(isStreamWithoutUsage(BODY)).toBe(false)
  })
})
