import { get } from 'node:http'
import Anthropic, {
  AuthenticationError as AnthropicAuthenticationError,
  BadRequestError as AnthropicBadRequestError,
  RateLimitError as AnthropicRateLimitError,
} from '@anthropic-ai/sdk'
import OpenAI, { APIConnectionError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { BEDROCK_CREDENTIAL, type FakeProvider, startFakeProvider } from '../../../src/local/fake-provider.ts'
import { CUT, HANG, json, type Script, SEND_HEADERS } from '../../../src/local/fake-script.ts'
import { failure } from '../../support/client-calls.ts'
import { afterSteps, cutAfterBytes, inGzip, inPieces, withCrlf, without } from '../../support/script-changes.ts'

let provider: FakeProvider
let openai: OpenAI
let anthropic: Anthropic

beforeAll(async () => {
  provider = await startFakeProvider()
  openai = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: 'sk-fake', maxRetries: 0 })
  anthropic = new Anthropic({ baseURL: provider.url, apiKey: 'sk-ant-fake', maxRetries: 0 })
})
afterEach(() => {
  provider.reply = undefined
  provider.requests.length = 0
})
afterAll(() => provider.close())

const hello = { model: 'gpt-4o-mini', messages: [{ role: 'user' as const, content: 'hello' }] }
const helloClaude = { model: 'claude-x', max_tokens: 100, messages: [{ role: 'user' as const, content: 'hello' }] }
const lastRequest = () => provider.requests.at(-1) ?? expect.unreachable('nothing reached the provider')
const promptTokens = () => Math.ceil(lastRequest().body.length / 4)
const always = (change: (script: Script) => Script) => {
  provider.reply = (_, usual) => change(usual())
}
async function streamText(body = {}): Promise<{ text: string; last: OpenAI.ChatCompletionChunk | undefined }> {
  let text = ''
  let last: OpenAI.ChatCompletionChunk | undefined
  for await (const chunk of await openai.chat.completions.create({ ...hello, stream: true, ...body })) {
    text += chunk.choices[0]?.delta.content ?? ''
    last = chunk
  }
  return { text, last }
}

it('closes no connection that is idle: a worker would lose the call that it sends in that moment', async () => {
  const { headers } = await fetch(provider.url)
  expect([headers.get('connection'), headers.get('keep-alive')]).toEqual(['keep-alive', null])
})

