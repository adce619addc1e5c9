import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { UNREAD } from '../../../src/providers/answer.ts'
import { anthropic } from '../../../src/providers/anthropic.ts'
import { readMessageUsage } from '../../../src/providers/anthropic-meter.ts'
import type { Operation } from '../../../src/providers/dialect.ts'
import { meterOnce, readings, vector } from './replay.ts'

const messages = anthropic.operations.find(({ name }) => name === 'messages') as Operation
const BODY = { model: 'claude-sonnet-4-5', max_tokens: 100 }
const event = (value: { type: string; [key: string]: unknown }) =>
  `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`
const START = event({ type: 'message_start', message: { model: 'm', usage: { input_tokens: 10, output_tokens: 1 } } })
const STOP = event({ type: 'message_stop' })
const finish = (usage: object) => event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage })
const streamed = (...chunks: string[]) => meterOnce(messages, BODY, true, ...chunks)

describe('recorded streams read alike at every chunk boundary', () => {
  test('a whole one: the split of cache writes from its start, the output from its end, nothing added up', () => {
    expect(readings(messages, BODY, true, vector('anthropic-message'))).toEqual([
      {
        ...UNREAD,
        usage: {
          input_tokens: 10 + 300 + 50,
          cached_input_tokens: 50,
          cache_write_5m_tokens: 100,
          cache_write_1h_tokens: 200,
          audio_input_tokens: 0,
          image_input_tokens: 0,
          output_tokens: 12,
          reasoning_tokens: 0,
          audio_output_tokens: 0,
          image_output_tokens: 0,
          web_search_requests: 2,
          units: 0,
        },
        complete: true,
        seen_output_bytes: 'text_delta'.length + 7,
        may_hide_output: false,
        response_model: 'claude-sonnet-4-5-20250929',
        service_tier: 'standard',
        error_class: null,
      },
    ])
  })

  test('one with an error inside: what its start said of usage is not what is billed', () => {
    expect(readings(messages, BODY, true, vector('anthropic-error'))).toEqual([
      expect.objectContaining({ complete: false, usage: null, error_class: 'upstream_overloaded' }),
    ])
  })
})

describe('a stream', () => {
  test('that is cut before it told why it stopped has no usage', () => {
    expect(streamed(START, event({ type: 'message_delta', delta: {}, usage: { output_tokens: 5 } }))).toMatchObject({
      complete: false,
      usage: null,
    })
  })

  test('whose only block is empty shows nothing: an output of 0 is believed', () => {
    const block = event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } })
    expect(streamed(START, block, finish({ output_tokens: 0 }), STOP).seen_output_bytes).toBe(0)
  })

  test('that is cut before its last event has usage and is not complete', () => {
    expect(streamed(START, finish({ output_tokens: 5 }))).toMatchObject({
      complete: false,
      usage: { output_tokens: 5 },
    })
  })

  test('overwrites with what is not null, and never adds', () => {
    const deltas = [finish({ output_tokens: 5 }), finish({ output_tokens: 9, input_tokens: null }), STOP]
    expect(streamed(START, ...deltas).usage).toMatchObject({ input_tokens: 10, output_tokens: 9 })
  })

  // SGLang's deltas say `input_tokens: 0`: https://github.com/sgl-project/sglang/pull/20830,
  // https://github.com/envoyproxy/ai-gateway/pull/1631
  test('whose deltas leave the input at 0 is charged the input of its start', () => {
    const cached = { input_tokens: 10, cache_read_input_tokens: 50, cache_creation_input_tokens: 100, output_tokens: 1 }
    const start = event({ type: 'message_start', message: { model: 'm', usage: cached } })
    const zero = { input_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0, output_tokens: 5 }
    expect(streamed(start, finish(zero), STOP).usage).toMatchObject({
      input_tokens: 160,
      cached_input_tokens: 50,
      cache_write_5m_tokens: 100,
      output_tokens: 5,
    })
    expect(streamed(START, finish({ input_tokens: 0, output_tokens: 5 }), STOP).usage?.input_tokens).toBe(10)
  })

  test('whose start did not know the input, or what of it was cached, is charged what its end says', () => {
    const start = (usage: object) => event({ type: 'message_start', message: { model: 'm', usage } })
    const end = { input_tokens: 3, cache_read_input_tokens: 7, output_tokens: 5 }
    for (const usage of [
      { input_tokens: 0, output_tokens: 0 },
      { input_tokens: 10, output_tokens: 0 },
    ])
      expect(streamed(start(usage), finish(end), STOP).usage).toMatchObject({
        input_tokens: 10,
        cached_input_tokens: 7,
        output_tokens: 5,
      })
  })

  test.each([undefined, null, {}, { output_tokens: null }])(
    'whose end does not tell its output has no usage: %j',
    (usage) => {
      const text = event({
        type: 'content_block_delta',
        index: 0,
        delta: { type: 'text_delta', text: 'x'.repeat(1_000) },
      })
      const end = event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage })
      expect(streamed(START, text, end, STOP)).toMatchObject({ complete: true, usage: null })
      expect(streamed(START, text, STOP)).toMatchObject({ complete: true, usage: null })
    },
  )

  test('that thinks may hide output', () => {
    const thought = event({ type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '' } })
    expect(streamed(START, thought, STOP).may_hide_output).toBe(true)
  })

  // vLLM's and OpenRouter's: https://github.com/vllm-project/vllm/pull/37510
  test('is over with its last event, whatever stands behind it', () => {
    const whole = START + finish({ output_tokens: 5 }) + STOP
    for (const end of ['', 'data: [DONE]\n\n', 'event: data\ndata: [DONE]\n\n']) {
      const read = readings(messages, BODY, true, new TextEncoder().encode(whole + end))
      expect(read).toEqual([expect.objectContaining({ complete: true, usage: expect.anything() })])
    }
  })

  test('with an event that cannot be read is not complete', () => {
    expect(streamed(START, 'data: {"type"\n\n', finish({ output_tokens: 5 }), STOP).complete).toBe(false)
  })

  test('counts the bytes of all that was generated, also where an event says the same again', () => {
    const delta = event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'ü' } })
    const each = 'text_delta'.length + 2
    expect(streamed(START, delta, delta, delta).seen_output_bytes).toBe(3 * each)
  })

  test('with megabytes of a fetched document in an event is read nevertheless', () => {
    const content = { type: 'web_fetch_result', content: { source: { type: 'base64', data: 'A'.repeat(6 * 2 ** 20) } } }
    const fetched = event({ type: 'content_block_start', content_block: { type: 'web_fetch_tool_result', content } })
    expect(streamed(START, fetched, finish({ output_tokens: 5 }), STOP)).toMatchObject({
      complete: true,
      usage: { output_tokens: 5 },
      may_hide_output: true,
    })
  })

  test('without any usage is complete and unknown', () => {
    expect(streamed(event({ type: 'message_start', message: {} }), STOP)).toMatchObject({ complete: true, usage: null })
  })

  test('of anything at all throws nothing', () => {
    const noise = fc.oneof(
      fc.uint8Array(),
      fc.json().map((json) => new TextEncoder().encode(`data: ${json}\n\n`)),
      fc
        .tuple(
          fc.constantFrom(
            'message_start',
            'message_delta',
            'content_block_start',
            'content_block_delta',
            'error',
            'message_stop',
          ),
          fc.jsonValue(),
        )
        .map(([type, value]) =>
          new TextEncoder().encode(event({ type, message: value, delta: value, usage: value, error: value })),
        ),
    )
    fc.assert(
      fc.property(fc.array(noise), fc.boolean(), (chunks, stream) => {
        meterOnce(messages, BODY, stream, ...chunks)
      }),
    )
  })
})

