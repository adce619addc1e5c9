import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NO_USAGE, UNREAD } from '../../../src/providers/answer.ts'
import { readConverseUsage } from '../../../src/providers/bedrock-meter.ts'
import { askedOf, chunkFrame, chunksOf, framesOf, meterOnce, operationOf, readings } from './bedrock-vectors.ts'
import { headOf } from './replay.ts'

const CLAUDE = 'us.anthropic.claude-haiku-4-5-20251001-v1:0'
const LLAMA = 'meta.llama3-1-8b-instruct-v1:0'
const converse = operationOf('converse_stream')
const invoke = operationOf('invoke_model_stream')
const text = (value: object) => new TextEncoder().encode(JSON.stringify(value))
const CACHED = {
  ...NO_USAGE,
  input_tokens: 10 + 300 + 50,
  cached_input_tokens: 50,
  cache_write_5m_tokens: 100,
  cache_write_1h_tokens: 200,
  output_tokens: 12,
}

describe('recorded streams read alike at every chunk boundary', () => {
  test('Converse: input with what the cache gave and took, split by its time to live, and the tier that answered', () => {
    expect(readings(converse, askedOf(CLAUDE, {}), framesOf('bedrock-converse'))).toEqual([
      {
        ...UNREAD,
        usage: CACHED,
        complete: true,
        seen_output_bytes: 'Héllo you'.length + 1,
        may_hide_output: true,
        service_tier: 'priority',
      },
    ])
  })

  test('Converse with an exception inside', () => {
    expect(readings(converse, askedOf(CLAUDE, {}), framesOf('bedrock-converse-exception'))).toEqual([
      expect.objectContaining({ complete: false, usage: null, error_class: 'upstream_rate_limited' }),
    ])
  })

  test('Claude: Anthropic’s own events before Bedrock’s sum', () => {
    expect(readings(invoke, askedOf(CLAUDE, {}), chunksOf('bedrock-claude'))).toEqual([
      expect.objectContaining({
        usage: CACHED,
        complete: true,
        may_hide_output: false,
        response_model: 'claude-haiku-4-5-20251001',
        service_tier: null,
      }),
    ])
  })

  test('Llama: Bedrock’s sum', () => {
    expect(readings(invoke, askedOf(LLAMA, {}), chunksOf('bedrock-llama'))).toEqual([
      expect.objectContaining({ usage: { ...NO_USAGE, input_tokens: 9, output_tokens: 3 }, complete: true }),
    ])
  })
})

describe('a stream', () => {
  const upTo = (count: number) =>
    meterOnce(converse, askedOf(CLAUDE, {}), headOf('eventstream'), ...framesOf('bedrock-converse').slice(0, count))

  test('that is cut is not complete, and has usage only once Bedrock told it', () => {
    expect(upTo(3)).toMatchObject({ complete: false, usage: null })
    expect(upTo(5)).toMatchObject({ complete: true, usage: null })
    expect(upTo(6)).toMatchObject({ complete: true, usage: CACHED })
  })

  test('is finished with the frame that tells its usage, and not before', () => {
    for (const [operation, model, frames] of [
      [converse, CLAUDE, framesOf('bedrock-converse')],
      [invoke, CLAUDE, chunksOf('bedrock-claude')],
      [invoke, LLAMA, chunksOf('bedrock-llama')],
    ] as const) {
      const meter = operation.meter(askedOf(model, {}))(headOf('eventstream'))
      const endings = frames.map((frame) => {
        meter.push(frame)
        return meter.ending
      })
      expect(endings.indexOf('over')).toBe(frames.length - 1)
    }
  })

  test('of Claude without usage of its own falls back on Bedrock’s sum', () => {
    const stop = chunksOf('bedrock-claude').slice(-1)
    expect(meterOnce(invoke, askedOf(CLAUDE, {}), headOf('eventstream'), ...stop).usage).toEqual({
      ...CACHED,
      cache_write_5m_tokens: 300,
      cache_write_1h_tokens: 0,
    })
  })

  test('of Claude that is cut once its usage is told is charged it at the tier that answered', () => {
    const asked = askedOf(CLAUDE, {}, { headers: new Headers({ 'x-amzn-bedrock-service-tier': 'priority' }) })
    const cut = meterOnce(invoke, asked, headOf('eventstream'), ...chunksOf('bedrock-claude').slice(0, -1))
    expect(cut).toMatchObject({ complete: false, usage: CACHED, service_tier: 'priority' })
  })

  test('of anything at all throws nothing', () => {
    const chunk = fc.oneof(
      fc.uint8Array(),
      fc.json().map((json) => chunkFrame(json)),
      fc.tuple(fc.constantFrom('message_start', 'message_delta', 'message_stop'), fc.jsonValue()).map(([type, value]) =>
        chunkFrame(
          JSON.stringify({
            type,
            message: value,
            delta: value,
            usage: value,
            'amazon-bedrock-invocationMetrics': value,
          }),
        ),
      ),
    )
    fc.assert(
      fc.property(fc.array(chunk), fc.constantFrom(CLAUDE, LLAMA, 'x.y'), (chunks, model) => {
        for (const format of ['eventstream', 'json', 'other'] as const) {
          meterOnce(invoke, askedOf(model, {}), headOf(format), ...chunks)
          meterOnce(converse, askedOf(model, {}), headOf(format), ...chunks)
        }
      }),
    )
  })
})