describe('OpenAI, through its own SDK', () => {
  it('answers a completion with usage of a quarter of the bytes and a token a word', async () => {
    const { data, request_id } = await openai.chat.completions.create(hello).withResponse()
    const words = data.choices[0]?.message.content?.split(' ').length
    expect(data.usage).toMatchObject({ prompt_tokens: promptTokens(), completion_tokens: words })
    expect(data).toMatchObject({ object: 'chat.completion', model: 'gpt-4o-mini-2024-07-18', service_tier: 'default' })
    expect(data.choices[0]?.finish_reason).toBe('stop')
    expect(request_id).toMatch(/^req_/)
  })

  it('records the request as it came', async () => {
    await openai.chat.completions.create(hello)
    const { method, path, headers, body, outcome } = lastRequest()
    expect([method, path, JSON.parse(body.toString())]).toEqual(['POST', '/v1/chat/completions', hello])
    expect(Object.fromEntries(headers)).toMatchObject({ authorization: 'Bearer sk-fake' })
    expect(await outcome).toBe('sent')
  })

  it('truncates every choice at the bound, max_completion_tokens before max_tokens', async () => {
    const { choices, usage } = await openai.chat.completions.create({
      ...hello,
      max_completion_tokens: 3,
      max_tokens: 9,
      n: 2,
    })
    expect(choices.map(({ message, finish_reason }) => [message.content, finish_reason])).toEqual([
      ['Hello from the', 'length'],
      ['Hello from the', 'length'],
    ])
    expect(usage?.completion_tokens).toBe(6)
    expect((await openai.chat.completions.create({ ...hello, max_tokens: 1 })).usage?.completion_tokens).toBe(1)
  })

  it('streams usage only where it is asked for, in a last chunk without choices', async () => {
    const plain = await streamText()
    expect(plain.last).not.toHaveProperty('usage')
    expect(plain.last?.choices[0]?.finish_reason).toBe('stop')
    const asked = await streamText({ stream_options: { include_usage: true } })
    expect(asked.text).toBe(plain.text)
    expect(asked.last).toMatchObject({ choices: [], usage: { prompt_tokens: promptTokens() } })
  })

  it('calls a tool, whole and in deltas that the SDK puts together', async () => {
    const parameters = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } }
    const body = {
      ...hello,
      messages: [{ role: 'user' as const, content: 'use the tool' }],
      tools: [{ type: 'function' as const, function: { name: 'weather', parameters } }],
    }
    const whole = await openai.chat.completions.create(body)
    const streamed = await openai.chat.completions.stream(body).finalChatCompletion()
    for (const { choices } of [whole, streamed]) {
      expect(choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } })
      const call = choices[0]?.message.tool_calls?.[0]
      expect(call).toMatchObject({ type: 'function', function: { name: 'weather' } })
      expect(JSON.parse(call?.type === 'function' ? call.function.arguments : '')).toEqual({ city: 'Paris', days: 3 })
    }
  })

  it('lists models', async () => {
    const ids = (await openai.models.list()).data.map(({ id }) => id)
    expect(ids).toContain('gpt-4o-mini')
  })

  it("raises the SDK's own error classes", async () => {
    const wrong = new OpenAI({ baseURL: `${provider.url}/v1`, apiKey: 'tg_something', maxRetries: 0 })
    const unauthenticated = await failure(wrong.chat.completions.create(hello))
    expect(unauthenticated).toBeInstanceOf(AuthenticationError)
    expect(unauthenticated).toMatchObject({ status: 401, code: 'invalid_api_key' })
    const { messages: _, ...incomplete } = hello
    const invalid = await failure(openai.post('/chat/completions', { body: incomplete }))
    expect(invalid).toBeInstanceOf(BadRequestError)
    expect(invalid).toMatchObject({ param: 'messages' })
    expect(await failure(openai.chat.completions.create({ ...hello, max_tokens: 0 }))).toBeInstanceOf(BadRequestError)
    expect(await failure(openai.post('/nothing'))).toBeInstanceOf(NotFoundError)
  })
})

describe('Anthropic, through its own SDK', () => {
  it('answers a message with usage, cache kinds and service tier', async () => {
    const { data, request_id } = await anthropic.messages.create(helloClaude).withResponse()
    expect(data).toMatchObject({
      type: 'message',
      model: 'claude-x',
      stop_reason: 'end_turn',
      usage: {
        input_tokens: promptTokens(),
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 0,
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
        service_tier: 'standard',
      },
    })
    expect(request_id).toMatch(/^req_/)
  })

  it('streams the events of a message in their order, usage cumulative', async () => {
    const stream = anthropic.messages.stream({ ...helloClaude, max_tokens: 4 })
    const types: string[] = []
    stream.on('streamEvent', (event) => types.push(event.type))
    const message = await stream.finalMessage()
    expect(types.join(' ')).toMatch(
      /^message_start content_block_start (content_block_delta ){4}content_block_stop message_delta message_stop$/,
    )
    expect(message).toMatchObject({
      content: [{ text: 'Hello from the fake' }],
      stop_reason: 'max_tokens',
      usage: { input_tokens: promptTokens(), output_tokens: 4, service_tier: 'standard' },
    })
  })

  it('calls a tool, whole and streamed', async () => {
    const body = {
      ...helloClaude,
      messages: [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'use the tool' }] }],
      tools: [{ name: 'weather', input_schema: { type: 'object' as const, properties: { city: { type: 'string' } } } }],
    }
    for (const message of [
      await anthropic.messages.create(body),
      await anthropic.messages.stream(body).finalMessage(),
    ]) {
      expect(message.stop_reason).toBe('tool_use')
      expect(message.content[0]).toMatchObject({ type: 'tool_use', name: 'weather', input: { city: 'Paris' } })
    }
  })

  it('counts tokens and lists models under the same path as OpenAI', async () => {
    const { max_tokens: _, ...body } = helloClaude
    expect((await anthropic.messages.countTokens(body)).input_tokens).toBe(promptTokens())
    expect((await anthropic.models.list()).data[0]?.type).toBe('model')
  })

  it("raises the SDK's own error classes", async () => {
    const wrong = new Anthropic({ baseURL: provider.url, apiKey: 'tg_something', maxRetries: 0 })
    const unauthenticated = await failure(wrong.messages.create(helloClaude))
    expect(unauthenticated).toBeInstanceOf(AnthropicAuthenticationError)
    expect(unauthenticated).toMatchObject({ status: 401, error: { error: { type: 'authentication_error' } } })
    const { max_tokens: _, ...incomplete } = helloClaude
    const invalid = await failure(anthropic.post('/v1/messages', { body: incomplete }))
    expect(invalid).toBeInstanceOf(AnthropicBadRequestError)
  })
})

