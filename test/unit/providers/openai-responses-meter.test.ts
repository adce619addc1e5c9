import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NO_USAGE, UNREAD } from '../../../src/providers/answer.ts'
import type { JsonObject } from '../../../src/providers/dialect.ts'
import { openai } from '../../../src/providers/openai.ts'
import { operation } from './openai-operations.ts'
import { askedWith, headOf, meterOnce, readings, vector } from './replay.ts'

const responses = operation('responses')
const stored = operation('responses_get')
const BODY = { model: 'gpt-4o-mini', input: 'x' }
const USAGE = { input_tokens: 5, output_tokens: 7, total_tokens: 12 }
const RESPONSE = {
  id: 'resp_1',
  object: 'response',
  status: 'completed',
  error: null,
  model: 'm',
  output: [],
  usage: USAGE,
}
const event = (type: string, response: JsonObject) => `event: ${type}\ndata: ${JSON.stringify({ type, response })}\n\n`
const once = (body: JsonObject, answer: JsonObject) =>
  meterOnce(responses, { ...BODY, ...body }, false, JSON.stringify(answer))

describe('recorded streams read alike at every chunk boundary', () => {
  test('a whole one, with searches: only those that search are counted', () => {
    expect(readings(responses, BODY, true, vector('openai-responses'))).toEqual([
      {
        ...UNREAD,
        usage: {
          ...NO_USAGE,
          input_tokens: 328,
          cached_input_tokens: 128,
          cache_write_5m_tokens: 64,
          output_tokens: 52,
          reasoning_tokens: 30,
          web_search_requests: 1,
        },
        complete: true,
        seen_output_bytes: expect.any(Number),
        may_hide_output: false,
        response_model: 'gpt-4o-mini-2024-07-18',
        service_tier: 'default',
      },
    ])
  })

  test('one that failed', () => {
    expect(readings(responses, BODY, true, vector('openai-responses-failed'))).toEqual([
      expect.objectContaining({ complete: false, usage: null, error_class: 'upstream_rate_limited' }),
    ])
  })

  test('one that is fetched later shows how the response ended, and costs nothing itself', () => {
    expect(readings(stored, {}, true, vector('openai-responses'))).toEqual([
      {
        ...UNREAD,
        complete: true,
        may_hide_output: false,
        concluded: [
          expect.objectContaining({
            id: 'resp_68c1',
            usage: expect.objectContaining({ input_tokens: 328, output_tokens: 52, web_search_requests: 1 }),
            service_tier: 'default',
          }),
        ],
      },
    ])
  })
})

describe('a stream', () => {
  const bytes = vector('openai-responses')
  const end = Buffer.from(bytes).indexOf('event: response.completed')

  test('that is cut is not complete: its usage is unknown', () => {
    const cut = meterOnce(responses, BODY, true, bytes.subarray(0, end))
    expect(cut).toMatchObject({ complete: false, usage: null, error_class: null, continues_as: null })
    expect(cut.seen_output_bytes).toBe(new TextEncoder().encode('Grüße 👋').length)
  })

  test('that is fetched later and cut shows no end, and is not complete', () => {
    const cut = meterOnce(stored, {}, true, bytes.subarray(0, end))
    expect(cut).toMatchObject({ complete: false, error_class: null, concluded: [] })
  })

  test('is finished once its last event is there, and not before', () => {
    const meter = responses.meter(askedWith(BODY))(headOf('sse'))
    meter.push(bytes.subarray(0, end))
    expect(meter.ending).toBe('not_yet')
    meter.push(bytes.subarray(end))
    expect(meter.ending).toBe('over')
  })

  test('in the background goes on where it is cut', () => {
    const opening = { ...RESPONSE, status: 'queued', background: true, usage: null }
    const cut = meterOnce(responses, { ...BODY, background: true }, true, event('response.queued', opening))
    expect(cut).toMatchObject({ complete: false, usage: null, continues_as: 'resp_1' })
    const whole = event('response.queued', opening) + event('response.completed', RESPONSE)
    expect(meterOnce(responses, { ...BODY, background: true }, true, whole)).toMatchObject({
      complete: true,
      usage: { input_tokens: 5 },
      continues_as: null,
    })
  })

  test('that was cut short by its bound is complete and reports its usage', () => {
    const incomplete = event('response.incomplete', { ...RESPONSE, status: 'incomplete' })
    expect(meterOnce(responses, BODY, true, incomplete)).toMatchObject({ complete: true, usage: { output_tokens: 7 } })
  })

  test.each(['{"type":"error","code":"server_error","message":"No."}', '{"error":{"type":"server_error"}}'])(
    'with an error event is not complete: %s',
    (data) => {
      expect(meterOnce(responses, BODY, true, `event: error\ndata: ${data}\n\n`)).toMatchObject({
        complete: false,
        usage: null,
        error_class: 'upstream_error',
      })
    },
  )

  // Azure's content filter: https://github.com/maximhq/bifrost/pull/6652
  test('that failed says so though its reason comes in an event after that', () => {
    const failed = event('response.failed', { ...RESPONSE, status: 'failed', model: 'gpt-4.1', usage: null })
    const why = 'data: {"type":"error","error":{"type":"invalid_request_error","code":"content_policy_violation"}}\n\n'
    for (const stream of [failed, failed + why])
      expect(meterOnce(responses, BODY, true, stream)).toMatchObject({
        complete: false,
        usage: null,
        error_class: 'upstream_error',
      })
    expect(meterOnce(stored, {}, true, failed).concluded).toMatchObject([{ error_class: 'upstream_error' }])
  })

  test('that Tollgate ends gets an event that both the documentation and the SDKs call an error', () => {
    const text = new TextDecoder().decode(
      responses.streamError?.({ code: 'upstream_timeout', message: 'Silent.' }, 'r'),
    )
    expect(text).toMatch(/^\n\nevent: error\ndata: \{[^\n]*\}\n\n$/)
    expect(JSON.parse(text.slice(text.indexOf('{')))).toMatchObject({
      type: 'error',
      code: 'upstream_timeout',
      message: 'Silent.',
      error: { message: 'Silent.', code: 'upstream_timeout' },
    })
    expect(responses.streamError).not.toBe(openai.streamError)
  })
})