describe('a JSON answer', () => {
  const ANSWER = {
    type: 'message',
    model: 'claude-sonnet-4-5-20250929',
    content: [{ type: 'text', text: 'Hi' }],
    usage: { input_tokens: 3, output_tokens: 2, service_tier: 'standard' },
  }
  const answered = (answer: object, body: object = {}) =>
    meterOnce(messages, { ...BODY, ...body }, false, JSON.stringify({ ...ANSWER, ...answer }))

  test('is read whole', () => {
    expect(readings(messages, BODY, false, new TextEncoder().encode(JSON.stringify(ANSWER)))).toEqual([
      expect.objectContaining({
        usage: expect.objectContaining({ input_tokens: 3, output_tokens: 2 }),
        complete: true,
        service_tier: 'standard',
        response_model: ANSWER.model,
      }),
    ])
  })

  test('whose only block is empty shows nothing', () => {
    expect(answered({ content: [{ type: 'text', text: '' }] }).seen_output_bytes).toBe(0)
    expect(answered({ content: [{ type: 'tool_use', id: 'i', name: 'f', input: {} }] }).seen_output_bytes).toBe(10)
  })

  test('with more megabytes of fetched documents than are kept is charged its usage', () => {
    const source = { type: 'base64', media_type: 'application/pdf', data: 'A'.repeat(6 * 2 ** 20) }
    const content = { type: 'web_fetch_result', content: { type: 'document', source } }
    expect(answered({ content: Array(3).fill({ type: 'web_fetch_tool_result', content }) })).toMatchObject({
      complete: true,
      usage: { input_tokens: 3, output_tokens: 2 },
      may_hide_output: true,
    })
  })

  test('that is an error is not complete', () => {
    expect(answered({ type: 'error', usage: null, error: { type: 'rate_limit_error' } })).toMatchObject({
      complete: false,
      usage: null,
      error_class: 'upstream_rate_limited',
    })
  })

  test('names the tier that multiplies its price', () => {
    const tier = (extra: object) => answered({ usage: { ...ANSWER.usage, ...extra } }).service_tier
    expect(tier({ speed: 'fast', inference_geo: 'us' })).toBe('fast_us')
    expect(tier({ speed: 'fast', inference_geo: 'global' })).toBe('fast')
    expect(tier({ speed: 'standard', inference_geo: 'us' })).toBe('us')
    expect(tier({ service_tier: 'batch' })).toBe('batch')
    expect(tier({ service_tier: 'batch', inference_geo: 'us' })).toBe('batch_us')
    expect(tier({ service_tier: 'batch', speed: 'fast' })).toBe('fast')
  })

  test('that does not say how it was served was served as was asked for', () => {
    const tier = (body: object, extra: object = {}) =>
      answered({ usage: { ...ANSWER.usage, ...extra } }, body).service_tier
    expect(tier({ speed: 'fast' })).toBe('fast')
    expect(tier({ inference_geo: 'us' })).toBe('us')
    expect(tier({ speed: 'fast', inference_geo: 'us' }, { speed: 'standard', inference_geo: 'eu' })).toBe('standard')
  })

  test.each([
    [{}, false],
    [{ thinking: { type: 'enabled', budget_tokens: 2_000 } }, true],
    [{ thinking: { type: 'adaptive' } }, true],
    [{ model: 'claude-next' }, true],
    [{ model: 'claude-next', thinking: { type: 'disabled' } }, false],
  ])('to %j may hide output: %s', (body, hides) => {
    expect(answered({}, body).may_hide_output).toBe(hides)
  })
})