describe('Gemini', () => {
  it('answers for whatever model is called, as the others do: clients call newer ones than it lists', async () => {
    const call = (model: string, verb: string) =>
      fetch(`${provider.url}/v1beta/models/${model}:${verb}`, {
        method: 'POST',
        headers: { 'x-goog-api-key': 'goog-fake' },
        body: JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'hello' }] }] }),
      })
    expect(await (await call('gemini-x', 'generateContent')).json()).toMatchObject({ modelVersion: 'gemini-x' })
    expect((await call('gemini-x', 'streamGenerateContent?alt=sse')).status).toBe(200)
    expect((await call('', 'generateContent')).status).toBe(404)
    const headers = { 'x-goog-api-key': 'goog-fake' }
    expect((await fetch(`${provider.url}/v1beta/models/gemini-x`, { headers })).status).toBe(404)
  })
})

describe('Bedrock', () => {
  it('takes either version of Anthropic’s API', async () => {
    const ask = async (anthropic_version?: string) => {
      const body = { anthropic_version, max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] }
      const headers = { authorization: `Bearer ${BEDROCK_CREDENTIAL}`, 'content-type': 'application/json' }
      const url = `${provider.url}/model/us.anthropic.claude-opus-4-8/invoke`
      return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).status
    }
    expect([await ask('bedrock-2023-05-31'), await ask('2026-10-21'), await ask()]).toEqual([200, 200, 400])
  })
})

describe('a path that several APIs have is answered by the one that is meant', () => {
  const GOOGLE = { 'x-goog-api-key': 'goog-fake' }
  it.each<[string, Record<string, string>, object]>([
    ['/v1/models/ft:gpt-4o:a::b', { authorization: 'Bearer sk-fake' }, { error: { code: 'model_not_found' } }],
    ['/v1/models', { authorization: 'Bearer sk-fake' }, { object: 'list' }],
    ['/v1/models', { 'x-api-key': 'sk-ant-fake', 'anthropic-version': '2023-06-01' }, { has_more: false }],
    ['/v1/models', GOOGLE, { models: expect.any(Array) }],
    ['/v1/models?key=goog-fake', {}, { models: expect.any(Array) }],
    ['/v1/models/gemini-2.5-flash:countTokens', {}, { error: { status: 'PERMISSION_DENIED' } }],
    ['/v1beta/models', GOOGLE, { models: expect.any(Array) }],
    ['/v1/places/ChIJ1?fields=id', GOOGLE, { id: 'ChIJfake' }],
  ])('%s %j', async (path, headers, answer) => {
    expect(await (await fetch(provider.url + path, { headers })).json()).toMatchObject(answer)
  })
})

describe('what no provider would answer', () => {
  it.each([
    ['completions', { prompt: 'a' }],
    ['chat/completions', { messages: hello.messages }],
    ['images/generations', { prompt: 'a', model: 'dall-e-2' }],
  ])('is refused: ten billion at once of %s', async (path, body) => {
    const answer = await fetch(`${provider.url}/v1/${path}`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk-fake' },
      body: JSON.stringify({ model: 'gpt-4o-mini', ...body, n: 1e10 }),
    })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ error: { param: 'n', code: 'integer_above_max_value' } })
  })

  it.each(['//', '/model/%ZZ/converse'])('does not end it: %s', async (path) => {
    const headers = { authorization: `Bearer ${BEDROCK_CREDENTIAL}` }
    const answer = await fetch(provider.url + path, { method: 'POST', headers, body: '{}' })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect((await fetch(`${provider.url}/v1/models`, { headers: { authorization: 'Bearer sk-fake' } })).status).toBe(
      200,
    )
  })
})

