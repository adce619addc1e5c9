// OpenAI's responses as the official client sees them: JSON, streams, tools, stored and in the background.

import type OpenAI from 'openai'
import { BadRequestError, RateLimitError } from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { json } from '../../src/local/fake-script.ts'
import { checkBooks } from '../support/books.ts'
import {
  answerWith,
  collect,
  failure,
  GENEROUS,
  grantedIn,
  lastRequest,
  onlyEvent,
  openaiOf,
  post,
  type User,
} from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { afterSteps } from '../support/script-changes.ts'

const HELLO = { model: 'gpt-4o-mini', input: 'hello', max_output_tokens: 100 }
const PATH = '/openai/v1/responses'

let gateway: Gateway
let user: User

beforeAll(async () => {
  gateway = await startGateway()
  user = await gateway.admin.user(GENEROUS)
})
afterEach(() => {
  gateway.provider.reply = undefined
  gateway.provider.requests.length = 0
})
afterAll(() => gateway?.close())

const bodyBytes = () => lastRequest(gateway).body.length
/** gpt-4o-mini: 0.15 and 0.60 dollars a million. */
const nanoUsd = (input: number, output: number) => Math.ceil(input * 150 + output * 600)

test('structured output is parsed, as JSON and from a stream', async () => {
  const { client } = openaiOf(gateway, user.key)
  const body = { ...HELLO, text: { format: zodTextFormat(z.object({ days: z.int() }), 'trip') } }
  expect((await client.responses.parse(body)).output_parsed).toEqual({ days: 3 })
  expect((await client.responses.stream(body).finalResponse()).output_parsed).toEqual({ days: 3 })
  const loose = await client.responses.create({ ...HELLO, text: { format: { type: 'json_object' } } })
  expect(JSON.parse(loose.output_text)).toEqual({ city: 'Paris' })
})

test.each([
  ['required', 'weather'],
  [{ type: 'function', name: 'other' }, 'other'],
  ['none', undefined],
] as const)('a tool_choice of %j calls %s', async (tool_choice, name) => {
  const weather = { type: 'function' as const, name: 'weather', parameters: {}, strict: false }
  const tools = [weather, { ...weather, name: 'other' }]
  const { output } = await openaiOf(gateway, user.key).client.responses.create({ ...HELLO, tools, tool_choice })
  expect(output).toMatchObject([name ? { type: 'function_call', name, arguments: '{}' } : { type: 'message' }])
})

