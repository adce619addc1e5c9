// What the official Gemini client sees through Tollgate, and what the provider sees of it.

import { deflateSync } from 'node:zlib'
import { ApiError, FunctionCallingConfigMode, GoogleGenAI, Type } from '@google/genai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CUT } from '../../src/local/fake-script.ts'
import {
  allEvents,
  answerWith,
  bytesOf,
  capOf,
  collect,
  failure,
  GENEROUS,
  grantedIn,
  lastRequest,
  NOTHING_USED,
  onlyEvent,
  type User,
} from '../support/client-calls.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { afterSteps, inPieces } from '../support/script-changes.ts'

const MODEL = 'gemini-2.5-flash'
const HELLO = { model: MODEL, contents: 'hello' }
const SENTENCE = 'Hello from the fake provider : every word of this sentence counts as one token .'
const TOKENS = 16

let gateway: Gateway
let user: User
const logs: string[] = []
beforeAll(async () => {
  gateway = await startGateway({ onLog: (message) => logs.push(message) })
  user = await gateway.admin.user(GENEROUS)
})
afterEach(() => {
  gateway.provider.reply = undefined
  gateway.provider.requests.length = 0
})
afterAll(() => gateway?.close())

const clientOf = (apiKey: string, apiVersion?: string) =>
  new GoogleGenAI({ apiKey, ...(apiVersion && { apiVersion }), httpOptions: { baseUrl: `${gateway.url}/gemini` } })

