// OpenAI-compatible providers, switched on by configuration alone, as the official OpenAI client sees them.

import type OpenAI from 'openai'
import { AuthenticationError, BadRequestError, RateLimitError } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CUT, json, type Script } from '../../src/local/fake-script.ts'
import {
  allEvents,
  bytesOf,
  collect,
  failure,
  GENEROUS,
  grantedIn,
  onlyEvent,
  openaiAt,
  post,
} from '../support/client-calls.ts'
import { without } from '../support/script-changes.ts'
import { type CompatibleGateway, startCompatible } from './compatible-gateway.ts'

const MESSAGES = [{ role: 'user' as const, content: 'hello' }]

let gateway: CompatibleGateway
beforeAll(async () => {
  gateway = await startCompatible((url) => ({
    GROQ_API_KEY: 'sk-own-groq',
    GROQ_BASE_URL: `${url}/openai/v1`,
    MISTRAL_API_KEY: 'sk-own-mistral',
    MISTRAL_BASE_URL: `${url}/mistral/v1`,
    DEEPSEEK_API_KEY: 'sk-own-deepseek',
    DEEPSEEK_BASE_URL: `${url}/deepseek/v1`,
    XAI_API_KEY: 'sk-own-xai',
    XAI_BASE_URL: `${url}/xai/v1`,
    OPENROUTER_API_KEY: 'sk-own-openrouter',
    OPENROUTER_BASE_URL: `${url}/api/v1`,
    AZURE_API_KEY: 'sk-own-azure',
    AZURE_BASE_URL: `${url}/openai/azure/v1/`,
    WORKERS_AI_API_KEY: 'sk-own-workers-ai',
    WORKERS_AI_BASE_URL: `${url}/client/v4/accounts/acc/ai/v1`,
    ACME_SECRET: 'sk-own-acme',
    PROVIDERS: JSON.stringify([
      { name: 'acme', base_url: `${url}/acme/api/v1`, api_key_binding: 'ACME_SECRET' },
      { name: 'plain', base_url: `${url}/without-version` },
    ]),
  }))
  const usd_per_mtok = { input: '2', cached_input: '0.5', output: '8' }
  await gateway.admin.call('POST', '/admin/prices', { provider: 'acme', model: 'large-1', usd_per_mtok })
})
afterEach(() => {
  gateway.change = null
  gateway.compatible.requests.length = 0
})
afterAll(() => gateway.close())

/** A stream after a change of each of its events but `[DONE]`. */
function mapEvents(script: Script, map: (event: { [field: string]: unknown }) => object): Script {
  const events = bytesOf(script).toString().split('\n\n').slice(0, -1)
  const steps = events.map((event) =>
    event === 'data: [DONE]' ? `${event}\n\n` : `data: ${JSON.stringify(map(JSON.parse(event.slice(6))))}\n\n`,
  )
  return { ...script, steps }
}

const sentBody = () => JSON.parse(gateway.lastRequest().body.toString())