describe('a scripted answer', () => {
  it('replaces the usual one', async () => {
    provider.reply = ({ path }) =>
      path === '/v1/messages'
        ? json({ type: 'error', error: { type: 'rate_limit_error', message: 'slow' } }, 429, { 'retry-after': '3' })
        : json({ error: { message: 'slow', type: 'tokens', param: null, code: 'rate_limit_exceeded' } }, 429)
    expect(await failure(openai.chat.completions.create(hello))).toBeInstanceOf(RateLimitError)
    const limited = await failure(anthropic.messages.create(helloClaude))
    expect(limited).toBeInstanceOf(AnthropicRateLimitError)
    expect((limited as AnthropicRateLimitError).headers?.get('retry-after')).toBe('3')
  })

  it.each([
    ['every byte on its own', (script: Script) => inPieces(script, 1)],
    ['in pieces of seven bytes', (script: Script) => inPieces(script, 7)],
    ['with CRLF', withCrlf],
    ['with CRLF and every byte on its own', (script: Script) => inPieces(withCrlf(script), 1)],
    ['without [DONE]', (script: Script) => without(script, '[DONE]')],
    ['compressed', inGzip],
  ])('has the same meaning %s', async (_, change) => {
    const usual = await streamText()
    always(change)
    expect((await streamText()).text).toBe(usual.text)
  })

  it('leaves byte by byte in writes of its own', async () => {
    always((script) => inPieces({ ...script, steps: ['data: "ü"\n\n'] }, 1))
    const pieces: number[] = []
    const request = get(`${provider.url}/v1/models`)
    await new Promise((resolve, reject) => {
      request.on('error', reject).on('response', (response) => {
        response.on('data', (piece: Buffer) => pieces.push(piece.length)).on('end', resolve)
      })
    })
    expect(pieces.reduce((sum, length) => sum + length)).toBe(12)
    expect(pieces.length).toBeGreaterThan(1)
  })

  it('breaks at a given byte', async () => {
    always((script) => cutAfterBytes(script, 1000))
    const response = await openai.chat.completions.create({ ...hello, stream: true }).asResponse()
    let seen = 0
    const reading = (async () => {
      for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) seen += piece.length
    })()
    await failure(reading)
    expect(seen).toBe(1000)
    expect(await lastRequest().outcome).toBe('cut')
  })

  it('breaks before it begins', async () => {
    always((script) => afterSteps(script, 0, CUT))
    expect(await failure(openai.chat.completions.create(hello))).toBeInstanceOf(APIConnectionError)
  })

  it("carries a provider's error in the middle of a stream", async () => {
    always((script) => afterSteps(script, 4, 'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'))
    expect(await failure(streamText())).toMatchObject({ message: 'overloaded' })
    const event = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    always((script) => afterSteps(script, 4, event))
    expect(await failure(anthropic.messages.stream(helloClaude).finalMessage())).toMatchObject({
      error: { error: { type: 'overloaded_error' } },
    })
  })

  it('holds the first byte, and any later one, until it may go on', async () => {
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const [head, tail] = gates.map(({ promise }) => ({ until: promise }))
    if (!head || !tail) return expect.unreachable()
    provider.reply = () => ({ steps: [head, SEND_HEADERS, { delay_ms: 1 }, tail, '{"late":true}'] })
    const answering = fetch(`${provider.url}/v1/models`)
    await expect.poll(() => provider.requests.length, { timeout: 30_000 }).toBe(1)
    gates[0]?.resolve()
    const response = await answering
    gates[1]?.resolve()
    expect(await response.json()).toEqual({ late: true })
  })

  it('never comes, and says so when the client gives up', async () => {
    // Not before the provider has the request, which on a busy machine may take longer than a client's shortest timeout.
    const patience = new AbortController()
    provider.reply = () => {
      patience.abort()
      return { steps: [HANG] }
    }
    await failure(openai.chat.completions.create(hello, { signal: patience.signal }))
    expect(await lastRequest().outcome).toBe('client_gone')
  })

  it('notices a client that leaves in the middle of a stream', async () => {
    always((script) => afterSteps(script, 3, HANG))
    const stream = await openai.chat.completions.create({ ...hello, stream: true })
    for await (const _ of stream) break
    expect(await lastRequest().outcome).toBe('client_gone')
  })

  it('may be garbage', async () => {
    provider.reply = () => ({ headers: { 'content-type': 'application/json' }, steps: ['{"choices": [{'] })
    expect(await failure(openai.chat.completions.create(hello))).toBeInstanceOf(Error)
  })
})