const post = (key: string, verb: string, body: unknown = CONTENTS, query = '', headers: Record<string, string> = {}) =>
  fetch(`${gateway.url}/gemini/v1beta/models/${MODEL}:${verb}${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key && { 'x-goog-api-key': key }), ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
const CONTENTS = { contents: [{ role: 'user', parts: [{ text: 'hello' }] }] }

async function streamed(key: string, config: object = {}) {
  const client = clientOf(key)
  let text = ''
  const chunks = []
  for await (const chunk of await client.models.generateContentStream({ ...HELLO, config })) {
    chunks.push(chunk)
    text += chunk.text ?? ''
  }
  return { text, last: chunks.at(-1) }
}

describe('answers', () => {
  test.each(['', '?alt=sse'])('a stream%s in a compression that nobody here undoes arrives as it is', async (query) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    // `fetch` undoes `deflate`, and then shows nothing of what comes after; this it leaves alone.
    const { last } = answerWith(gateway, (usual) => ({
      ...usual,
      headers: { ...usual.headers, 'content-encoding': 'compress' },
      steps: [deflateSync(bytesOf(usual))],
    }))
    const answer = await post(key, 'streamGenerateContent', CONTENTS, query)
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytesOf(last()))).toBe(true)
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'hold' })
  })

  // Clients before 3.0 ask for v1beta by themselves.
  test.each([
    ['v1', undefined],
    ['v1beta', 'v1beta'],
  ])('a JSON answer of %s is the provider’s, and its event says what that said', async (version, asked) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { last } = answerWith(gateway)
    const client = clientOf(key, asked)

    const answer = await client.models.generateContent(HELLO)

    const sent = JSON.parse(bytesOf(last()).toString())
    expect(answer.text).toBe(SENTENCE)
    expect(answer.usageMetadata).toEqual(sent.usageMetadata)
    expect(lastRequest(gateway).path).toBe(`/${version}/models/${MODEL}:generateContent`)
    const { promptTokenCount } = sent.usageMetadata
    expect(await onlyEvent(gateway, id)).toMatchObject({
      provider: 'gemini',
      operation: 'generate_content',
      request_model: MODEL,
      input_tokens: promptTokenCount,
      output_tokens: TOKENS,
      cost_nano_usd: promptTokenCount * 300 + TOKENS * 2_500,
      usage_source: 'reported',
      outcome: 'settled',
      provider_request_id: expect.stringMatching(/^goog_/),
    })
  })

  test.each([['\r\n'], ['\n']])('a stream with %j brings every chunk, in any chunking', async (end) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    answerWith(gateway, (usual) => {
      const text = bytesOf(usual).toString().replaceAll('\r\n', end)
      return inPieces({ ...usual, steps: [text] }, 37)
    })
    const { text, last } = await streamed(key)
    expect(text).toBe(SENTENCE)
    expect(last?.candidates?.[0]?.finishReason).toBe('STOP')
    expect(await onlyEvent(gateway, id)).toMatchObject({
      stream: true,
      output_tokens: TOKENS,
      usage_source: 'reported',
    })
  })

  test('an error in plain JSON at the end of a stream of events is raised as Google wrote it', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const error = { code: 503, message: 'This model is busy: try again later.', status: 'UNAVAILABLE' }
    const plain = JSON.stringify({ error }, null, 2)
    answerWith(gateway, (usual) => afterSteps(usual, 2, plain))

    const raised = await failure(streamed(key))

    expect(raised).toBeInstanceOf(ApiError)
    expect(raised).toMatchObject({ status: 503, message: expect.stringContaining('try again later') })
    expect(await onlyEvent(gateway, id)).toMatchObject({
      status: 200,
      usage_source: 'hold',
      error_class: 'upstream_overloaded',
    })
  })

  test('a stream passes byte for byte: events, and the array that grows', async () => {
    const { last } = answerWith(gateway)
    for (const query of ['?alt=sse', '']) {
      const { id, key } = await gateway.admin.user(GENEROUS)
      const answer = await post(key, 'streamGenerateContent', CONTENTS, query)
      expect(await answer.text()).toBe(bytesOf(last()).toString())
      expect(lastRequest(gateway).body.toString()).toBe(JSON.stringify(CONTENTS))
      expect(await onlyEvent(gateway, id)).toMatchObject({ output_tokens: TOKENS, usage_source: 'reported' })
    }
  })

  test('a tool’s call comes back whole', async () => {
    const client = clientOf(user.key)
    const tools = [
      {
        functionDeclarations: [{ name: 'weather', parametersJsonSchema: { properties: { city: { type: 'string' } } } }],
      },
    ]
    const answer = await client.models.generateContent({ model: MODEL, contents: 'use the tool', config: { tools } })
    expect(answer.functionCalls?.[0]).toMatchObject({ name: 'weather', args: { city: 'Paris' } })
  })

  test.each([
    [{ responseSchema: { type: Type.OBJECT, properties: { days: { type: Type.INTEGER } } } }, { days: 3 }],
    [{ responseJsonSchema: { type: 'object', properties: { days: { type: 'integer' } } } }, { days: 3 }],
    [{}, { city: 'Paris' }],
  ])('JSON of %j is answered, whole and streamed', async (format, wanted) => {
    const config = { ...format, responseMimeType: 'application/json' }
    const answer = await clientOf(user.key).models.generateContent({ ...HELLO, config })
    expect(JSON.parse(answer.text ?? '')).toEqual(wanted)
    expect(JSON.parse((await streamed(user.key, config)).text)).toEqual(wanted)
  })

  test.each([
    [{ mode: FunctionCallingConfigMode.ANY }, 'weather'],
    [{ mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ['other'] }, 'other'],
    [{ mode: FunctionCallingConfigMode.NONE }, undefined],
  ])('a functionCallingConfig of %j calls %s', async (functionCallingConfig, name) => {
    const tools = [{ functionDeclarations: [{ name: 'weather' }, { name: 'other' }] }]
    const config = { tools, toolConfig: { functionCallingConfig } }
    const answer = await clientOf(user.key).models.generateContent({ ...HELLO, config })
    expect(answer.functionCalls?.[0]?.name).toBe(name)
  })

  test('tokens are counted and models listed as requests that cost nothing', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const client = clientOf(key)
    expect((await client.models.countTokens(HELLO)).totalTokens).toBeGreaterThan(0)
    expect((await client.models.get({ model: MODEL })).name).toBe(`models/${MODEL}`)
    const listed = await collect(await client.models.list())
    expect(listed.map(({ name }) => name)).toContain(`models/${MODEL}`)
    const { current_usage } = await eventually(
      () => capOf(gateway, id),
      ({ held }) => held.requests === 0,
    )
    expect(current_usage).toEqual({ ...NOTHING_USED, requests: 3 })
  })

  test('embeddings that report no usage are charged their bound', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 1e6 } }])
    const client = clientOf(key)
    const answer = await client.models.embedContent({ model: 'gemini-embedding-001', contents: ['hello', 'world'] })
    expect(answer.embeddings).toHaveLength(2)
    const { body } = lastRequest(gateway)
    const event = await onlyEvent(gateway, id)
    expect(event).toMatchObject({ operation: 'batch_embed_contents', usage_source: 'hold', output_tokens: 0 })
    expect(event.input_tokens).toBeGreaterThanOrEqual(body.length)
  })
})

describe('bounds', () => {
  test.each(['generationConfig', 'generation_config'])('the granted bound is written into %s', async (field) => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 400 } }])
    const answer = await post(key, 'generateContent', { ...CONTENTS, [field]: { max_output_tokens: 9_000, topK: 1 } })
    expect(answer.status).toBe(200)
    const granted = grantedIn(answer)
    expect(granted).toBeGreaterThan(100)
    expect(JSON.parse(lastRequest(gateway).body.toString())[field]).toEqual({ max_output_tokens: granted, topK: 1 })
  })

  test('hosted tools, caches and unknown fields are refused under a cost cap, and nothing reaches the provider', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { cost_usd: 100 } }])
    for (const [body, field] of [
      [{ ...CONTENTS, tools: [{ google_search: {} }] }, 'tools[0].googleSearch'],
      [{ ...CONTENTS, cachedContent: 'cachedContents/1' }, 'cachedContent'],
      [{ ...CONTENTS, brandNew: true }, 'brandNew'],
    ] as const) {
      const answer = await post(key, 'generateContent', body)
      expect(answer.status).toBe(400)
      expect(await answer.json()).toMatchObject({ error: { status: 'INVALID_ARGUMENT', field } })
    }
    expect(gateway.provider.requests).toHaveLength(0)
  })
})

describe('errors are typed and raised once', () => {
  async function raised(key: string, call?: (client: GoogleGenAI) => Promise<unknown>) {
    const calls: string[] = []
    const real = globalThis.fetch
    globalThis.fetch = (input, init) => {
      calls.push(String(input))
      return real(input, init)
    }
    try {
      const client = clientOf(key)
      const error = await failure((call ?? ((one) => one.models.generateContent(HELLO)))(client))
      expect(calls).toHaveLength(1)
      if (!(error instanceof ApiError)) throw error
      return error
    } finally {
      globalThis.fetch = real
    }
  }

  test('an exceeded cap is RESOURCE_EXHAUSTED with the cap’s facts, for JSON and streams', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 1 } }])
    await clientOf(key).models.generateContent(HELLO)
    for (const call of [undefined, (client: GoogleGenAI) => client.models.generateContentStream(HELLO)]) {
      const error = await raised(key, call)
      expect(error.status).toBe(429)
      expect(JSON.parse(error.message)).toMatchObject({
        error: {
          code: 429,
          status: 'RESOURCE_EXHAUSTED',
          cap: { cap_type: 'daily', limit_type: 'requests', limit: 1 },
        },
      })
    }
    expect(gateway.provider.requests).toHaveLength(1)
  })

  test('a wrong key, field or route', async () => {
    expect(await raised('AIza-not-a-key')).toMatchObject({ status: 401 })
    const wrongField = (client: GoogleGenAI) =>
      client.models.generateContent({ ...HELLO, config: { maxOutputTokens: -1 } })
    expect((await raised(user.key, wrongField)).message).toContain('generationConfig.maxOutputTokens')
    expect(await raised(user.key, (client) => client.caches.list())).toMatchObject({ status: 404 })
    const noPrice = await gateway.admin.user([{ cap_type: 'daily', limits: { cost_usd: 1 } }])
    const unpriced = (client: GoogleGenAI) => client.models.generateContent({ ...HELLO, model: 'gemini-of-nobody' })
    expect((await raised(noPrice.key, unpriced)).message).toContain('unpriced_model')
    expect(gateway.provider.requests).toHaveLength(0)
  })
})

describe('the key in the query', () => {
  test('works, and reaches neither the provider, nor events, nor logs, nor an answer', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    logs.length = 0
    const answers = [
      await post('', 'generateContent', CONTENTS, `?key=${key}`),
      await post('', 'streamGenerateContent', CONTENTS, `?key=${key}&alt=sse`),
      await post('', 'generateContent', {}, `?key=${key}`),
      await post('', 'noSuchVerb', CONTENTS, `?key=${key}`),
      await post('', 'generateContent', CONTENTS, `?k%65y=${key}`),
    ]
    gateway.provider.reply = () => ({ steps: [CUT] })
    answers.push(await post('', 'generateContent', CONTENTS, `?key=${key}`))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 400, 404, 200, 424])

    const events = await allEvents(gateway, id, 4)
    const { rows } = await gateway.postgres.database.query({
      query: 'select row_to_json(e)::text from usage_events e where user_id = $1',
      params: [id],
    })
    const upstream = gateway.provider.requests.map(({ path, headers, body }) => [path, headers, body.toString()])
    const told = await Promise.all(answers.map(async (one) => [[...one.headers], await one.text()]))
    expect(rows).toHaveLength(4)
    expect(JSON.stringify([events, rows, upstream, told, logs])).not.toContain(key)
    expect(logs.join()).toContain('no answer from upstream')
    expect(gateway.provider.requests[1]?.path).toBe(`/v1beta/models/${MODEL}:streamGenerateContent?alt=sse`)
  })

  test('beside another one is refused: guessing would bill one person for another', async () => {
    const other = await gateway.admin.user(GENEROUS)
    const twice = [
      await post(user.key, 'generateContent', CONTENTS, `?key=${other.key}`),
      await post('', 'generateContent', CONTENTS, `?key=${user.key}&key=${other.key}`),
      await post('', 'generateContent', CONTENTS, `?key=${user.key}`, { authorization: `Bearer ${other.key}` }),
      await post('', 'generateContent', CONTENTS, `?key=${user.key}`, { 'x-tollgate-key': other.key }),
    ]
    expect(twice.map(({ status }) => status)).toEqual([400, 400, 400, 400])
    expect(gateway.provider.requests).toHaveLength(0)
  })

  test('may be the caller’s own beside x-tollgate-key, and reaches the provider in the header alone', async () => {
    const answer = await post('', 'generateContent', CONTENTS, '?key=goog-own-1', { 'x-tollgate-key': user.key })
    expect(answer.status).toBe(200)
    const { path, headers } = lastRequest(gateway)
    expect(path).not.toContain('key')
    expect(new Headers(headers).get('x-goog-api-key')).toBe('goog-own-1')
    expect(JSON.stringify(headers)).not.toContain(user.key)
  })
})