describe('a JSON answer', () => {
  test.each([
    [{ web_search: { num_requests: 3 } }, 3],
    [{ web_search: { num_requests: 0 } }, 1],
    [{ image_gen: {} }, 1],
    [null, 1],
  ])('is charged as many searches as it counts, and as it shows: %j', (tool_usage, searches) => {
    const output = [{ type: 'web_search_call', action: { type: 'search' } }]
    expect(once({}, { ...RESPONSE, output, tool_usage }).usage?.web_search_requests).toBe(searches)
  })

  test('is charged what its tool used to make images, which its own usage leaves out', () => {
    const image_gen = { input_tokens: 30, output_tokens: 4_000, total_tokens: 4_030 }
    const { usage } = once({}, { ...RESPONSE, tool_usage: { image_gen } })
    const alone = once({}, RESPONSE).usage
    expect(usage).toEqual({
      ...alone,
      input_tokens: Number(alone?.input_tokens) + 30,
      image_input_tokens: 30,
      output_tokens: Number(alone?.output_tokens) + 4_000,
      image_output_tokens: 4_000,
    })
  })

  test.each([
    ['searches', { web_search: { num_requests: 'one' } }],
    ['tokens of images', { image_gen: { input_tokens: 1, output_tokens: -1 } }],
  ])('whose number of %s is none has no usage that can be read', (_, tool_usage) => {
    expect(once({}, { ...RESPONSE, tool_usage }).usage).toBeNull()
  })

  test('in the background goes on: no usage yet, and nothing has ended', () => {
    for (const status of ['queued', 'in_progress']) {
      expect(once({ background: true }, { ...RESPONSE, status, usage: null })).toMatchObject({
        complete: true,
        usage: null,
        continues_as: 'resp_1',
      })
    }
  })

  test.each([
    [{ usage: null }],
    [{ usage: { input_tokens: 5 } }],
    [{ usage: { output_tokens: 7 } }],
    [{ usage: { ...USAGE, input_tokens: '5' } }],
    [{ usage: { ...USAGE, output_tokens: -1 } }],
    [{ usage: { ...USAGE, input_tokens_details: { cached_tokens: 6 } } }],
    [{ usage: { ...USAGE, input_tokens_details: { cached_tokens: 3, cache_write_tokens: 3 } } }],
    [{ usage: { ...USAGE, output_tokens_details: { reasoning_tokens: 0.5 } } }],
    [{ status: 'in_progress' }],
  ])('whose usage is no count is unknown: %j', (extra) => {
    expect(once({}, { ...RESPONSE, ...extra }).usage).toBeNull()
  })

  test('whose input was cached or written to the cache as a whole has its usage', () => {
    const usage = { ...USAGE, input_tokens_details: { cached_tokens: 3, cache_write_tokens: 2 } }
    expect(once({}, { ...RESPONSE, usage }).usage).toMatchObject({ cached_input_tokens: 3, cache_write_5m_tokens: 2 })
  })

  test('with more reasoning than output adds it: it is not inside', () => {
    const usage = { ...USAGE, output_tokens_details: { reasoning_tokens: 300 } }
    expect(once({}, { ...RESPONSE, usage }).usage).toMatchObject({ output_tokens: 307, reasoning_tokens: 300 })
  })

  test('without usage counts what it shows', () => {
    const output = [{ type: 'message', content: [{ type: 'output_text', text: 'ü' }] }]
    const shown = once({}, { ...RESPONSE, usage: null, output })
    expect(shown).toMatchObject({ complete: true, usage: null })
    expect(shown.seen_output_bytes).toBeGreaterThanOrEqual(2)
  })

  test('whose items are empty shows nothing: an output of 0 is believed', () => {
    const item = { id: 'msg_1', type: 'message', status: 'incomplete', role: 'assistant' }
    const seen = (content: object[]) => once({}, { ...RESPONSE, output: [{ ...item, content }] }).seen_output_bytes
    expect(seen([])).toBe(0)
    expect(seen([{ type: 'output_text', text: '' }])).toBe(0)
    expect(seen([{ type: 'output_text', text: 'ü' }])).toBeGreaterThanOrEqual(2)
  })

  test('of hosted tools or a reasoning model may hide output', () => {
    expect(once({}, RESPONSE).may_hide_output).toBe(false)
    expect(once({ tools: [{ type: 'web_search' }] }, RESPONSE).may_hide_output).toBe(true)
    expect(once({ model: 'gpt-5' }, RESPONSE).may_hide_output).toBe(true)
  })

  test('with megabytes of an image is read nevertheless', () => {
    const output = [{ type: 'image_generation_call', result: 'A'.repeat(20 * 2 ** 20) }]
    expect(once({}, { ...RESPONSE, output }).usage).toMatchObject({ input_tokens: 5 })
  })

  test('that names no tier was served at the standard one, unless the client asked for priority', () => {
    expect(once({ service_tier: 'flex' }, RESPONSE).service_tier).toBeNull()
    expect(once({ service_tier: 'priority' }, RESPONSE).service_tier).toBe('priority')
    expect(once({ service_tier: 'priority' }, { ...RESPONSE, service_tier: 'default' }).service_tier).toBe('default')
  })

  test('with more text than is kept of it is not known by what is left', () => {
    const saying = (text: string) => [{ type: 'message', content: [{ type: 'output_text', text }] }]
    const shown = (length: number) => once({}, { ...RESPONSE, usage: null, output: saying('a'.repeat(length)) })
    expect(shown(200_000)).toMatchObject({ may_hide_output: false, usage: null })
    expect(shown(300_000)).toMatchObject({ may_hide_output: true, usage: null })
  })

  test('with a search that does not tell its action counts it', () => {
    const output = [{ type: 'web_search_call' }, { type: 'web_search_call', action: { type: 'find_in_page' } }]
    expect(once({}, { ...RESPONSE, output }).usage).toMatchObject({ web_search_requests: 1 })
  })
})