describe('every provider', () => {
  test.each([
    ['groq', '/openai/v1/chat/completions', 'authorization', 'Bearer sk-own-groq'],
    ['mistral', '/mistral/v1/chat/completions', 'authorization', 'Bearer sk-own-mistral'],
    ['deepseek', '/deepseek/v1/chat/completions', 'authorization', 'Bearer sk-own-deepseek'],
    ['xai', '/xai/v1/chat/completions', 'authorization', 'Bearer sk-own-xai'],
    ['openrouter', '/api/v1/chat/completions', 'authorization', 'Bearer sk-own-openrouter'],
    ['azure', '/openai/azure/v1/chat/completions', 'api-key', 'sk-own-azure'],
    ['workers-ai', '/client/v4/accounts/acc/ai/v1/chat/completions', 'authorization', 'Bearer sk-own-workers-ai'],
    ['acme', '/acme/api/v1/chat/completions', 'authorization', 'Bearer sk-own-acme'],
  ])(
    '%s: JSON and stream arrive at its base URL with its credential, and each is one exact event',
    async (name, path, header, credential) => {
      for (const stream of [false, true]) {
        const { id, key } = await gateway.admin.user()
        const { client, attempts } = openaiAt(gateway, `/${name}/v1`, key)
        const body = { model: 'vendor/large-1', max_tokens: 50, messages: MESSAGES }
        let usage: OpenAI.CompletionUsage | undefined
        gateway.change = (usual) => {
          const last = usual.steps.filter((step) => typeof step === 'string' && step.includes('"usage":{')).at(-1)
          usage = JSON.parse(String(last).replace(/^data: /, '')).usage
          return usual
        }
        if (stream) {
          // A provider that is not asked reports nothing here: the client asks.
          const options = { stream_options: { include_usage: true } }
          const chunks = await collect(await client.chat.completions.create({ ...body, ...options, stream }))
          expect(chunks.at(-1)?.usage).toEqual(usage)
        } else {
          expect((await client.chat.completions.create(body)).usage).toEqual(usage)
        }

        const request = gateway.lastRequest()
        expect(request.path).toBe(path)
        expect(new Headers(request.headers).get(header)).toBe(credential)
        expect(JSON.stringify(request.headers)).not.toContain(key)
        expect(attempts).toHaveLength(1)
        expect(await onlyEvent(gateway, id)).toMatchObject({
          provider: name,
          operation: 'chat_completions',
          request_model: 'vendor/large-1',
          input_tokens: usage?.prompt_tokens,
          output_tokens: usage?.completion_tokens,
          usage_source: 'reported',
          stream,
        })
      }
    },
  )

  test('embeddings, completions, responses and models, where a provider has them', async () => {
    const { id, key } = await gateway.admin.user()
    const of = (name: string) => openaiAt(gateway, `/${name}/v1`, key).client

    const embedded = await of('mistral').embeddings.create({ model: 'mistral-embed', input: ['a', 'b'] })
    const completed = await of('azure').completions.create({ model: 'old', prompt: 'Once', max_tokens: 8 })
    const responded = await of('workers-ai').responses.create({ model: '@cf/openai/gpt-oss-20b', input: 'hello' })
    const listed = await of('groq').models.list()

    const events = await allEvents(gateway, id, 4)
    const used = Object.fromEntries(
      events.map(({ provider, operation, input_tokens, output_tokens }) => [
        `${provider} ${operation}`,
        [input_tokens, output_tokens],
      ]),
    )
    expect(used).toEqual({
      'mistral embeddings': [embedded.usage.prompt_tokens, 0],
      'azure completions': [completed.usage?.prompt_tokens, completed.usage?.completion_tokens],
      'workers-ai responses': [responded.usage?.input_tokens, responded.usage?.output_tokens],
      'groq models_list': [0, 0],
    })
    expect(listed.data.length).toBeGreaterThan(0)
  })

  test('a priced model costs what its tokens cost, cached ones too, to the nano-dollar', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    gateway.change = () =>
      json(answerWith({ prompt_tokens: 1_001, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 500 } }))
    const { client } = openaiAt(gateway, '/acme/v1', key)

    await client.chat.completions.create({ model: 'large-1', max_tokens: 50, messages: MESSAGES })

    expect(await onlyEvent(gateway, id)).toMatchObject({ cost_nano_usd: 501 * 2_000 + 500 * 500 + 7 * 8_000 })
  })

  test('an exceeded cap is a RateLimitError, an unpriced model a BadRequestError, a wrong key an AuthenticationError: one attempt each', async () => {
    const spent = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 1 } }])
    const body = { model: 'any', max_tokens: 5, messages: MESSAGES }
    await openaiAt(gateway, '/groq/v1', spent.key).client.chat.completions.create(body)
    const priced = await gateway.admin.user(GENEROUS)
    const expected = [
      [spent.key, RateLimitError],
      [priced.key, BadRequestError],
      [`${spent.key.slice(0, -1)}x`, AuthenticationError],
    ] as const
    for (const [key, type] of expected) {
      const { client, attempts } = openaiAt(gateway, '/groq/v1', key)
      expect(await failure(client.chat.completions.create(body))).toBeInstanceOf(type)
      expect(attempts).toHaveLength(1)
    }
    expect(gateway.compatible.requests).toHaveLength(1)
  })

  test('what a provider does not have is refused, as is what nobody meters', async () => {
    const { key } = await gateway.admin.user()
    for (const path of ['/groq/v1/embeddings', '/groq/v1/files', '/workers-ai/v1/models', '/deepseek/v1/responses']) {
      expect((await post(gateway, 'openai', key, {}, { path })).status, path).toBe(404)
    }
    expect(gateway.compatible.requests).toHaveLength(0)
  })
})

test.each(['groq', 'plain'])('%s: `/openai` may come before its paths, as SDKs of providers have it', async (name) => {
  const { id, key } = await gateway.admin.user()
  const version = name === 'plain' ? '' : '/v1'
  const { client } = openaiAt(gateway, `/${name}/openai${version}`, 'sk-own-caller', {
    defaultHeaders: { 'x-tollgate-key': key },
  })
  await client.chat.completions.create({ model: 'm', messages: MESSAGES })
  expect(gateway.lastRequest().path).toBe(`${name === 'plain' ? '/without-version' : '/openai/v1'}/chat/completions`)
  expect(await onlyEvent(gateway, id)).toMatchObject({ provider: name, usage_source: 'reported' })
  // Only once.
  const twice = await post(gateway, 'openai', key, {}, { path: `/${name}/openai/openai${version}/chat/completions` })
  expect(twice.status).toBe(404)
})