describe('usage', () => {
  test('counts cache writes that nobody split at the time to live that was asked for', () => {
    const usage = { input_tokens: 1, output_tokens: 1, cache_creation_input_tokens: 100 }
    const system = [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral', ttl: '1h' } }]
    const start = event({ type: 'message_start', message: { usage } })
    const stream = [start, finish({ output_tokens: 1 }), STOP]
    const whole = JSON.stringify({ type: 'message', content: [], usage })
    for (const { usage } of [
      meterOnce(messages, { ...BODY, system }, true, ...stream),
      meterOnce(messages, { ...BODY, system }, false, whole),
    ])
      expect(usage).toMatchObject({ cache_write_5m_tokens: 0, cache_write_1h_tokens: 100 })
    expect(readMessageUsage(usage, '5m')).toMatchObject({
      input_tokens: 101,
      cache_write_5m_tokens: 100,
      cache_write_1h_tokens: 0,
    })
    expect(readMessageUsage(usage, '1h')).toMatchObject({
      input_tokens: 101,
      cache_write_5m_tokens: 0,
      cache_write_1h_tokens: 100,
    })
  })

  test('tells how much of the output was thought', () => {
    const usage = { input_tokens: 1, output_tokens: 9, output_tokens_details: { thinking_tokens: 4 } }
    expect(readMessageUsage(usage, '5m')).toMatchObject({ output_tokens: 9, reasoning_tokens: 4 })
  })

  test('adds runs of the model that the totals leave out', () => {
    const iterations = [
      null,
      { type: 'message', input_tokens: 10, output_tokens: 5 },
      { type: 'compaction', input_tokens: 1_000, output_tokens: 200, cache_read_input_tokens: null },
    ]
    expect(readMessageUsage({ input_tokens: 10, output_tokens: 5, iterations }, '5m')).toMatchObject({
      input_tokens: 1_010,
      output_tokens: 205,
    })
  })

  test('of a message that another model took over is what each of them used, and no run twice', () => {
    const served = { input_tokens: 12, output_tokens: 5 }
    const iterations = [
      { type: 'message', model: 'a', input_tokens: 10, output_tokens: 0 },
      { type: 'message', model: 'b', input_tokens: 11, output_tokens: 7 },
      { type: 'fallback_message', model: 'c', ...served },
    ]
    expect(readMessageUsage({ ...served, iterations }, '5m')).toMatchObject({ input_tokens: 23, output_tokens: 12 })
  })

  test('adds what these write to the cache by how long it stays there, and what they read from it', () => {
    const cache_creation = { ephemeral_5m_input_tokens: 20, ephemeral_1h_input_tokens: 300 }
    const run = { input_tokens: 1, cache_read_input_tokens: 4_000, cache_creation_input_tokens: 320, cache_creation }
    const iterations = [{ ...run, type: 'compaction', output_tokens: 2 }]
    expect(readMessageUsage({ ...run, output_tokens: 5, iterations }, '5m')).toMatchObject({
      input_tokens: 2 * 4_321,
      cached_input_tokens: 8_000,
      cache_write_5m_tokens: 40,
      cache_write_1h_tokens: 600,
      output_tokens: 7,
    })
  })

  test.each([
    [{}],
    [{ input_tokens: 1 }],
    [{ output_tokens: 1 }],
    [{ input_tokens: -1, output_tokens: 1 }],
    [{ input_tokens: 1, output_tokens: '1' }],
    [{ input_tokens: 1, output_tokens: 1, cache_read_input_tokens: 0.5 }],
    [{ input_tokens: 1, output_tokens: 1, cache_creation: { ephemeral_1h_input_tokens: -1 } }],
  ])('%j is unknown', (usage) => {
    expect(readMessageUsage(usage, '5m')).toBeNull()
  })
})