describe('the likeliest other tokens', () => {
  const other = { token: ' hello', bytes: [32, 104, 101, 108, 108, 111], logprob: -12.345678 }
  const logprobs = Array(12_000).fill({ ...other, top_logprobs: Array(20).fill(other) })

  test('may be more than is kept of an answer, now and later', () => {
    const text = { type: 'output_text', text: ' hello', annotations: [], logprobs }
    const answer = { ...RESPONSE, output: [{ type: 'message', content: [text] }], top_logprobs: 20 }
    expect(once({ top_logprobs: 20 }, answer)).toMatchObject({ complete: true, usage: { output_tokens: 7 } })
    const stream = event('response.completed', answer)
    for (const sse of [false, true])
      expect(meterOnce(stored, {}, sse, sse ? stream : JSON.stringify(answer)).concluded).toMatchObject([
        { usage: { output_tokens: 7 } },
      ])
  })

  test.each<JsonObject>([
    { include: ['message.output_text.logprobs'] },
    { include: ['message.output_text.logprobs'], top_logprobs: 1 },
    { logprobs: true },
  ])('are left out with what is said of the tokens themselves, which is too much of a long stream (%j)', (asked) => {
    const text = { type: 'output_text', text: ' hello', annotations: [], logprobs: Array(60_000).fill(other) }
    const json = event('response.completed', { ...RESPONSE, output: [{ type: 'message', content: [text] }] })
    const chunks = json.match(/.{1,65536}/gs) ?? []
    expect(meterOnce(responses, { ...BODY, ...asked }, true, ...chunks)).toMatchObject({
      complete: true,
      usage: { output_tokens: 7 },
    })
    expect(meterOnce(stored, {}, true, ...chunks).concluded).toMatchObject([{ usage: { output_tokens: 7 } }])
  })

  test.each(['[{"token":"x"', '[{"token":"x'])('hide no error behind an event that was cut among them: %s', (cut) => {
    const error = `data: ${JSON.stringify({ type: 'error', error: { type: 'overloaded_error' } })}`
    const stream = `data: {"type":"response.output_text.delta","delta":"x","logprobs":${cut}\n\n${error}\n\n`
    const found = readings(responses, { ...BODY, top_logprobs: 2 }, true, new TextEncoder().encode(stream))
    expect(found).toEqual([expect.objectContaining({ complete: false, error_class: 'upstream_overloaded' })])
  })

  test('also of a chat', () => {
    const usage = { prompt_tokens: 5, completion_tokens: 7 }
    const answer = { choices: [{ message: { content: 'Hi' }, logprobs: { content: logprobs } }], usage }
    const body = { model: 'gpt-4o', logprobs: true, top_logprobs: 20 }
    expect(meterOnce(operation('chat_completions'), body, false, JSON.stringify(answer))).toMatchObject({
      complete: true,
      usage: { output_tokens: 7 },
    })
  })
})

