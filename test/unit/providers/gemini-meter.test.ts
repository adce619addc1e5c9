import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NO_USAGE, UNREAD } from '../../../src/providers/answer.ts'
import type { JsonObject, Metered, Operation } from '../../../src/providers/dialect.ts'
import { gemini } from '../../../src/providers/gemini.ts'
import { readGeminiUsage } from '../../../src/providers/gemini-meter.ts'
import { askedWith, headOf, vector } from './replay.ts'

const operation = (name: string) => gemini.operations.find((one) => one.name === name) as Operation
const stream = operation('stream_generate_content')
const whole = operation('generate_content')
const MODEL = 'gemini-2.5-flash'

type Format = 'json' | 'sse'
interface How {
  model?: string
  body?: JsonObject
  of?: Operation
  headers?: HeadersInit
}

const bytesOf = (chunk: Uint8Array | string) => (typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk)

function metered(format: Format, how: How, ...chunks: (Uint8Array | string)[]) {
  const { model = MODEL, body = {}, of = stream, headers = {} } = how
  const meter = of.meter(askedWith(body, { params: { model: `${model}:verb` } }))(headOf(format, headers))
  for (const chunk of chunks) meter.push(bytesOf(chunk))
  return meter.end()
}

/** What each chunking read, once for every different reading. */
function readings(format: Format, name: string, how: How = {}): Metered[] {
  const bytes = vector(name)
  const seen = new Map<string, Metered>()
  const note = (one: Metered) => seen.set(JSON.stringify(one), one)
  for (let at = 0; at <= bytes.length; at++) note(metered(format, how, bytes.subarray(0, at), bytes.subarray(at)))
  note(metered(format, how, ...[...bytes].map((byte) => new Uint8Array([byte]))))
  return [...seen.values()]
}

