import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { UNREAD } from '../../../src/providers/answer.ts'
import type { Operation } from '../../../src/providers/dialect.ts'
import { openai } from '../../../src/providers/openai.ts'
import { readChatUsage } from '../../../src/providers/openai-meter.ts'
import { meterOnce, readings, vector } from './replay.ts'

const chat = openai.operations.find(({ name }) => name === 'chat_completions') as Operation
const BODY = { model: 'gpt-4o-mini', stream: true }
const chunk = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`
const delta = (content: string, index = 0) => chunk({ choices: [{ index, delta: { content }, finish_reason: null }] })
const finish = (index = 0) => chunk({ choices: [{ index, delta: {}, finish_reason: 'stop' }] })
const USAGE = { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 }

describe('recorded streams read alike at every chunk boundary', () => {
  test('a whole one', () => {
    expect(readings(chat, BODY, true, vector('openai-chat'))).toEqual([
      {
        ...UNREAD,
        usage: {
          input_tokens: 120,
          cached_input_tokens: 64,
          cache_write_5m_tokens: 0,
          cache_write_1h_tokens: 0,
          audio_input_tokens: 0,
          image_input_tokens: 0,
          output_tokens: 9,
          reasoning_tokens: 0,
          audio_output_tokens: 0,
          image_output_tokens: 0,
          web_search_requests: 0,
          units: 0,
        },
        complete: true,
        seen_output_bytes: 12,
        may_hide_output: false,
        response_model: 'gpt-4o-mini-2024-07-18',
        service_tier: 'default',
        error_class: null,
      },
    ])
  })

  test('one with CRLF and no [DONE] is complete: every choice finished', () => {
    expect(readings(chat, BODY, true, vector('openai-crlf-no-done'))).toEqual([
      expect.objectContaining({
        complete: true,
        usage: expect.objectContaining({ input_tokens: 8, output_tokens: 1 }),
      }),
    ])
  })

  test('one with an error inside', () => {
    expect(readings(chat, BODY, true, vector('openai-error'))).toEqual([
      expect.objectContaining({ complete: false, usage: null, error_class: 'upstream_error', seen_output_bytes: 2 }),
    ])
  })
})

describe('a stream', () => {
  const streamed = (body: object, ...chunks: string[]) => meterOnce(chat, { ...BODY, ...body }, true, ...chunks)

  test('that is cut is not complete, whatever it said of usage so far', () => {
    const cut = streamed(
      {},
      chunk({ choices: [{ index: 0, delta: { content: 'a' }, finish_reason: null }], usage: USAGE }),
    )
    expect(cut).toMatchObject({ complete: false, usage: null, seen_output_bytes: 1 })
  })

  // https://openrouter.ai/docs/api/reference/errors-and-debugging
  test.each([
    [{ code: 429, message: 'Rate limit exceeded', metadata: { error_type: 'rate_limit_exceeded' } }, 'rate_limited'],
    [{ code: 'server_error', message: 'Provider disconnected' }, 'error'],
  ])('with an error of OpenRouter’s says which: %j', (error, what) => {
    const failed = chunk({ error, choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }] })
    expect(streamed({}, delta('a'), failed, 'data: [DONE]\n\n')).toMatchObject({
      complete: false,
      usage: null,
      error_class: `upstream_${what}`,
    })
  })

  test('with an error that is the whole chunk is none that ended well', () => {
    const failed = chunk({ object: 'error', message: 'boom', type: 'BadRequestError', param: null, code: 400 })
    expect(streamed({}, delta('a'), failed, 'data: [DONE]\n\n')).toMatchObject({
      complete: false,
      error_class: 'upstream_error',
    })
  })

  // Azure's asynchronous filter: https://learn.microsoft.com/azure/foundry/openai/concepts/content-streaming
  test('is of the model that a chunk named, though others name one of no letters', () => {
    const choices = [{ index: 0, finish_reason: null, content_filter_offsets: { check_offset: 44 } }]
    const told = chunk({ model: 'gpt-4o', choices: [{ index: 0, delta: { content: 'a' }, finish_reason: 'stop' }] })
    const annotation = chunk({ id: '', object: '', created: 0, model: '', choices })
    expect(streamed({}, annotation, told, annotation).response_model).toBe('gpt-4o')
    expect(streamed({}, annotation).response_model).toBeNull()
  })

  test('is over with [DONE], whatever blanks are around it and whatever stands behind it', () => {
    for (const end of ['data: [DONE]\n\n', 'data:  [DONE] \n\n', 'data: [DONE]\n\ndata: bye\n\n']) {
      const bytes = new TextEncoder().encode(delta('a') + chunk({ choices: [], usage: USAGE }) + end)
      expect(readings(chat, BODY, true, bytes)).toEqual([
        expect.objectContaining({ complete: true, usage: expect.objectContaining({ output_tokens: 7 }) }),
      ])
    }
  })

  // Step's and Tencent's, and older ones of Ollama's: https://github.com/ollama/ollama/issues/4357
  test('whose chunks all have a finish_reason of no letters has finished with the first that has some', () => {
    const told = (content: string, completion_tokens: number, finish_reason = '') =>
      chunk({
        choices: [{ index: 0, delta: { role: '', content }, finish_reason }],
        usage: { ...USAGE, completion_tokens },
      })
    expect(streamed({}, told('您', 1), told('好', 2))).toMatchObject({ complete: false, usage: null })
    expect(streamed({}, told('您', 1), told('好', 2), told('', 9, 'stop'))).toMatchObject({
      complete: true,
      usage: { output_tokens: 9 },
    })
  })

  test('is complete only when every choice has finished', () => {
    expect(streamed({ n: 2 }, finish(0)).complete).toBe(false)
    expect(streamed({ n: 2 }, finish(0), finish(0)).complete).toBe(false)
    expect(streamed({ n: 2 }, finish(0), finish(1)).complete).toBe(true)
    for (const done of ['[DONE]', '[DONE] ']) {
      expect(streamed({ n: 2 }, delta('a'), `data: ${done}\n\n`).complete).toBe(true)
    }
  })

  test('repeating its usage is charged the last one, never the sum', () => {
    const usage = (completion_tokens: number) =>
      chunk({ choices: [{ index: 0, delta: {} }], usage: { prompt_tokens: 5, completion_tokens } })
    expect(streamed({}, usage(1), usage(7), finish(), chunk({ choices: [], usage: null })).usage).toMatchObject({
      input_tokens: 5,
      output_tokens: 7,
    })
  })

  test('whose usage came is charged it, though the rest was lost', () => {
    expect(streamed({}, delta('a'), chunk({ choices: [], usage: USAGE })).usage).toMatchObject({ output_tokens: 7 })
  })

  test('that went on after its usage, and was cut, has none', () => {
    expect(streamed({}, chunk({ choices: [], usage: USAGE }), delta('a'), delta('b')).usage).toBeNull()
  })

  test('that went on after all that it ever told of usage has none, though it came to its end', () => {
    const beside = chunk({ choices: [{ index: 0, delta: { role: 'assistant', content: '' } }], usage: USAGE })
    for (const told of [chunk({ choices: [], usage: USAGE }), beside]) {
      expect(streamed({}, told, delta('a'), finish())).toMatchObject({ complete: true, usage: null })
      const empty = chunk({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: 'stop' }] })
      expect(streamed({}, delta('a'), told, empty)).toMatchObject({ complete: true, usage: { output_tokens: 7 } })
    }
  })

  test('with usage in its choice is charged that, unless it has several or went on', () => {
    const told = (index: number) => chunk({ choices: [{ index, delta: {}, finish_reason: 'stop', usage: USAGE }] })
    expect(streamed({}, delta('a'), told(0)).usage).toMatchObject({ output_tokens: 7 })
    expect(streamed({}, told(0), delta('a'), 'data: [DONE]\n\n').usage).toBeNull()
    expect(streamed({ n: 2 }, delta('a'), told(0), told(1)).usage).toBeNull()
  })

  test('counts the bytes of all that was generated, roles are not', () => {
    const said = (content: string) => chunk({ choices: [{ index: 0, delta: { role: 'assistant', content } }] })
    expect(streamed({}, said(''), said('ü'), said('a')).seen_output_bytes).toBe(3)
    const calls = chunk({
      choices: [{ index: 0, delta: { tool_calls: [{ id: 'c1', function: { name: 'f', arguments: 'ü' } }] } }],
    })
    expect(streamed({}, calls).seen_output_bytes).toBe(2 + 1 + 2)
  })

  test('with an unreadable event is not complete', () => {
    expect(streamed({}, delta('a'), 'data: {"choices"\n\n', finish(), 'data: [DONE]\n\n').complete).toBe(false)
  })

  test('with choices that are none is read on', () => {
    const odd = chunk({ choices: [null, 'a', 7] })
    expect(streamed({}, odd, delta('a'), finish(), chunk({ choices: [], usage: USAGE }))).toMatchObject({
      complete: true,
      usage: { input_tokens: USAGE.prompt_tokens },
    })
  })

  test('with an event too large to read is unknown, and throws nothing', () => {
    const large = `data: ${'x'.repeat(5 * 2 ** 20)}`
    expect(streamed({}, large, large, '\n\n', chunk({ choices: [], usage: USAGE }))).toMatchObject({
      complete: false,
      usage: null,
    })
  })

  test('with megabytes of an image in an event is read nevertheless, and not known by what is left of it', () => {
    const image = chunk({ choices: [{ index: 0, delta: { images: ['A'.repeat(6 * 2 ** 20)] } }] })
    const done = 'data: [DONE]\n\n'
    expect(streamed({}, image, finish(), chunk({ choices: [], usage: USAGE }), done)).toMatchObject({
      complete: true,
      usage: { output_tokens: 7 },
    })
    expect(streamed({}, image, finish(), done)).toMatchObject({ usage: null, may_hide_output: true })
  })

  test('of anything at all throws nothing', () => {
    const noise = fc.oneof(
      fc.uint8Array(),
      fc.string().map((text) => new TextEncoder().encode(`data: ${text}\n\n`)),
      fc.json().map((json) => new TextEncoder().encode(`data: ${json}\n\n`)),
      fc.jsonValue().map((usage) => new TextEncoder().encode(chunk({ choices: [], usage, error: usage }))),
      fc
        .jsonValue()
        .map((one) => new TextEncoder().encode(chunk({ choices: [one, { delta: one, finish_reason: one }] }))),
    )
    fc.assert(
      fc.property(fc.array(noise), fc.boolean(), (chunks, stream) => {
        meterOnce(chat, BODY, stream, ...chunks)
      }),
    )
  })
})

describe('a JSON answer', () => {
  const answered = (answer: unknown, body: object = {}) =>
    meterOnce(chat, { model: 'gpt-4o', ...body }, false, JSON.stringify(answer))
  const choices = [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }]

  test('is read whole', () => {
    const bytes = new TextEncoder().encode(
      JSON.stringify({ model: 'gpt-4o-2024-08-06', service_tier: 'flex', choices, usage: USAGE }),
    )
    expect(readings(chat, { model: 'gpt-4o' }, false, bytes)).toEqual([
      expect.objectContaining({
        usage: expect.objectContaining({ input_tokens: 5, output_tokens: 7 }),
        complete: true,
        response_model: 'gpt-4o-2024-08-06',
        service_tier: 'flex',
      }),
    ])
  })

  test('that is cut, an error, or no JSON is not complete', () => {
    expect(meterOnce(chat, {}, false, '{"choices":[],"usage":{"prompt_to')).toMatchObject({
      complete: false,
      usage: null,
    })
    expect(answered({ error: { type: 'rate_limit_error' } })).toMatchObject({
      complete: false,
      error_class: 'upstream_rate_limited',
    })
    expect(meterOnce(chat, {}, false, '<html>')).toMatchObject({ complete: false, usage: null })
  })

  test('over 16 MiB is unknown', () => {
    const piece = new Uint8Array(2 ** 20).fill(0x20)
    const json = JSON.stringify({ choices, usage: USAGE })
    expect(meterOnce(chat, {}, false, ...Array(15).fill(piece), json).usage).not.toBeNull()
    expect(meterOnce(chat, {}, false, ...Array(16).fill(piece), json)).toMatchObject({ complete: false, usage: null })
  })

  // Five minutes of WAV, or the pictures that OpenRouter puts into `images`.
  test.each([
    { audio: { id: 'audio_1', data: 'A'.repeat(18 * 2 ** 20) } },
    { images: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(18 * 2 ** 20)}` } }] },
  ])('with more megabytes of sound or pictures than are kept is charged its usage', (media) => {
    const [choice] = choices
    const long = { choices: [{ ...choice, message: { ...choice?.message, ...media } }], usage: USAGE }
    expect(answered(long)).toMatchObject({
      complete: true,
      usage: { input_tokens: 5, output_tokens: 7 },
      may_hide_output: true,
    })
  })

  test.each([
    ['gpt-3.5-turbo', false],
    ['gpt-4o', false],
    ['gpt-4.1-mini', false],
    ['gpt-4o-audio-preview', true],
    ['gpt-5', true],
    ['o3', true],
    ['anything-new', true],
  ])('of %s may hide output: %s', (model, hides) => {
    expect(answered({ choices }, { model }).may_hide_output).toBe(hides)
  })

  test('that names no tier was served at the standard one, unless the client asked for priority', () => {
    expect(answered({ choices }).service_tier).toBeNull()
    expect(answered({ choices }, { service_tier: 'priority' }).service_tier).toBe('priority')
    expect(answered({ choices }, { service_tier: 'fast' }).service_tier).toBe('priority')
    expect(answered({ choices, service_tier: 'default' }, { service_tier: 'priority' }).service_tier).toBe('default')
    // One tier by two names: an admin's price of the one is that of the other.
    expect(answered({ choices, service_tier: 'fast' }).service_tier).toBe('priority')
  })
})