test('a JSON answer of Converse shows what was generated, its role alone is nothing', () => {
  const seen = (...content: object[]) =>
    meterOnce(
      operationOf('converse'),
      askedOf(CLAUDE, {}),
      headOf('json'),
      text({ output: { message: { role: 'assistant', content } } }),
    ).seen_output_bytes
  expect([seen(), seen({ text: '' })]).toEqual([0, 0])
  expect(seen({ text: 'ü' })).toBeGreaterThanOrEqual(2)
})

describe('a JSON answer of InvokeModel', () => {
  const COUNTS = { 'x-amzn-bedrock-input-token-count': '9', 'x-amzn-bedrock-output-token-count': '3' }
  const usageOf = (model: string, answer: object, headers: HeadersInit = {}, body = {}) =>
    meterOnce(operationOf('invoke_model'), askedOf(model, body), headOf('json', headers), text(answer)).usage

  test.each([
    ['amazon.nova-lite-v1:0', { usage: { inputTokens: 9, outputTokens: 3, totalTokens: 12 } }],
    [LLAMA, { generation: 'Hello', prompt_token_count: 9, generation_token_count: 3 }],
    ['amazon.titan-text-express-v1', { inputTextTokenCount: 9, results: [{ tokenCount: 1 }, { tokenCount: 2 }] }],
    ['openai.gpt-oss-20b-1:0', { choices: [], usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 } }],
    ['anthropic.claude-3-haiku-20240307-v1:0', { type: 'message', usage: { input_tokens: 9, output_tokens: 3 } }],
  ])('of %s: the body tells', (model, answer) => {
    expect(usageOf(model, answer)).toEqual({ ...NO_USAGE, input_tokens: 9, output_tokens: 3 })
  })

  test.each([
    ['amazon.nova-lite-v1:0', { output: { message: { role: 'assistant', content: [] } }, stopReason: 'end_turn' }],
    [LLAMA, { generation: '', stop_reason: 'stop' }],
    ['amazon.titan-text-express-v1', { results: [{ outputText: '', completionReason: 'CONTENT_FILTERED' }] }],
    [
      'openai.gpt-oss-20b-1:0',
      {
        ...{ object: 'chat.completion', model: 'gpt-oss-20b', service_tier: 'default', system_fingerprint: 'fp_1' },
        choices: [{ finish_reason: 'content_filter', message: { role: 'assistant', content: '' } }],
      },
    ],
  ])('of %s without text shows nothing: an output of 0 is believed', (model, answer) => {
    const seen = (of: object) =>
      meterOnce(operationOf('invoke_model'), askedOf(model, {}), headOf('json'), text(of)).seen_output_bytes
    expect(seen(answer)).toBe(0)
    expect(seen({ ...answer, generation: 'ü' })).toBeGreaterThanOrEqual(2)
    const streamed = (...chunks: object[]) =>
      meterOnce(
        invoke,
        askedOf(model, {}),
        headOf('eventstream'),
        ...chunks.map((one) => chunkFrame(JSON.stringify(one))),
      )
    expect(streamed(answer).seen_output_bytes).toBe(0)
    expect(streamed({ generation: 'ü' }, { generation: 'a' }, answer).seen_output_bytes).toBe(3)
  })

  test('the headers tell where the body does not', () => {
    const model = 'mistral.mistral-7b-instruct-v0:2'
    expect(usageOf(model, { outputs: [] }, COUNTS)).toEqual({ ...NO_USAGE, input_tokens: 9, output_tokens: 3 })
    expect(usageOf(model, { outputs: [] })).toBeNull()
    expect(usageOf(model, { outputs: [] }, { ...COUNTS, 'x-amzn-bedrock-output-token-count': '-3' })).toBeNull()
    const embedding = { 'x-amzn-bedrock-input-token-count': '9' }
    expect(usageOf('cohere.embed-english-v3', { embeddings: [] }, embedding)).toMatchObject({
      input_tokens: 9,
      output_tokens: 0,
    })
    expect(usageOf(model, { outputs: [] }, embedding)).toBeNull()
  })

  test('the tier that answered is in a header, else it is the one that was asked for', () => {
    const tier = (asked: HeadersInit, answered: HeadersInit) =>
      meterOnce(
        operationOf('invoke_model'),
        askedOf(LLAMA, {}, { headers: new Headers(asked) }),
        headOf('json', answered),
        text({}),
      ).service_tier
    const header = (value: string) => ({ 'x-amzn-bedrock-service-tier': value })
    expect(tier(header('priority'), {})).toBe('priority')
    expect(tier(header('priority'), header('default'))).toBe('default')
    expect(tier(header('flex'), header('flex'))).toBe('flex')
    expect(tier(header('flex'), {})).toBeNull()
    expect(tier({ 'x-amzn-bedrock-performanceconfig-latency': 'optimized' }, {})).toBe('optimized')
  })
})