describe('usage', () => {
  test('of a JSON answer is charged as the provider reports it', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const response = await openaiOf(gateway, key).client.responses.create(HELLO)
    expect(response.output_text).toContain('Hello from the fake provider')
    expect(await onlyEvent(gateway, id)).toMatchObject({
      operation: 'responses',
      usage_source: 'reported',
      input_tokens: bodyBytes(),
      output_tokens: 100,
      reasoning_tokens: 100 - 16,
      cost_nano_usd: nanoUsd(bodyBytes(), 100),
    })
    await checkBooks(gateway, [id])
  })

  test('of a stream is charged, and its bytes are the provider’s own', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const seen = answerWith(gateway)
    const answer = await post(gateway, 'openai', key, { ...HELLO, stream: true }, { path: PATH })
    expect(await answer.text()).toBe(seen.last().steps.join(''))
    expect(await onlyEvent(gateway, id)).toMatchObject({ stream: true, usage_source: 'reported', output_tokens: 100 })
    await checkBooks(gateway, [id])
  })

  test('of a stream with the likeliest others of thousands of tokens is charged, and the stream ends without an error', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const other = { token: ' hello', bytes: [32, 104, 101, 108, 108, 111], logprob: -12.345678 }
    const logprobs = Array(4_000).fill({ ...other, top_logprobs: Array(20).fill(other) })
    const text = { type: 'output_text', text: ' hello'.repeat(4_000), annotations: [], logprobs }
    const output = [{ id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content: [text] }]
    const usage = { input_tokens: 5, output_tokens: 4_000, total_tokens: 4_005 }
    const response = { id: 'resp_1', object: 'response', status: 'completed', model: 'gpt-4o-mini', output, usage }
    const type = 'response.completed'
    const steps = [`event: ${type}\ndata: ${JSON.stringify({ type, response })}\n\n`]
    gateway.provider.reply = () => ({ headers: { 'content-type': 'text/event-stream' }, steps })

    const asked = { model: 'gpt-4o-mini', input: 'hello', stream: true as const, top_logprobs: 20 }
    const received: string[] = []
    for await (const event of await openaiOf(gateway, key).client.responses.create(asked)) {
      // As text: to compare 80,000 objects takes longer than an idle connection is kept open.
      if (event.type === type) received.push(JSON.stringify(event.response.output))
    }
    expect(received).toEqual([JSON.stringify(output)])

    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', output_tokens: 4_000 })
  })

  test('the SDK’s own stream helper reads a stream to its end', async () => {
    const stream = openaiOf(gateway, user.key).client.responses.stream(HELLO)
    expect((await stream.finalResponse()).usage?.output_tokens).toBe(100)
  })

  test('of an image is within its hold, also with a model that takes few tokens of it', async () => {
    const image = { type: 'input_image', image_url: `data:image/png;base64,${'A'.repeat(100_000)}` }
    const input = [{ role: 'user', content: [image] }]
    for (const model of ['gpt-4o-mini', 'gpt-4o', 'gpt-4.1-mini', 'gpt-5', 'o4-mini']) {
      const { id, key } = await gateway.admin.user(GENEROUS)
      await (await post(gateway, 'openai', key, { ...HELLO, model, input }, { path: PATH })).text()
      expect(await onlyEvent(gateway, id)).toMatchObject({ request_model: model, overrun: false })
    }
  })

  test('of web searches counts a fee for each, within max_tool_calls', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const body = { ...HELLO, tools: [{ type: 'web_search' }], max_tool_calls: 2 }
    const answer = await post(gateway, 'openai', key, body, { path: PATH })
    expect(answer.status).toBe(200)
    const event = await onlyEvent(gateway, id)
    expect(event).toMatchObject({ web_search_requests: 2, usage_source: 'reported', overrun: false })
    // Each is $0.01, and 8,000 tokens of input for what it found.
    expect(event.cost_nano_usd).toBe(nanoUsd(event.input_tokens + 2 * 8_000, event.output_tokens) + 2 * 10_000_000)
  })

  test('that nobody reports is charged the hold', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    gateway.provider.reply = () => json({ object: 'response', status: 'completed', output: 'x', usage: { a: 1 } })
    const answer = await post(gateway, 'openai', key, { ...HELLO, model: 'o4-mini' }, { path: PATH })
    expect(answer.status).toBe(200)
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'hold', output_tokens: 100 })
  })
})

describe('caps', () => {
  test('a bound that does not fit is clamped in the body', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 500 } }])
    const answer = await post(gateway, 'openai', key, { model: 'gpt-4o-mini', input: 'hello' }, { path: PATH })
    const granted = grantedIn(answer)
    expect(JSON.parse(lastRequest(gateway).body.toString()).max_output_tokens).toBe(granted)
    expect(granted).toBeGreaterThan(0)
  })

  test('an exceeded one is a RateLimitError, once', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 1 } }])
    const { client, attempts } = openaiOf(gateway, key)
    await client.responses.create(HELLO)
    expect(await failure(client.responses.create(HELLO))).toBeInstanceOf(RateLimitError)
    expect(attempts).toHaveLength(2)
  })

  test.each([
    ['tools[0]', { tools: [{ type: 'code_interpreter', container: { type: 'auto' } }] }],
    ['max_tool_calls', { tools: [{ type: 'web_search' }] }],
    ['prompt', { prompt: { id: 'pmpt_1' } }],
  ])('what nothing bounds is a BadRequestError that names %s', async (field, extra) => {
    const { client, attempts } = openaiOf(gateway, user.key)
    const error = await failure(
      client.responses.create({ ...HELLO, ...extra } as OpenAI.Responses.ResponseCreateParamsNonStreaming),
    )
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error).toMatchObject({ param: field, code: 'unbounded_request' })
    expect(attempts).toHaveLength(1)
    expect(gateway.provider.requests).toHaveLength(0)
  })

  test('stored context is held as a whole context window', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 100_000 } }])
    const error = await failure(
      openaiOf(gateway, key).client.responses.create({ ...HELLO, previous_response_id: 'resp_1' }),
    )
    expect(error).toBeInstanceOf(RateLimitError)
    // What the AI SDK and the Agents SDK send in the second step of a loop with a model that reasons.
    const step = [{ type: 'item_reference' as const, id: 'rs_1' }]
    expect(String(error)).toContain("previous_response_id counts as the model's whole context window")
    const second = await failure(openaiOf(gateway, key).client.responses.create({ ...HELLO, input: step }))
    expect(String(second)).toContain("input[0].item_reference counts as the model's whole context window")
  })
})

