// One base URL for every provider that speaks OpenAI's API: the model says which. Seen with the official OpenAI client.

import { AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { checkBooks } from '../support/books.ts'
import {
  capOf,
  collect,
  failure,
  GENEROUS,
  lastRequest,
  NOTHING_USED,
  onlyEvent,
  openaiAt,
  type User,
} from '../support/client-calls.ts'
import { eventually } from '../support/gateway.ts'
import { askForWebsocket } from '../support/raw-http.ts'
import { type CompatibleGateway, startCompatible } from './compatible-gateway.ts'

const MESSAGES = [{ role: 'user' as const, content: 'hello' }]

let gateway: CompatibleGateway
let user: User
beforeAll(async () => {
  gateway = await startCompatible((url) => ({
    GROQ_API_KEY: 'sk-own-groq',
    GROQ_BASE_URL: `${url}/openai/v1`,
    OPENROUTER_API_KEY: 'sk-own-openrouter',
    OPENROUTER_BASE_URL: `${url}/api/v1`,
    WORKERS_AI_API_KEY: 'sk-own-workers-ai',
    WORKERS_AI_BASE_URL: `${url}/ai/v1`,
    PROVIDERS: JSON.stringify([{ name: 'plain', base_url: `${url}/without-version` }]),
  }))
  user = await gateway.admin.user()
})
afterEach(() => {
  gateway.change = null
  gateway.compatible.requests.length = 0
  gateway.provider.requests.length = 0
})
afterAll(() => gateway.close())

const oneOf = (key: string, options?: object) => openaiAt(gateway, '/v1', key, options)
const send = (body: string | Uint8Array, key: string, path = '/v1/chat/completions', headers: object = {}) =>
  fetch(gateway.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: body as BodyInit,
  })