test('of an answer what it says is seen, not its role or why it ended', () => {
  const seen = (...choices: object[]) => meterOnce(chat, {}, false, JSON.stringify({ choices })).seen_output_bytes
  expect(seen({ finish_reason: 'stop', message: { role: 'assistant', content: 'ü' } })).toBe(2)
  expect(seen({ finish_reason: 'stop', text: 'ü' }, { finish_reason: 'stop', text: 'a' })).toBe(3)
  expect(seen({ finish_reason: 'content_filter', message: { role: 'assistant', content: '' } })).toBe(0)
})

describe('usage', () => {
  test('of every kind', () => {
    expect(
      readChatUsage({
        prompt_tokens: 100,
        completion_tokens: 50,
        total_tokens: 150,
        prompt_tokens_details: { cached_tokens: 20, cache_write_tokens: 30, audio_tokens: 10 },
        completion_tokens_details: { reasoning_tokens: 40, audio_tokens: 5 },
      }),
    ).toEqual({
      input_tokens: 100,
      cached_input_tokens: 20,
      cache_write_5m_tokens: 30,
      cache_write_1h_tokens: 0,
      audio_input_tokens: 10,
      image_input_tokens: 0,
      output_tokens: 50,
      reasoning_tokens: 40,
      audio_output_tokens: 5,
      image_output_tokens: 0,
      web_search_requests: 0,
      units: 0,
    })
  })

  test('with null or missing details is known', () => {
    const details = { prompt_tokens_details: null, completion_tokens_details: { reasoning_tokens: null } }
    expect(readChatUsage({ ...USAGE, ...details })).toMatchObject({
      input_tokens: 5,
      output_tokens: 7,
      reasoning_tokens: 0,
    })
  })

  test('of an input that was cached or written to the cache as a whole is read', () => {
    const usage = { ...USAGE, prompt_tokens_details: { cached_tokens: 3, cache_write_tokens: 2 } }
    expect(readChatUsage(usage)).toMatchObject({ cached_input_tokens: 3, cache_write_5m_tokens: 2 })
  })

  test.each([
    // Alibaba's: https://github.com/BerriAI/litellm/issues/40090
    { prompt_tokens_details: { cache_creation_input_tokens: 1889, cache_type: 'ephemeral', cached_tokens: 0 } },
    // LiteLLM's: https://docs.litellm.ai/docs/completion/prompt_caching
    { prompt_tokens_details: { cached_tokens: 0 }, cache_creation_input_tokens: 1889, cache_read_input_tokens: 0 },
  ])('of which some was written to a cache tells so under several names: %j', (told) => {
    const usage = { prompt_tokens: 1899, completion_tokens: 300, total_tokens: 2199 }
    expect(readChatUsage({ ...usage, ...told })).toMatchObject({ input_tokens: 1899, cache_write_5m_tokens: 1889 })
    expect(readChatUsage({ ...usage, prompt_tokens: 10, ...told })).toBeNull()
  })

  // https://github.com/bgeneto/open-webui-cost-tracker/issues/6
  test('of Perplexity’s deep research has its reasoning beside the totals', () => {
    const told = { citation_tokens: 7_299, num_search_queries: 74, reasoning_tokens: 73_248 }
    const usage = { prompt_tokens: 108, completion_tokens: 3_256, total_tokens: 3_364, ...told }
    expect(readChatUsage(usage)).toMatchObject({ output_tokens: 3_256 + 73_248, reasoning_tokens: 73_248 })
  })

  test('with reasoning on top of the completion takes the total', () => {
    expect(readChatUsage({ prompt_tokens: 10, completion_tokens: 5, total_tokens: 45 })?.output_tokens).toBe(35)
  })

  test('with as much reasoning as completion is reasoning alone', () => {
    const details = { completion_tokens_details: { reasoning_tokens: 5 } }
    expect(readChatUsage({ prompt_tokens: 10, completion_tokens: 5, ...details })?.output_tokens).toBe(5)
  })

  test('with more reasoning than completion adds it: it is not inside', () => {
    const details = { completion_tokens_details: { reasoning_tokens: 300 } }
    for (const told of [{}, { total_tokens: 15 }, { total_tokens: 315 }]) {
      const usage = { prompt_tokens: 10, completion_tokens: 5, ...told, ...details }
      expect(readChatUsage(usage)).toMatchObject({ output_tokens: 305, reasoning_tokens: 300 })
    }
  })

  test.each([
    [null],
    [[]],
    [{}],
    [{ prompt_tokens: 1 }],
    [{ completion_tokens: 1 }],
    [{ prompt_tokens: '1', completion_tokens: 1 }],
    [{ prompt_tokens: -1, completion_tokens: 1 }],
    [{ prompt_tokens: 1.5, completion_tokens: 1 }],
    [{ prompt_tokens: 1, completion_tokens: 2 ** 53 }],
    [{ ...USAGE, prompt_tokens_details: { cached_tokens: -5 } }],
    [{ ...USAGE, prompt_tokens_details: { cached_tokens: 6 } }],
    [{ ...USAGE, prompt_tokens_details: { cached_tokens: 3, cache_write_tokens: 3 } }],
    [{ ...USAGE, completion_tokens_details: { audio_tokens: 'many' } }],
  ])('%j is unknown', (usage) => {
    expect(readChatUsage(usage)).toBeNull()
  })
})