it('refuses malformed bodies in the words of both providers', async () => {
  const post = (path: string, headers: Record<string, string>) =>
    fetch(provider.url + path, { method: 'POST', headers, body: '{"model":' })
  const ours = await post('/v1/chat/completions', { authorization: 'Bearer sk-fake' })
  expect([ours.status, await ours.json()]).toMatchObject([400, { error: { type: 'invalid_request_error' } }])
  const theirs = await post('/v1/messages', { 'x-api-key': 'sk-ant-fake', 'anthropic-version': '2023-06-01' })
  expect([theirs.status, await theirs.json()]).toMatchObject([
    400,
    { type: 'error', error: { type: 'invalid_request_error' } },
  ])
})

it('takes either header for Anthropic, and no foreign credential beside it', async () => {
  const status = async (headers: Record<string, string>) =>
    (await fetch(`${provider.url}/v1/models`, { headers: { 'anthropic-version': '2026-10-21', ...headers } })).status
  expect(await status({ 'x-api-key': 'sk-ant-fake' })).toBe(200)
  expect(await status({ authorization: 'Bearer sk-ant-fake' })).toBe(200)
  expect(await status({ authorization: 'Bearer tg_leaked', 'x-api-key': 'sk-ant-fake' })).toBe(401)
})

it('takes a caller’s own key, and never a Tollgate key', async () => {
  const openaiStatus = async (key: string) =>
    (await fetch(`${provider.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status
  const anthropicStatus = async (headers: Record<string, string>) =>
    (await fetch(`${provider.url}/v1/models`, { headers: { 'anthropic-version': '2026-10-21', ...headers } })).status
  expect(await openaiStatus('sk-own-key-of-ada')).toBe(200)
  expect(await anthropicStatus({ 'x-api-key': 'sk-ant-own-key-of-ada' })).toBe(200)
  for (const key of ['tg_sk-own', 'sk-other', 'sk-fake2', '']) expect(await openaiStatus(key), key).toBe(401)
  expect(await anthropicStatus({ 'x-api-key': 'tg_sk-ant-own' })).toBe(401)
  expect(await anthropicStatus({ 'x-api-key': 'sk-ant-own', authorization: 'Bearer sk-ant-fake' })).toBe(401)
})

it('tells of one model, and answers 404 as each provider does for one that it does not have', async () => {
  for (const id of ['gpt-4o-mini', 'gpt-4o-mini-2024-07-18'])
    expect(await openai.models.retrieve(id)).toMatchObject({ id, object: 'model' })
  const id = 'claude-haiku-4-5-20251001'
  expect(await anthropic.models.retrieve(id)).toMatchObject({ id, type: 'model' })
  expect(await failure(openai.models.retrieve('gpt-0'))).toMatchObject({
    status: 404,
    code: 'model_not_found',
    param: 'model',
  })
  expect(await failure(anthropic.models.retrieve('claude-0'))).toMatchObject({
    status: 404,
    error: { type: 'error', error: { type: 'not_found_error', message: 'model: claude-0' } },
  })
})

it('refuses calls without a credential', async () => {
  for (const path of ['/v1/chat/completions', '/v1/messages', '/v1/models'])
    expect((await fetch(provider.url + path, { method: path === '/v1/models' ? 'GET' : 'POST' })).status).toBe(401)
})