const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`
const USAGE = { promptTokenCount: 5, candidatesTokenCount: 7, totalTokenCount: 12 }
const candidate = (text: string, finishReason?: string, index = 0) => ({
  content: { role: 'model', parts: [{ text }] },
  index,
  ...(finishReason && { finishReason }),
})

describe('recorded streams read alike at every chunk boundary', () => {
  test('events: the last usage is the whole, thoughts are output, cached and audio tokens are inside the prompt', () => {
    expect(readings('sse', 'gemini-sse')).toEqual([
      {
        ...UNREAD,
        usage: {
          ...NO_USAGE,
          input_tokens: 294,
          cached_input_tokens: 256,
          audio_input_tokens: 256,
          output_tokens: 237,
          reasoning_tokens: 228,
        },
        complete: true,
        seen_output_bytes: 'Paris '.length + 17,
        may_hide_output: true,
        response_model: 'gemini-2.5-flash',
      },
    ])
  })

  test('the growing array: brackets and quotes in strings mean nothing, results of tools are input', () => {
    expect(readings('json', 'gemini-array', { model: 'gemini-2.0-flash' })).toEqual([
      {
        ...UNREAD,
        usage: { ...NO_USAGE, input_tokens: 108, output_tokens: 5 },
        complete: true,
        seen_output_bytes: 'a ] } " \\'.length + 2,
        may_hide_output: false,
        response_model: 'gemini-2.0-flash',
      },
    ])
  })

  test('a blocked prompt is complete, and its prompt is paid', () => {
    expect(readings('sse', 'gemini-blocked')).toEqual([
      expect.objectContaining({ complete: true, usage: { ...NO_USAGE, input_tokens: 41 } }),
    ])
  })

  test('one that ends with an error in plain JSON, in lines of no event', () => {
    expect(readings('sse', 'gemini-plain-error')).toEqual([
      expect.objectContaining({ complete: false, usage: null, error_class: 'upstream_overloaded' }),
    ])
  })

  test('other lines of no event change nothing, as SDKs pass over them', () => {
    const event = 'data: {"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5}}\n\n'
    for (const stray of ['oops\n', '{"usageMetadata":{"promptTokenCount":1}}\n'])
      expect(metered('sse', {}, event, stray)).toMatchObject({ complete: true, usage: { input_tokens: 5 } })
  })

  test('one with an error inside', () => {
    expect(readings('sse', 'gemini-error')).toEqual([
      expect.objectContaining({ complete: false, usage: null, error_class: 'upstream_overloaded' }),
    ])
  })
})

describe('a stream', () => {
  test.each(['gemini-sse', 'gemini-array'])('%s that stops anywhere before its end is not complete', (name) => {
    const bytes = vector(name)
    const format = name === 'gemini-sse' ? 'sse' : 'json'
    // Nothing but white space is after the last bracket.
    const end = new TextDecoder().decode(bytes).trimEnd().length
    for (let at = 0; at < end - (format === 'json' ? 1 : 5); at += 7) {
      expect(metered(format, {}, bytes.subarray(0, at))).toMatchObject({ complete: false, usage: null })
    }
  })

  test('whose every event says that it finished is charged the last usage, and is not finished before its end', () => {
    const meter = stream.meter(askedWith({}, { params: { model: MODEL } }))(headOf('sse'))
    const say = (candidatesTokenCount: number) =>
      meter.push(
        bytesOf(event({ candidates: [candidate('a', 'STOP')], usageMetadata: { ...USAGE, candidatesTokenCount } })),
      )
    say(1)
    say(40)
    expect(meter.ending).toBe('may_be_over')
    expect(meter.end().usage).toMatchObject({ output_tokens: 40 })
  })

  test('of an array that closed has told its usage, also without a candidate; events may still have been to come', () => {
    const nothing = { usageMetadata: { promptTokenCount: 5, totalTokenCount: 5 } }
    const told = { complete: true, usage: { input_tokens: 5, output_tokens: 0 } }
    expect(metered('json', {}, JSON.stringify([nothing]))).toMatchObject(told)
    expect(metered('json', { of: whole }, JSON.stringify(nothing))).toMatchObject(told)
    expect(metered('sse', {}, event(nothing))).toMatchObject({ complete: false, usage: null })
    for (const of of [whole, stream]) expect(metered('json', { of }, '{}').complete).toBe(false)
  })

  test('that goes on after all that it ever told of usage has none', () => {
    const told = event({ candidates: [candidate('a')], usageMetadata: USAGE })
    expect(metered('sse', {}, told, event({ candidates: [candidate('b', 'STOP')] })).usage).toBeNull()
    expect(metered('sse', {}, told, event({ candidates: [candidate('', 'STOP')] })).usage).toMatchObject({
      output_tokens: 7,
    })
  })

  test('of an array is finished once the array has closed, and not complete before', () => {
    const open = `[${JSON.stringify({ candidates: [candidate('a', 'STOP')], usageMetadata: USAGE })}`
    const meter = stream.meter(askedWith({}, { params: { model: MODEL } }))(headOf('json'))
    meter.push(bytesOf(open))
    expect(meter.ending).toBe('not_yet')
    meter.push(bytesOf(']'))
    expect(meter.ending).toBe('over')
    expect(metered('json', {}, open)).toMatchObject({ complete: false, usage: null })
    expect(metered('json', {}, open, ']')).toMatchObject({ complete: true, usage: { output_tokens: 7 } })
  })

  test('is complete only when every candidate has finished', () => {
    const body = { generation_config: { candidate_count: 2 } }
    const first = event({ candidates: [candidate('a', 'STOP', 0)], usageMetadata: USAGE })
    const second = event({ candidates: [candidate('b', 'STOP', 1)], usageMetadata: USAGE })
    expect(metered('sse', { body }, first, first).complete).toBe(false)
    expect(metered('sse', { body }, first, second).complete).toBe(true)
  })

  test('with megabytes of an image in an event is read nevertheless', () => {
    const inlineData = { mimeType: 'image/png', data: 'A'.repeat(6 * 2 ** 20) }
    const image = { content: { parts: [{ inlineData }] }, finishReason: 'STOP' }
    const answer = event({ candidates: [image], usageMetadata: USAGE })
    expect(metered('sse', { model: 'gemini-2.0-flash' }, answer)).toMatchObject({
      complete: true,
      usage: { output_tokens: 7 },
      may_hide_output: true,
    })
  })

  test('and a JSON answer with more megabytes of an image than are kept is read nevertheless', () => {
    const inlineData = { mimeType: 'image/png', data: 'A'.repeat(18 * 2 ** 20) }
    const image = { content: { parts: [{ inlineData }] }, finishReason: 'STOP' }
    const answer = JSON.stringify({ candidates: [image], usageMetadata: USAGE })
    expect(metered('json', { model: 'gemini-2.0-flash', of: whole }, answer)).toMatchObject({
      complete: true,
      usage: { output_tokens: 7 },
      may_hide_output: true,
    })
  })

  test('with an event that cannot be read is not complete', () => {
    const finish = event({ candidates: [candidate('a', 'STOP')], usageMetadata: USAGE })
    expect(metered('sse', {}, 'data: {"candidates"\n\n', finish)).toMatchObject({ complete: false, usage: null })
  })

  test('of anything at all throws nothing', () => {
    const noise = fc.oneof(
      fc.uint8Array(),
      fc.string().map(bytesOf),
      fc.json().map((json) => bytesOf(`data: ${json}\n\n`)),
      fc.json().map((json) => bytesOf(`[${json},`)),
      fc
        .jsonValue()
        .map((one) => bytesOf(event({ candidates: [one, { content: one }], usageMetadata: one, error: one }))),
    )
    fc.assert(
      fc.property(fc.array(noise), fc.constantFrom<Format>('json', 'sse'), fc.boolean(), (chunks, format, isStream) => {
        metered(format, { of: isStream ? stream : whole }, ...chunks)
      }),
    )
  })
})

describe('a JSON answer', () => {
  const answered = (answer: unknown, how: How = {}) => metered('json', { of: whole, ...how }, JSON.stringify(answer))

  test('is read whole', () => {
    expect(answered({ candidates: [candidate('Hi', 'STOP')], usageMetadata: USAGE })).toMatchObject({
      complete: true,
      usage: { input_tokens: 5, output_tokens: 7 },
    })
  })

  test.each([
    { generationConfig: { responseLogprobs: true, logprobs: 20 } },
    { generation_config: { response_logprobs: true, logprobs: 20 } },
  ])('with more of the likeliest other tokens than is kept is charged its usage: %j', (body) => {
    const other = { token: ' hello', tokenId: 29_104, logProbability: -12.345678 }
    const topCandidates = Array(14_000).fill({ candidates: Array(20).fill(other) })
    const answer = {
      candidates: [{ ...candidate('Hi', 'STOP'), logprobsResult: { topCandidates } }],
      usageMetadata: USAGE,
    }
    expect(JSON.stringify(answer).length).toBeGreaterThan(16 * 2 ** 20)
    expect(answered(answer, { body })).toMatchObject({ complete: true, usage: { output_tokens: 7 } })
  })

  test('that is cut, an error or no JSON is not complete', () => {
    expect(metered('json', { of: whole }, '{"candidates":[')).toMatchObject({ complete: false, usage: null })
    expect(answered({ error: { code: 429, status: 'RESOURCE_EXHAUSTED' } })).toMatchObject({
      complete: false,
      error_class: 'upstream_rate_limited',
    })
  })

  test('whose text took no tokens shows it nevertheless: the charge takes its usage for unknown', () => {
    const told = (one: object) => answered({ candidates: [one], usageMetadata: { promptTokenCount: 5 } })
    const usage = { output_tokens: 0 }
    expect(told(candidate('Hi', 'STOP'))).toMatchObject({ usage, seen_output_bytes: 2 })
    expect(told({ finishReason: 'SAFETY' })).toMatchObject({ usage, seen_output_bytes: 0 })
  })

  test.each([
    ['gemini-2.0-flash', 1],
    ['gemini-2.5-pro', 1],
    ['gemini-3-pro-preview', 2],
  ])('%s that searched twice pays %i searches', (model, web_search_requests) => {
    const groundingMetadata = { webSearchQueries: ['a', 'b'] }
    const candidates = [{ ...candidate('Hi', 'STOP'), groundingMetadata }]
    expect(answered({ candidates, usageMetadata: USAGE }, { model }).usage).toMatchObject({ web_search_requests })
  })

  test.each<[string[], number]>([
    [['', 'a', '', 'b'], 2],
    [['a', 'a'], 1],
    [[''], 0],
  ])('searches are those that differ and say something, as Google bills them: %j', (webSearchQueries, searches) => {
    const candidates = [{ ...candidate('Hi', 'STOP'), groundingMetadata: { webSearchQueries } }]
    const { usage } = answered({ candidates, usageMetadata: USAGE }, { model: 'gemini-3-pro-preview' })
    expect(usage).toMatchObject({ web_search_requests: searches })
  })

  test('searches for images are searches, too, and in one prompt with those of the web', () => {
    const groundingMetadata = { webSearchQueries: ['a'], imageSearchQueries: ['a', 'b', '', 'b'] }
    const candidates = [{ ...candidate('Hi', 'STOP'), groundingMetadata }]
    const searchesOf = (model: string) =>
      answered({ candidates, usageMetadata: USAGE }, { model }).usage?.web_search_requests
    expect(['gemini-3.1-flash-image-preview', 'gemini-2.5-flash'].map(searchesOf)).toEqual([3, 1])
  })

  test('that another model gave pays the searches as that one does: a retired name goes on to it', () => {
    const groundingMetadata = { webSearchQueries: ['a', 'b'] }
    const candidates = [{ ...candidate('Hi', 'STOP'), groundingMetadata }]
    const answer = { candidates, usageMetadata: USAGE, modelVersion: 'gemini-3.8-flash' }
    expect(answered(answer, { model: 'gemini-2.5-pro' }).usage).toMatchObject({ web_search_requests: 2 })
  })

  test('that another model gave may hide thoughts where that one thinks', () => {
    const answer = (modelVersion: string) => ({ candidates: [candidate('Hi', 'STOP')], modelVersion })
    const hides = (version: string) => answered(answer(version), { model: 'gemini-2.0-flash' }).may_hide_output
    expect(['gemini-2.0-flash-001', 'gemini-3.8-flash'].map(hides)).toEqual([false, true])
  })

  test.each([
    [[{ web: { uri: 'https://a' } }], 1],
    [[], 0],
  ])('grounded in %j without telling its searches pays %i', (groundingChunks, web_search_requests) => {
    const candidates = [{ ...candidate('Hi', 'STOP'), groundingMetadata: { groundingChunks } }]
    const model = 'gemini-3-pro-preview'
    expect(answered({ candidates, usageMetadata: USAGE }, { model }).usage).toMatchObject({ web_search_requests })
  })

  test('whose first candidate has no index is complete with the others', () => {
    const { index: _, ...first } = candidate('a', 'STOP')
    const answer = { candidates: [first, candidate('b', 'STOP', 1)], usageMetadata: USAGE }
    expect(answered(answer, { body: { generationConfig: { candidateCount: 2 } } }).complete).toBe(true)
  })

  test('names the tier that answered, else it was the one that was asked for', () => {
    const tier = (usageMetadata: object, body: JsonObject) =>
      answered({ candidates: [candidate('Hi', 'STOP')], usageMetadata }, { body }).service_tier
    expect(tier(USAGE, {})).toBeNull()
    expect(tier(USAGE, { service_tier: 'flex' })).toBeNull()
    expect(tier(USAGE, { serviceTier: 'priority' })).toBe('priority')
    expect(tier({ ...USAGE, serviceTier: 'standard' }, { serviceTier: 'priority' })).toBe('standard')
    expect(tier({ ...USAGE, trafficType: 'ON_DEMAND_FLEX' }, {})).toBe('flex')
  })

  test('a header tells that there was no room at the priority tier', () => {
    const tier = (answered: string) =>
      metered(
        'json',
        { of: whole, body: { serviceTier: 'priority' }, headers: { 'x-gemini-service-tier': answered } },
        JSON.stringify({ candidates: [candidate('Hi', 'STOP')], usageMetadata: USAGE }),
      ).service_tier
    expect(tier('standard')).toBe('standard')
    expect(tier('priority')).toBe('priority')
    expect(tier('of tomorrow')).toBe('priority')
  })

  test.each([
    ['gemini-1.5-pro', false],
    ['gemini-2.0-flash', false],
    ['gemini-2.0-flash-001', false],
    ['gemini-2.0-flash-lite', false],
    ['gemini-2.0-flash-thinking-exp', true],
    ['gemini-2.5-flash', true],
    ['gemini-3-pro-preview', true],
    ['anything-new', true],
  ])('of %s may hide output: %s', (model, hides) => {
    expect(answered({}, { model }).may_hide_output).toBe(hides)
  })
})

describe('usage', () => {
  test('that leaves out a count is completed from the total', () => {
    expect(readGeminiUsage({ promptTokenCount: 10, totalTokenCount: 45 })?.output_tokens).toBe(35)
  })

  test('counts thoughts as output where no total tells, and what tools gave as input, its audio too', () => {
    const audio = (tokenCount: number) => [{ modality: 'AUDIO', tokenCount }]
    const usage = {
      promptTokenCount: 5,
      cachedContentTokenCount: 5,
      promptTokensDetails: audio(5),
      toolUsePromptTokenCount: 3,
      toolUsePromptTokensDetails: audio(3),
      candidatesTokenCount: 7,
      thoughtsTokenCount: 4,
    }
    expect(readGeminiUsage(usage)).toEqual({
      ...NO_USAGE,
      input_tokens: 8,
      cached_input_tokens: 5,
      audio_input_tokens: 8,
      output_tokens: 11,
      reasoning_tokens: 4,
    })
  })

  test.each([
    [{}],
    [{ promptTokenCount: '5' }],
    [{ promptTokenCount: -1 }],
    [{ ...USAGE, candidatesTokenCount: 1.5 }],
    [{ ...USAGE, cachedContentTokenCount: 6 }],
    [{ ...USAGE, promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 6 }] }],
    [{ ...USAGE, candidatesTokensDetails: [{ modality: 'AUDIO', tokenCount: 'many' }] }],
    [{ ...USAGE, totalTokenCount: 2 ** 53 }],
  ])('%j is unknown', (usage) => {
    expect(readGeminiUsage(usage)).toBeNull()
  })
})

describe('embeddings', () => {
  const embed = operation('embed_content')
  const answered = (answer: unknown) => metered('json', { of: embed }, JSON.stringify(answer))

  test('that report no usage are unknown; those that do are charged it', () => {
    expect(answered({ embedding: { values: [1] } })).toMatchObject({ complete: true, usage: null })
    expect(answered({ embedding: {}, usageMetadata: { promptTokenCount: 9 } }).usage).toEqual({
      ...NO_USAGE,
      input_tokens: 9,
    })
    expect(answered({ error: { code: 500 } })).toMatchObject({ complete: false, error_class: 'upstream_error' })
  })
})
