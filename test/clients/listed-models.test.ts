// The menu of /v1, as tools that speak OpenAI's API fill theirs: `client.models.list()` of the official client.

import { AuthenticationError, NotFoundError, PermissionDeniedError, RateLimitError } from 'openai'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { capOf, collect, failure, NOTHING_USED, onlyEvent, openaiAt } from '../support/client-calls.ts'
import { type CompatibleGateway, startCompatible } from './compatible-gateway.ts'

const MODELS = ['openai/gpt-4o-mini', 'groq/openai/gpt-oss-20b', 'workers-ai/@cf/openai/gpt-oss-20b']
const HELLO = [{ role: 'user' as const, content: 'hello' }]

let gateway: CompatibleGateway
beforeAll(async () => {
  gateway = await startCompatible((url) => ({
    GROQ_API_KEY: 'sk-own-groq',
    GROQ_BASE_URL: `${url}/openai/v1`,
    WORKERS_AI_API_KEY: 'sk-own-workers-ai',
    WORKERS_AI_BASE_URL: `${url}/ai/v1`,
    PROVIDERS: JSON.stringify([{ name: 'plain', base_url: `${url}/without-version` }]),
    MODELS: JSON.stringify([...MODELS, 'plain/m']),
  }))
})
afterEach(() => {
  gateway.compatible.requests.length = 0
  gateway.provider.requests.length = 0
})
afterAll(() => gateway.close())

async function listed(key: string, options: object = {}): Promise<string[]> {
  return (await collect(openaiAt(gateway, '/v1', key, options).client.models.list())).map(({ id }) => id)
}

test('a list asks no provider and counts for nothing, so that it is there when the cap is used up', async () => {
  const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 1 } }])
  const { client, attempts } = openaiAt(gateway, '/v1', key)
  expect((await client.models.list()).data.map((model) => model.id)).toEqual(MODELS)
  expect(await client.models.retrieve('workers-ai/@cf/openai/gpt-oss-20b')).toMatchObject({ owned_by: 'workers-ai' })
  expect(attempts).toHaveLength(2)
  expect([...gateway.compatible.requests, ...gateway.provider.requests]).toEqual([])
  expect(await capOf(gateway, id)).toMatchObject({ current_usage: NOTHING_USED, held: NOTHING_USED, refused: 0 })

  const call = { model: MODELS[0] ?? '', messages: HELLO }
  await client.chat.completions.create(call)
  expect(await failure(client.chat.completions.create(call))).toBeInstanceOf(RateLimitError)
  expect(await listed(key)).toEqual(MODELS)
  expect(await onlyEvent(gateway, id)).toMatchObject({ operation: 'chat_completions' })
  expect(await capOf(gateway, id)).toMatchObject({ current_usage: { requests: 1 }, refused: 1 })
})

test('what is listed can be called by its name, and what is not listed as well', async () => {
  const { key } = await gateway.admin.user()
  const { client } = openaiAt(gateway, '/v1', key)
  for (const model of [...(await listed(key)), 'groq/not-listed'])
    await client.chat.completions.create({ model, messages: HELLO })
  const asked = [...gateway.provider.requests, ...gateway.compatible.requests]
  expect(asked.map(({ body }) => JSON.parse(body.toString()).model)).toEqual([
    'gpt-4o-mini',
    'openai/gpt-oss-20b',
    '@cf/openai/gpt-oss-20b',
    'not-listed',
  ])

  const error = await failure(client.models.retrieve('groq/not-listed'))
  expect(error).toBeInstanceOf(NotFoundError)
  expect(String(error)).toContain('but may be called all the same')
})

test('who brings a provider key sees what only such callers can call', async () => {
  const { key } = await gateway.admin.user()
  const own = await listed('sk-own-caller', { defaultHeaders: { 'x-tollgate-key': key } })
  expect(own).toEqual([...MODELS, 'plain/m'])
})

test('a revoked key and a suspended user see nothing once the admin call has returned', async () => {
  const { id, key } = await gateway.admin.user()
  expect(await listed(key)).toEqual(MODELS)
  await gateway.admin.call('POST', `/admin/users/${id}/suspend`)
  expect(await failure(listed(key))).toBeInstanceOf(PermissionDeniedError)
  await gateway.admin.call('POST', `/admin/users/${id}/activate`)
  expect(await listed(key)).toEqual(MODELS)
  const { data } = await gateway.admin.call<{ data: { id: string }[] }>('GET', `/admin/users/${id}/keys`)
  await gateway.admin.call('DELETE', `/admin/users/${id}/keys/${data[0]?.id}`)
  expect(await failure(listed(key))).toBeInstanceOf(AuthenticationError)
  expect(await failure(listed(`${key}x`))).toBeInstanceOf(AuthenticationError)
})

test('each provider’s own list passes at its own path, as a request that costs nothing', async () => {
  const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 2 } }])
  for (const path of ['/openai/v1', '/groq/v1'])
    expect((await openaiAt(gateway, path, key).client.models.list()).data.length).toBeGreaterThan(0)
  expect([gateway.provider.requests, gateway.compatible.requests].map(({ length }) => length)).toEqual([1, 1])
  expect((await capOf(gateway, id)).current_usage).toMatchObject({ requests: 2, tokens: 0, cost_cents: 0 })
  expect(await failure(openaiAt(gateway, '/groq/v1', key).client.models.list())).toMatchObject({ status: 429 })
})