describe('a call', () => {
  test.each([
    ['groq/openai/gpt-oss-20b', '/openai/v1/chat/completions', 'groq', 'openai/gpt-oss-20b'],
    [
      'openrouter/meta-llama/llama-3.3-70b:free',
      '/api/v1/chat/completions',
      'openrouter',
      'meta-llama/llama-3.3-70b:free',
    ],
    [
      'workers-ai/@cf/meta/llama-3.1-8b-instruct',
      '/ai/v1/chat/completions',
      'workers-ai',
      '@cf/meta/llama-3.1-8b-instruct',
    ],
  ])('%s reaches %s, as JSON and as a stream, and is one event of %s', async (model, path, provider, theirs) => {
    for (const stream of [false, true]) {
      const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 10, tokens: 1e6 } }])
      const { client, attempts } = oneOf(key)
      const body = { model, messages: MESSAGES, max_tokens: 40 }

      if (stream) {
        const chunks = await collect(await client.chat.completions.create({ ...body, stream }))
        expect(new Set(chunks.map((chunk) => chunk.model))).toEqual(new Set([theirs]))
      } else {
        expect((await client.chat.completions.create(body)).model).toBe(theirs)
      }

      expect(attempts).toHaveLength(1)
      expect(gateway.lastRequest().path).toBe(path)
      const event = await onlyEvent(gateway, id)
      expect(event).toMatchObject({ provider, operation: 'chat_completions', request_model: theirs, stream })
      const { current_usage } = await eventually(
        () => capOf(gateway, id),
        ({ held }) => held.requests === 0,
      )
      expect(current_usage).toMatchObject({ requests: 1, tokens: event.input_tokens + event.output_tokens })
      expect(attempts[0]?.answer?.headers.get('x-tollgate-request-id')).toBe(event.id)
    }
  })

  test('openai itself is a provider like the others', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    await oneOf(key).client.chat.completions.create({ model: 'openai/gpt-4o-mini', messages: MESSAGES, max_tokens: 9 })
    expect(JSON.parse(lastRequest(gateway).body.toString()).model).toBe('gpt-4o-mini')
    expect((await onlyEvent(gateway, id)).cost_nano_usd).toBeGreaterThan(0)
  })

  test('a provider without a version in its base URL is found too, with the caller’s own key', async () => {
    const { client } = oneOf('sk-own-caller', { defaultHeaders: { 'x-tollgate-key': user.key } })
    await client.chat.completions.create({ model: 'plain/m', messages: MESSAGES })
    expect(gateway.lastRequest().path).toBe('/without-version/chat/completions')
    expect(new Headers(gateway.lastRequest().headers).get('authorization')).toBe('Bearer sk-own-caller')
  })

  test('responses go the same way, as JSON and as a stream', async () => {
    for (const stream of [false, true]) {
      const { id, key } = await gateway.admin.user()
      const { responses } = oneOf(key).client
      const body = { model: 'groq/openai/gpt-oss-20b', input: 'hello', max_output_tokens: 50 }

      if (stream) {
        const events = await collect(await responses.create({ ...body, stream }))
        expect(events.at(-1)?.type).toBe('response.completed')
      } else {
        expect((await responses.create(body)).status).toBe('completed')
      }

      expect(gateway.lastRequest().path).toBe('/openai/v1/responses')
      const wanted = { provider: 'groq', operation: 'responses', request_model: 'openai/gpt-oss-20b', stream }
      expect(await onlyEvent(gateway, id)).toMatchObject({ ...wanted, usage_source: 'reported' })
    }
  })

  test('embeddings go the same way, and a provider that has none says so', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { client } = oneOf(key)
    const answer = await client.embeddings.create({ model: 'openai/text-embedding-3-small', input: 'hello' })
    expect(answer.data).toHaveLength(1)
    expect(JSON.parse(lastRequest(gateway).body.toString()).model).toBe('text-embedding-3-small')
    const event = await onlyEvent(gateway, id)
    expect(event).toMatchObject({ provider: 'openai', operation: 'embeddings', usage_source: 'reported' })

    const refused = await failure(client.embeddings.create({ model: 'groq/m', input: 'hello' }))
    expect(refused).toBeInstanceOf(NotFoundError)
    expect(String(refused)).toContain('POST /groq/v1/embeddings')
  })

  test('20 racing calls to three providers spend a cap of 7 exactly, and the books balance', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 7 } }])
    const models = ['groq/m', 'openrouter/a/b', 'workers-ai/@cf/c']
    const calls = Array.from({ length: 20 }, async (_, index) => {
      const body = { model: models[index % 3], messages: MESSAGES, stream: index % 2 === 0 }
      const answer = await send(JSON.stringify(body), key)
      await answer.text()
      return { status: answer.status, request_id: answer.headers.get('x-tollgate-request-id') ?? '' }
    })
    const answers = await Promise.all(calls)
    const admitted = answers.filter(({ status }) => status === 200).map(({ request_id }) => request_id)
    expect(admitted).toHaveLength(7)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(13)
    await checkBooks(gateway, [id], admitted)
  })

  test('a client that leaves in the middle is charged what the provider reports', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const started = Promise.withResolvers<void>()
    gateway.change = (usual) => ({
      ...usual,
      steps: [...usual.steps.slice(0, 3), { until: started.promise }, ...usual.steps.slice(3)],
    })
    const leaving = new AbortController()
    const body = { model: 'groq/openai/gpt-oss-20b', messages: MESSAGES, stream: true, max_tokens: 40 }
    const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: leaving.signal,
    })
    await answer.body?.getReader().read()
    leaving.abort()
    started.resolve()
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', provider: 'groq' })
    await checkBooks(gateway, [id])
  })

  test('all bytes of the body but the model stay as they were sent', async () => {
    const odd = (model: string) =>
      `{ "messages":[{"content":"caf\\u00e9 \\ud83d\\ude00 日本","role":"user"}],\n\t"seed": 123456789012345678901234567890, "model" : ${model} ,"temperature":1.0e0 }\n`
    const answer = await send(odd('"gr\\u006fq\\/m"'), user.key)
    expect(answer.status).toBe(200)
    expect(gateway.lastRequest().body.toString()).toBe(odd('"m"'))
  })

  test('what a caller says of it ends in its event, and what its client asks of OpenAI’s account does not leave', async () => {
    const { id, key } = await gateway.admin.user()
    await send(JSON.stringify({ model: 'groq/m', messages: MESSAGES }), key, '/v1/chat/completions', {
      'x-tollgate-job-id': 'job-7',
      'openai-organization': 'org-1',
    })
    expect(await onlyEvent(gateway, id)).toMatchObject({ job_id: 'job-7', path: '/groq/v1/chat/completions' })
    expect(new Headers(gateway.lastRequest().headers).get('openai-organization')).toBeNull()
  })
})

