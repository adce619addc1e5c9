// Azure OpenAI: whose credentials it reads and where, what it bills although it refuses, and the paths of its own SDK.

import { AzureOpenAI, RateLimitError } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { json } from '../../src/local/fake-script.ts'
import {
  allEvents,
  bytesOf,
  collect,
  countingFetch,
  failure,
  GENEROUS,
  grantedIn,
  onlyEvent,
  openaiAt,
} from '../support/client-calls.ts'
import { type CompatibleGateway, startCompatible } from './compatible-gateway.ts'

const MESSAGES = [{ role: 'user' as const, content: 'hello' }]

let gateway: CompatibleGateway
beforeAll(async () => {
  gateway = await startCompatible((url) => ({
    AZURE_API_KEY: 'sk-own-azure',
    AZURE_BASE_URL: `${url}/openai/azure/v1/`,
  }))
})
afterEach(() => {
  gateway.change = null
  gateway.compatible.requests.length = 0
})
afterAll(() => gateway.close())

const sentBody = () => JSON.parse(gateway.lastRequest().body.toString())

/** Without an SDK, the key in Azure's own header. */
const post = (key: string, path: string, body: object) =>
  fetch(`${gateway.url}/azure${path}`, {
    method: 'POST',
    headers: { 'api-key': key, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

describe('a credential', () => {
  test('of the caller goes to it, in the header that it reads, and the event says so', async () => {
    const { id, key } = await gateway.admin.user()
    const headers = { 'x-tollgate-key': key }
    const { client } = openaiAt(gateway, '/azure/v1', 'sk-own-caller', { defaultHeaders: headers })

    await client.chat.completions.create({ model: 'my-deployment', messages: MESSAGES })

    const sent = new Headers(gateway.lastRequest().headers)
    expect([sent.get('api-key'), sent.get('authorization')]).toEqual(['sk-own-caller', null])
    expect(await onlyEvent(gateway, id)).toMatchObject({ brings_own_key: true })
  })

  test('of the caller that is a token of Microsoft Entra goes on as the bearer token that it is, never as a key', async () => {
    const { key } = await gateway.admin.user()
    const token = 'eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJhenVyZSJ9.c2ln'
    await fetch(`${gateway.url}/azure/v1/models`, {
      headers: { 'x-tollgate-key': key, authorization: `Bearer ${token}` },
    })
    const sent = new Headers(gateway.lastRequest().headers)
    expect([sent.get('api-key'), sent.get('authorization')]).toEqual([null, `Bearer ${token}`])
  })

  test('of Tollgate is read in Azure’s own header as well', async () => {
    const { key } = await gateway.admin.user()
    const body = { model: 'my-deployment', messages: MESSAGES }
    expect((await post(key, '/v1/chat/completions?api-version=preview', body)).status).toBe(200)
    expect(gateway.lastRequest().path).toBe('/openai/azure/v1/chat/completions?api-version=preview')
  })
})

describe('what it refuses', () => {
  test.each([
    // What it refused for its input is known to have written nothing: no more than the 16 tokens of an unseen end.
    [400, 'content_filter', 'estimated', 16],
    [400, 'context_length_exceeded', 'estimated', 16],
    [408, 'Timeout', 'hold', 1_000],
  ])(
    'with %i %s is billed, so it is charged and not tried again',
    async (status, code, usage_source, output_tokens) => {
      const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 1e6 } }])
      const { client, attempts } = openaiAt(gateway, '/azure/v1', key)
      gateway.change = () => json({ error: { message: 'No.', code } }, status)

      const body = { model: 'gpt-4o', max_tokens: 1_000, messages: MESSAGES }
      expect(await failure(client.chat.completions.create(body))).toMatchObject({ status, code })

      expect(attempts).toHaveLength(1)
      const event = await onlyEvent(gateway, id)
      expect(event).toMatchObject({ outcome: 'settled', usage_source, output_tokens, status })
      expect(event.input_tokens).toBeGreaterThan(JSON.stringify(body).length)
    },
  )

  test.each(['text/plain', 'application/problem+json'])(
    'with a 408 of type %s is charged and not tried again',
    async (type) => {
      const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 1e6 } }])
      const { client, attempts } = openaiAt(gateway, '/azure/v1', key)
      gateway.change = () => ({ status: 408, headers: { 'content-type': type }, steps: ['Request Timeout'] })
      await failure(client.chat.completions.create({ model: 'gpt-4o', max_tokens: 1_000, messages: MESSAGES }))
      expect(attempts).toHaveLength(1)
      expect(await onlyEvent(gateway, id)).toMatchObject({ outcome: 'settled', usage_source: 'hold' })
    },
  )

  test('as too long of embeddings is charged their input', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 1e6 } }])
    const message = "This model's maximum context length is 8192 tokens, however you requested 9000 tokens."
    gateway.change = () => json({ error: { message, type: 'invalid_request_error', code: null } }, 400)
    await failure(openaiAt(gateway, '/azure/v1', key).client.embeddings.create({ model: 'e', input: 'hello' }))
    expect(await onlyEvent(gateway, id)).toMatchObject({ outcome: 'settled', status: 400 })
  })

  test('is no answer of 200 that only speaks of such an error', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    gateway.change = (usual) =>
      json({ ...JSON.parse(bytesOf(usual).toString()), usage: {}, error: { code: 'content_filter' } })
    await openaiAt(gateway, '/azure/v1', key).client.chat.completions.create({ model: 'gpt-4o', messages: MESSAGES })
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'hold' })
  })

  test('with any other 400 costs nothing', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    gateway.change = () => json({ error: { message: 'No.', code: 'invalid_value' } }, 400)
    const { client } = openaiAt(gateway, '/azure/v1', key)
    await failure(client.chat.completions.create({ model: 'gpt-4o', messages: MESSAGES }))
    expect(await onlyEvent(gateway, id)).toMatchObject({ outcome: 'released', input_tokens: 0 })
  })
})