test('a stream whose provider says that it failed passes as it is, and is charged its hold', async () => {
  const { id, key } = await gateway.admin.user(GENEROUS)
  const failed = {
    type: 'response.failed',
    response: {
      id: 'resp_1',
      object: 'response',
      status: 'failed',
      error: { code: 'server_error', message: 'No.' },
      output: [],
      usage: null,
    },
  }
  answerWith(gateway, (usual) => afterSteps(usual, 3, `event: response.failed\ndata: ${JSON.stringify(failed)}\n\n`))
  const events = await collect(await openaiOf(gateway, key).client.responses.create({ ...HELLO, stream: true }))
  expect(events.at(-1)?.type).toBe('response.failed')
  expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'hold', error_class: 'upstream_error' })
})

// The shape that others have recorded: https://github.com/maximhq/bifrost/issues/5040
test('a stream in which the account turns out to have no quota is raised as that, and uses nothing', async () => {
  const { id, key } = await gateway.admin.user(GENEROUS)
  const error = { type: 'insufficient_quota', code: 'insufficient_quota', message: 'Pay first.', param: null }
  const response = { id: 'resp_1', object: 'response', status: 'failed', error, output: [], usage: null }
  const told = (value: { type: string }) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`
  const raised = { type: 'error', error }
  const failed = { type: 'response.failed', response }
  // After those that say that it was created and is in progress.
  answerWith(gateway, (usual) => afterSteps(usual, 2, told(raised), told(failed)))

  const { client, attempts } = openaiOf(gateway, key)
  const stream = await client.responses.create({ ...HELLO, stream: true })

  expect(await failure(collect(stream))).toMatchObject({ code: 'insufficient_quota' })
  expect(attempts).toHaveLength(1)
  expect(await onlyEvent(gateway, id)).toMatchObject({
    outcome: 'released',
    status: 200,
    error_class: 'upstream_rate_limited',
    cost_cents: 0,
    requests: 0,
  })
})

describe('stored and background responses', () => {
  test('are polled, read and deleted at no cost beside their own', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { client } = openaiOf(gateway, key)
    const first = await client.responses.create({ ...HELLO, background: true })
    expect(first.status).toBe('queued')
    expect((await client.responses.retrieve(first.id)).status).toBe('in_progress')
    expect((await client.responses.retrieve(first.id)).status).toBe('completed')
    const streamed = await collect(await client.responses.retrieve(first.id, { stream: true }))
    expect(streamed.at(-1)?.type).toBe('response.completed')
    expect((await client.responses.inputItems.list(first.id)).data).toEqual([])
    await client.responses.delete(first.id)
    expect(await failure(client.responses.retrieve(first.id))).toMatchObject({ status: 404 })
    const { events } = await checkBooks(gateway, [id])
    expect(events.filter(({ cost_nano_usd }) => cost_nano_usd > 0)).toHaveLength(1)
  })

  test('cancelling sends no body', async () => {
    const { client } = openaiOf(gateway, user.key)
    const { id } = await client.responses.create({ ...HELLO, background: true })
    expect((await client.responses.cancel(id)).status).toBe('cancelled')
    expect(lastRequest(gateway).body).toHaveLength(0)
  })

  test('counting tokens is free', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { input_tokens } = await openaiOf(gateway, key).client.responses.inputTokens.count({
      model: 'gpt-4o-mini',
      input: 'x',
    })
    expect(input_tokens).toBeGreaterThan(0)
    expect(await onlyEvent(gateway, id)).toMatchObject({
      operation: 'responses_input_tokens',
      cost_nano_usd: 0,
      requests: 1,
    })
  })
})