describe('refusals are OpenAI’s typed errors, raised once, and nothing is forwarded', () => {
  async function raised(key: string, model: string) {
    const { client, attempts } = oneOf(key)
    const error = await failure(client.chat.completions.create({ model, messages: MESSAGES, max_tokens: 5 }))
    expect(attempts).toHaveLength(1)
    expect(attempts[0]?.answer?.headers.get('x-tollgate-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    expect(gateway.compatible.requests).toHaveLength(0)
    expect(gateway.provider.requests).toHaveLength(0)
    return error
  }

  test.each([
    ['anthropic/claude-haiku-4-5', '/anthropic/v1/messages'],
    ['bedrock/anthropic.claude-haiku-4-5-20251001-v1:0', '/bedrock/model/'],
    ['gemini/gemini-2.5-flash', '/gemini/'],
    ['gpt-4o-mini', 'provider/model'],
    ['/gpt-4o-mini', 'provider/model'],
    ['groq/', 'provider/model'],
    ['nobody/m', 'nobody'],
    ['GROQ/m', 'GROQ'],
    ['constructor/m', 'constructor'],
    ['../admin/m', '..'],
  ])('%s: a BadRequestError at model that says %s', async (model, said) => {
    const error = await raised(user.key, model)
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error).toMatchObject({ param: 'model' })
    expect(String(error)).toContain(said)
  })

  test('a provider that is known but not configured: which variable is missing', async () => {
    const error = await raised(user.key, 'mistral/mistral-small-latest')
    expect(error).toMatchObject({ status: 503, code: 'not_configured', param: 'model' })
    expect(String(error)).toContain('MISTRAL_API_KEY')
  })

  test('the same at its own route', async () => {
    const { client, attempts } = openaiAt(gateway, '/mistral/v1', user.key)
    const error = await failure(client.chat.completions.create({ model: 'mistral-small-latest', messages: MESSAGES }))
    expect(attempts).toHaveLength(1)
    expect(error).toMatchObject({ status: 503, code: 'not_configured' })
    expect(String(error)).toContain('MISTRAL_API_KEY')
  })

  test('strangers are told nothing of what is configured', async () => {
    for (const headers of [{}, { authorization: 'Bearer sk-mine' }] as Record<string, string>[]) {
      const answer = await fetch(`${gateway.url}/mistral/v1/models`, { headers })
      expect(answer.status).toBe(401)
      expect(await answer.text()).not.toContain('MISTRAL')
    }
  })

  test.each(['/v1/files', '/v1/models', '/v1/models/m'])('nor by %s, which is not there', async (path) => {
    for (const headers of [{}, { authorization: 'Bearer sk-mine' }] as Record<string, string>[]) {
      const answer = await fetch(gateway.url + path, { headers })
      expect(await answer.text()).not.toMatch(/groq|openrouter|workers-ai|plain|MODELS/)
      expect([401, 404]).toContain(answer.status)
    }
  })

  test('a provider without a key, where the caller brings none: by its name', async () => {
    const error = await raised(user.key, 'plain/m')
    expect(error).toMatchObject({ status: 503, code: 'not_configured' })
    expect(String(error)).toContain('plain')
  })

  test('a wrong key, before the body is looked at', async () => {
    expect(await raised(`${user.key.slice(0, -1)}x`, 'groq/m')).toBeInstanceOf(AuthenticationError)
    expect((await send('not JSON', 'tg_wrong')).status).toBe(401)
    expect((await send('x'.repeat(21 * 1024 * 1024), 'tg_wrong')).status).toBe(401)
  })

  test('an answer that nothing bounds, under a token cap: by the field that would bound it', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 1_000_000 } }])
    const { client } = oneOf(key)
    const error = await failure(client.chat.completions.create({ model: 'groq/nobody-knows-it', messages: MESSAGES }))
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error).toMatchObject({
      code: 'unbounded_request',
      param: expect.stringMatching(/^max_(completion_)?tokens$/),
    })
  })

  test('an exceeded cap, in the provider’s name, counted as one refusal', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 5 } }])
    expect(await raised(key, 'groq/m')).toBeInstanceOf(RateLimitError)
    expect(await capOf(gateway, id)).toMatchObject({ current_usage: NOTHING_USED, refused: 1 })
  })

  test.each([
    ['not JSON', '{"model":', 400],
    ['no model', '{}', 400],
    ['two models', '{"model":"groq/m","model":"plain/m","messages":[]}', 400],
    ['more than 20 MiB', `{"model":"groq/m","x":"${'x'.repeat(21 * 1024 * 1024)}"}`, 413],
  ])('a body that is %s', async (_, body, status) => {
    const answer = await send(body, user.key)
    expect(answer.status).toBe(status)
    expect(await answer.json()).toMatchObject({ error: { type: 'invalid_request_error' } })
    expect(gateway.compatible.requests).toHaveLength(0)
  })

  test('another route: a NotFoundError that says where to go', async () => {
    const { client, attempts } = oneOf(user.key)
    const error = await failure(client.models.list())
    expect(error).toBeInstanceOf(NotFoundError)
    expect(String(error)).toContain('/groq')
    expect(attempts).toHaveLength(1)
  })

  test('an operation that the provider does not have: its gateway’s own NotFoundError', async () => {
    const { client } = oneOf(user.key)
    const error = await failure(client.responses.create({ model: 'plain/m', input: 'hello' }))
    expect(error).toBeInstanceOf(NotFoundError)
    expect(String(error)).toContain('/plain/responses')
  })

  test.each([
    '/openai/chat/completions',
    '/openai/v1/chat/completions/',
    '/openai/v1/v1/chat/completions',
    '/openai/v1//chat/completions',
    '/openai/api/v1/chat/completions',
    '/openai/client/v4/accounts/a/ai/v1/chat/completions',
    '/openai/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21',
  ])('%s: which path was meant', async (path) => {
    const answer = await send('{}', user.key, path)
    expect(answer.status).toBe(404)
    expect(await answer.text()).toContain('Did you mean /openai/v1/chat/completions?')
  })

  test.each(['vector_stores/vs_1/files', 'containers/c_1/files'])(
    'files of something else (%s) are not those that can be uploaded: nothing else was meant',
    async (path) => {
      const answer = await send('{}', user.key, `/openai/v1/${path}`)
      expect(answer.status).toBe(404)
      expect(await answer.text()).not.toContain('Did you mean')
    },
  )

  test('responses as a websocket: 426, at which Codex goes on with POST', async () => {
    const answers = await askForWebsocket(gateway.url, '/v1/responses', user.key)
    expect(answers.map(({ status }) => status)).toEqual([426])
  })
})