describe('an error of Converse', () => {
  test.each([
    [400, 'ValidationException', 'upstream_error'],
    [429, 'ThrottlingException', 'upstream_rate_limited'],
    [429, 'ModelNotReadyException', 'upstream_overloaded'],
    [503, 'ServiceUnavailableException:http://internal.amazon.com/', 'upstream_overloaded'],
  ])('%i %s has no usage, whatever its body says', (status, type, error_class) => {
    const head = { ...headOf('json', { 'x-amzn-errortype': type }), status }
    const answer = { message: 'No.', output: {}, usage: { inputTokens: 1, outputTokens: 1 } }
    expect(meterOnce(operationOf('converse'), askedOf(CLAUDE, {}), head, text(answer))).toMatchObject({
      complete: false,
      usage: null,
      error_class,
    })
  })
})

describe('usage of Converse', () => {
  test('counts cache writes that nobody split at the time to live that was asked for', () => {
    const usage = { inputTokens: 1, outputTokens: 1, cacheWriteInputTokens: 100 }
    expect(readConverseUsage(usage, '5m')).toMatchObject({ input_tokens: 101, cache_write_5m_tokens: 100 })
    expect(readConverseUsage(usage, '1h')).toMatchObject({ input_tokens: 101, cache_write_1h_tokens: 100 })
    const body = { system: [{ text: 'Be brief.' }, { cachePoint: { type: 'default', ttl: '1h' } }] }
    for (const name of ['converse', 'invoke_model'])
      expect(
        meterOnce(operationOf(name), askedOf('amazon.nova-lite-v1:0', body), headOf('json'), text({ usage })).usage,
      ).toMatchObject({ cache_write_5m_tokens: 0, cache_write_1h_tokens: 100 })
  })

  test('is that of the tier that answered, else of the one that was asked for', () => {
    const usage = { inputTokens: 1, outputTokens: 1 }
    const tier = (asked: object, answered: object) =>
      meterOnce(operationOf('converse'), askedOf(CLAUDE, { ...asked }), headOf('json'), text({ usage, ...answered }))
        .service_tier
    expect(tier({ serviceTier: { type: 'priority' } }, {})).toBe('priority')
    expect(tier({ serviceTier: { type: 'priority' } }, { serviceTier: { type: 'default' } })).toBe('default')
    expect(tier({ performanceConfig: { latency: 'optimized' } }, {})).toBe('optimized')
  })

  test.each([
    [null],
    [{}],
    [{ inputTokens: 1 }],
    [{ outputTokens: 1 }],
    [{ inputTokens: -1, outputTokens: 1 }],
    [{ inputTokens: 1, outputTokens: 1.5 }],
    [{ inputTokens: 1, outputTokens: 1, cacheReadInputTokens: 'many' }],
    [{ inputTokens: 1, outputTokens: 1, cacheDetails: [{ ttl: '5m', inputTokens: -1 }] }],
  ])('%j is unknown', (usage) => {
    expect(readConverseUsage(usage, '5m')).toBeNull()
  })
})

describe('audio, which no usage of Bedrock’s tells apart, is all of the input, as it was held', () => {
  const audio = { audio: { format: 'mp3', source: { bytes: 'AA' } } }
  const used = { usage: { inputTokens: 10, outputTokens: 1, totalTokens: 11 }, output: {} }
  const chat = { usage: { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 } }
  test.each([
    ['converse', 'mistral.voxtral-small-24b-2507', audio, used],
    ['invoke_model', 'amazon.nova-2-lite-v1:0', audio, used],
    ['invoke_model', 'mistral.voxtral-small-24b-2507', { type: 'input_audio', input_audio: { data: 'AA' } }, chat],
  ])('%s of %s', (name, model, part, answer) => {
    const tokensIn = (...content: object[]) => {
      const asked = askedOf(model, { messages: [{ role: 'user', content }] })
      const bound = operationOf(name).readBound?.(asked)
      const { usage } = meterOnce(operationOf(name), asked, headOf('json'), text(answer))
      return [bound && 'audio_input' in bound && bound.audio_input, usage?.input_tokens, usage?.audio_input_tokens]
    }
    expect(tokensIn(part)).toEqual([true, 10, 10])
    expect(tokensIn({ type: 'text', text: 'a' })).toEqual([false, 10, 0])
  })
})