describe('later answers', () => {
  const asked = askedWith({}, { params: { id: 'resp_1' } })
  const later = (name: string, answer: unknown) => {
    const meter = operation(name).meter(asked)(headOf('json'))
    meter.push(new TextEncoder().encode(JSON.stringify(answer)))
    return meter.end()
  }

  test.each(['completed', 'incomplete', 'failed', 'cancelled'])('that say %s conclude the response', (status) => {
    for (const name of ['responses_get', 'responses_cancel']) {
      expect(later(name, { ...RESPONSE, status })).toMatchObject({
        usage: null,
        complete: true,
        concluded: [{ id: 'resp_1', usage: { input_tokens: 5 } }],
      })
    }
  })

  test('that say why it failed conclude it with that', () => {
    const failed = { ...RESPONSE, status: 'failed', error: { code: 'rate_limit_exceeded' } }
    const [concluded] = later('responses_get', failed).concluded
    expect(concluded?.error_class).toBe('upstream_rate_limited')
    expect(later('responses_get', { error: { code: 'rate_limit_exceeded' } }).error_class).toBe('upstream_rate_limited')
    expect(later('responses_get', RESPONSE)).toMatchObject({ error_class: null, concluded: [{ error_class: null }] })
  })

  test('without usage conclude it as unknown', () => {
    expect(later('responses_cancel', { ...RESPONSE, status: 'cancelled', usage: null }).concluded).toEqual([
      expect.objectContaining({ id: 'resp_1', usage: null }),
    ])
  })

  test('with zeros conclude it as unknown where they show some output', () => {
    const output = [{ type: 'message', content: [{ type: 'output_text', text: 'Hi' }] }]
    const usageOf = (usage: object, answer: object = { output }) =>
      later('responses_get', { ...RESPONSE, ...answer, usage }).concluded[0]?.usage
    expect(usageOf({ input_tokens: 0, output_tokens: 0 })).toBeNull()
    expect(usageOf({ input_tokens: 5, output_tokens: 0 })).toBeNull()
    expect(usageOf({ input_tokens: 5, output_tokens: 0 }, { output: [] })).toMatchObject({ input_tokens: 5 })
  })

  test('that say it is running, or nothing at all, conclude nothing', () => {
    for (const answer of [
      { ...RESPONSE, status: 'in_progress' },
      { error: { code: 'x' } },
      [],
      'x',
      { status: 'completed' },
    ])
      expect(later('responses_get', answer).concluded).toEqual([])
  })

  test('to its deletion conclude it as unknown: nobody can ask any more', () => {
    expect(later('responses_delete', { id: 'resp_1', deleted: true })).toMatchObject({
      complete: true,
      may_hide_output: false,
      concluded: [{ id: 'resp_1', usage: null }],
    })
    expect(later('responses_delete', { error: { code: 'x' } }).concluded).toEqual([])
  })
})

test('anything at all throws nothing and reports no usage that is no count', () => {
  const noise = fc.oneof(
    fc.uint8Array(),
    fc.json().map((json) => new TextEncoder().encode(`data: ${json}\n\n`)),
    fc.jsonValue().map((one) => {
      const response = { id: one, object: 'response', status: 'completed', output: one, usage: one, error: one }
      return new TextEncoder().encode(event('response.completed', response))
    }),
  )
  fc.assert(
    fc.property(fc.array(noise), fc.constantFrom('json', 'sse', 'other'), (chunks, format) => {
      for (const one of openai.operations) {
        const meter = one.meter(askedWith({ model: 'm', input: 'x' }, { params: { id: 'x' } }))(headOf(format))
        for (const chunk of chunks) meter.push(chunk)
        const { usage } = meter.end()
        if (usage) expect(Object.values(usage).every((count) => Number.isSafeInteger(count) && count >= 0)).toBe(true)
      }
    }),
  )
})