test.each(['%6Fpenai', 'opena%69'])('a prefix spelled %s never reaches the provider', async (prefix) => {
  const { key } = await gateway.admin.user()
  for (const base of [`/groq/${prefix}/v1`, `/plain/${prefix}`]) {
    const body = { model: 'm', messages: MESSAGES }
    expect((await post(gateway, 'openai', key, body, { path: `${base}/chat/completions` })).status).toBe(404)
  }
  expect(gateway.compatible.requests.map(({ path }) => path)).toEqual([])
})

describe('adding a provider takes configuration only', () => {
  test('one without a version in its base URL has none in its paths either', async () => {
    const { id, key } = await gateway.admin.user()
    const { client } = openaiAt(gateway, '/plain', 'sk-own-caller', { defaultHeaders: { 'x-tollgate-key': key } })

    await client.chat.completions.create({ model: 'm', messages: MESSAGES })

    expect(gateway.lastRequest().path).toBe('/without-version/chat/completions')
    expect(await onlyEvent(gateway, id)).toMatchObject({ provider: 'plain', usage_source: 'reported' })
  })

  test('one without a key says so, by name', async () => {
    const { key } = await gateway.admin.user()
    const { client, attempts } = openaiAt(gateway, '/plain', key)
    const error = await failure(client.chat.completions.create({ model: 'm', messages: MESSAGES }))
    expect(String(error)).toContain('plain')
    expect(error).toMatchObject({ status: 503, code: 'not_configured' })
    expect(attempts).toHaveLength(1)
  })
})