describe('what its own SDK calls by a deployment and an API version is the same call of the v1 API', () => {
  const azureOf = (key: string, options: object = {}) => {
    const { fetch, attempts } = countingFetch()
    const own = { endpoint: `${gateway.url}/azure`, apiVersion: '2024-10-21', apiKey: key, fetch }
    return { attempts, client: new AzureOpenAI({ ...own, ...options }) }
  }

  test.each([false, true])(
    'a chat (stream: %s), whose deployment is its model whatever the body says',
    async (stream) => {
      const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 9, tokens: 1e6 } }])
      const { client } = azureOf(key, { deployment: 'gpt-4o_eu-1' })
      const body = { model: 'gpt-4o-mini', max_tokens: 50, messages: MESSAGES }

      if (stream) await collect(await client.chat.completions.create({ ...body, stream }))
      else await client.chat.completions.create(body)

      const { path, headers } = gateway.lastRequest()
      expect(path).toBe('/openai/azure/v1/chat/completions')
      expect(new Headers(headers).get('api-key')).toBe('sk-own-azure')
      expect(sentBody()).toEqual({
        ...body,
        model: 'gpt-4o_eu-1',
        ...(stream && { stream, stream_options: { include_usage: true } }),
      })
      expect(await onlyEvent(gateway, id)).toMatchObject({
        provider: 'azure',
        operation: 'chat_completions',
        request_model: 'gpt-4o_eu-1',
        usage_source: 'reported',
        stream,
      })
    },
  )

  test('embeddings, completions and responses', async () => {
    const { id, key } = await gateway.admin.user()
    const { client } = azureOf(key)
    await client.embeddings.create({ model: 'small', input: 'a' })
    await client.completions.create({ model: 'old', prompt: 'Once', max_tokens: 8 })
    await client.responses.create({ model: 'new', input: 'hello' })
    const events = await allEvents(gateway, id, 3)
    expect(events.map(({ operation, request_model }) => `${operation} ${request_model}`).toSorted()).toEqual([
      'completions old',
      'embeddings small',
      'responses new',
    ])
    expect(gateway.compatible.requests.map(({ path }) => path)).toEqual([
      '/openai/azure/v1/embeddings',
      '/openai/azure/v1/completions',
      '/openai/azure/v1/responses',
    ])
  })

  test('a body without a model is bounded and clamped as that of its deployment', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 3_000, cost_usd: 1 } }])
    const path = '/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21'
    const answer = await post(key, path, { messages: MESSAGES })
    expect(answer.status).toBe(200)
    const granted = grantedIn(answer)
    expect(sentBody()).toEqual({ messages: MESSAGES, model: 'gpt-4o', max_completion_tokens: granted })
    expect(await onlyEvent(gateway, id)).toMatchObject({ request_model: 'gpt-4o', priced_as: expect.any(String) })
  })

  test('an exceeded cap is a RateLimitError, once', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 0 } }])
    const { client, attempts } = azureOf(key)
    const error = await failure(client.chat.completions.create({ model: 'm', messages: MESSAGES }))
    expect(error).toBeInstanceOf(RateLimitError)
    expect(attempts).toHaveLength(1)
    expect(gateway.compatible.requests).toHaveLength(0)
  })

  test('what nothing bounds, nobody meters or is no deployment’s name is refused', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 1_000_000 } }])
    const { client } = azureOf(key)
    const unbounded = await failure(client.chat.completions.create({ model: 'mine', messages: MESSAGES }))
    expect(unbounded).toMatchObject({ status: 400, code: 'unbounded_request', param: 'max_completion_tokens' })
    expect(await failure(client.images.generate({ model: 'dall-e-3', prompt: 'x' }))).toMatchObject({ status: 404 })
    for (const name of ['a%2Fb', '..', 'a%20b', '%2e%2e'])
      expect((await post(key, `/openai/deployments/${name}/embeddings`, {})).status, name).toBe(404)
    expect(gateway.compatible.requests).toHaveLength(0)
  })
})