describe('quirks on the wire', () => {
  const streamed = { model: 'm', messages: MESSAGES, stream: true as const }

  test('groq: usage in x_groq alone is usage, and the chunk that only Tollgate asked for is dropped', async () => {
    const { id, key } = await gateway.admin.user()
    const usage = { prompt_tokens: 72, completion_tokens: 9, total_tokens: 81 }
    gateway.change = (usual) =>
      mapEvents(without(usual, '"usage":{'), (event) =>
        JSON.stringify(event).includes('"finish_reason":"stop"') ? { ...event, x_groq: { id: 'req_1', usage } } : event,
      )

    await collect(await openaiAt(gateway, '/groq/v1', key).client.chat.completions.create(streamed))

    expect(sentBody().stream_options).toEqual({ include_usage: true })
    expect(await onlyEvent(gateway, id)).toMatchObject({ input_tokens: 72, output_tokens: 9, usage_source: 'reported' })
  })

  test('mistral and openrouter: no stream_options are sent, and the usage that comes anyway is read and passed on', async () => {
    for (const name of ['mistral', 'openrouter']) {
      const { id, key } = await gateway.admin.user()
      const usage = { prompt_tokens: 11, completion_tokens: 3, total_tokens: 14, cost: 0.000_01 }
      gateway.change = (usual) => {
        const steps = [...usual.steps]
        steps.splice(-1, 0, `data: ${JSON.stringify({ id: 'x', choices: [], usage })}\n\n`)
        return { ...usual, steps }
      }

      const chunks = await collect(await openaiAt(gateway, `/${name}/v1`, key).client.chat.completions.create(streamed))

      expect(sentBody()).toEqual(streamed)
      expect(chunks.at(-1)?.usage).toEqual(usage)
      expect(await onlyEvent(gateway, id)).toMatchObject({ input_tokens: 11, output_tokens: 3 })
    }
  })

  test('mistral: an error says what it is where its own clients look, and where OpenAI’s do', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 0 } }])
    const body = { model: 'm', max_tokens: 9, messages: MESSAGES }
    const { client } = openaiAt(gateway, '/mistral/v1', key)

    const error = await failure(client.chat.completions.create(body))
    expect(error).toBeInstanceOf(RateLimitError)
    expect(error).toMatchObject({ code: 'insufficient_quota', message: expect.stringContaining('requests cap') })

    const answer = await post(gateway, 'openai', key, body, { path: '/mistral/v1/chat/completions' })
    const { error: inner, ...outer } = (await answer.json()) as { error: object }
    expect(inner).toMatchObject({ type: 'insufficient_quota', param: null, cap: { limit: 0 } })
    expect(outer).toEqual({ object: 'error', ...inner })
  })

  test('deepseek: the bound stands in max_tokens, whichever field the client used', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 3_000 } }])
    const { client } = openaiAt(gateway, '/deepseek/v1', key)

    await client.chat.completions.create({ model: 'm', messages: MESSAGES, max_completion_tokens: 40 })
    expect(sentBody()).toMatchObject({ max_tokens: 40, max_completion_tokens: 40 })

    const { response } = await client.chat.completions
      .create({ model: 'm', messages: MESSAGES, max_completion_tokens: 100_000 })
      .withResponse()
    const granted = grantedIn(response)
    expect(granted).toBeGreaterThan(100)
    expect(sentBody()).toMatchObject({ max_tokens: granted, max_completion_tokens: granted })
  })

  test.each([
    ['xai', 'x-grok-conv-id', 'conversation-1'],
    ['mistral', 'x-affinity', 'conversation-1'],
    ['workers-ai', 'x-session-affinity', 'conversation-1'],
    ['openrouter', 'x-session-id', 'conversation-1'],
    ['openrouter', 'x-anthropic-beta', 'structured-outputs-2025-11-13,interleaved-thinking-2025-05-14'],
  ])('%s: %s reaches it, byte for byte, and no other provider', async (name, header, value) => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 100_000 } }])
    const sentTo = async (provider: string) => {
      const { client } = openaiAt(gateway, `/${provider}/v1`, key, { defaultHeaders: { [header]: value } })
      await client.chat.completions.create({ model: 'grok-2', max_tokens: 9, messages: MESSAGES })
      return new Headers(gateway.lastRequest().headers).get(header)
    }
    expect([await sentTo(name), await sentTo('groq')]).toEqual([value, null])
  })

  test('openrouter: its headers reach it, and what chooses other prices is refused under a cap', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 100_000 } }])
    const headers = { 'HTTP-Referer': 'https://app.example', 'X-Title': 'App', 'X-Other': 'no' }
    const { client, attempts } = openaiAt(gateway, '/openrouter/v1', key, { defaultHeaders: headers })
    const create = (more: object) =>
      client.chat.completions.create({ model: 'meta-llama/llama-3.3-70b', max_tokens: 9, messages: MESSAGES, ...more })

    await create({ reasoning: { effort: 'low' }, top_k: 4 })
    const sent = new Headers(gateway.lastRequest().headers)
    expect([sent.get('http-referer'), sent.get('x-title'), sent.get('x-other')]).toEqual([
      'https://app.example',
      'App',
      null,
    ])

    const refused: [object, string][] = [
      [{ plugins: [{ id: 'web' }] }, 'plugins'],
      [{ models: ['a/b'] }, 'models'],
      [{ model: 'openai/gpt-4o:online' }, 'model'],
      [{ model: 'openrouter/auto' }, 'model'],
      [{ messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'f' } }] }] }, 'messages[0].content[0]'],
    ]
    for (const [more, field] of refused) {
      attempts.length = 0
      expect(await failure(create(more)), field).toMatchObject({ status: 400, param: field })
      expect(attempts).toHaveLength(1)
    }
    expect(gateway.compatible.requests).toHaveLength(1)
  })

  test('openrouter: the code of an error is its status, without which its own clients read none', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 10 } }])
    const { client } = openaiAt(gateway, '/openrouter/v1', key)
    const create = (more: object) =>
      failure(client.chat.completions.create({ model: 'a/b', max_tokens: 9, messages: MESSAGES, ...more }))
    expect(await create({})).toMatchObject({
      status: 429,
      type: 'insufficient_quota',
      error: { code: 429, metadata: { code: 'insufficient_quota' }, cap: { limit: 10 } },
    })
    expect(await create({ models: ['c/d'] })).toMatchObject({
      status: 400,
      param: 'models',
      error: { code: 400, metadata: { code: 'unbounded_request' } },
    })
  })

  test('openrouter: a call that may be billed ends with no 5xx, at which its own clients ask again for an hour', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 100_000 } }])
    const { client } = openaiAt(gateway, '/openrouter/v1', key)
    gateway.change = (usual, { method }) => (method === 'HEAD' ? usual : { steps: [CUT] })
    const error = await failure(client.chat.completions.create({ model: 'a/b', max_tokens: 9, messages: MESSAGES }))
    expect(error).toMatchObject({ status: 424, error: { code: 424, metadata: { code: 'upstream_unreachable' } } })
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'hold', error_class: 'upstream_unreachable' })
  })

  test('a 400 that breaks off is still a 400, once', async () => {
    const { key } = await gateway.admin.user()
    const { client, attempts } = openaiAt(gateway, '/groq/v1', key)
    const headers = { 'content-type': 'application/json' }
    gateway.change = () => ({ status: 400, headers, steps: ['{"error":{"message":"bad', { delay_ms: 50 }, CUT] })
    const body = { model: 'm', max_tokens: 10, messages: MESSAGES }
    expect(await failure(client.chat.completions.create(body))).toMatchObject({ status: 400 })
    expect(attempts).toHaveLength(1)
  })
})

const answerWith = (usage: object) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'large-1',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  usage,
})
