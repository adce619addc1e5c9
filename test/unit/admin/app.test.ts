// The app as it is deployed, with a ledger that knows one user, and a database that nobody asks.

import { expect, onTestFinished, test, vi } from 'vitest'
import { createApp } from '../../../src/app.ts'
import { createKeyRing } from '../../../src/auth/keys.ts'
import { parseConfig } from '../../../src/config.ts'
import { ACTIVE, ledgerOfOnly } from '../../support/ledger-fixtures.ts'

const SECRET = 'a-signing-secret-of-32-characters'
const ENV = {
  DATABASE_URL: 'postgresql://nobody@localhost/none',
  KEY_SIGNING_SECRETS: SECRET,
  ADMIN_TOKEN: 'an-admin-token-of-24-chars',
}
const ledger = ledgerOfOnly({ status: async () => ACTIVE })
const app = createApp({ config: parseConfig(ENV), ledgerOf: () => ledger })
const key = await createKeyRing([SECRET]).issue(crypto.randomUUID(), crypto.randomUUID())

test.each([
  ['authorization', `Bearer ${key}`],
  ['x-api-key', key],
  ['x-tollgate-key', key],
])('/usage takes a key in %s', async (header, value) => {
  const answer = await app.request('/usage/caps/status', { headers: { [header]: value } })
  expect([answer.status, await answer.json()]).toEqual([200, { time_zone: 'UTC', data: [] }])
})

test('two keys that differ are refused, whichever headers carry them', async () => {
  const other = await createKeyRing([SECRET]).issue(crypto.randomUUID(), crypto.randomUUID())
  const headers = { authorization: `Bearer ${other}`, 'x-api-key': key }
  expect((await app.request('/usage/caps/status', { headers })).status).toBe(400)
})

test('who may not call is told so before which methods a path has', async () => {
  const put = (headers: HeadersInit) => app.request('/admin/users', { method: 'PUT', headers })
  const stranger = await put({})
  const request_id = stranger.headers.get('x-tollgate-request-id')
  expect([stranger.status, await stranger.json()]).toMatchObject([401, { code: 'unauthenticated', request_id }])
  expect(request_id).toMatch(/^[0-9a-f-]{14}7[0-9a-f-]{21}$/)
  const answer = await put({ authorization: `Bearer ${ENV.ADMIN_TOKEN}` })
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST, GET, HEAD'])
  expect((await app.request('/nothing')).status).toBe(404)
})

test('a bug is a 500 that says nothing of itself, and is logged with where it is', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  onTestFinished(() => error.mockRestore())
  const broken = createApp({
    config: parseConfig(ENV),
    ledgerOf: () => ledgerOfOnly({ status: async () => ({}) as never }),
  })
  const answer = await broken.request('/usage/caps/status', { headers: { 'x-api-key': key } })
  const request_id = answer.headers.get('x-tollgate-request-id')
  expect([answer.status, await answer.json()]).toMatchObject([
    500,
    { code: 'internal_error', detail: 'Something went wrong inside Tollgate.', request_id },
  ])
  const [line] = error.mock.calls.map(([text]) => JSON.parse(String(text)))
  expect(line).toMatchObject({ code: 'internal_error', request_id, cause: expect.stringContaining('TypeError') })
  expect(line.stack).toContain('status.ts')
})

test('why the keys that verify JWTs cannot be read is logged, wherever a call goes', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const env = {
    ...ENV,
    JWT_JWKS_URL: 'http://127.0.0.1:1/jwks',
    JWT_ISSUER: 'https://id.example',
    OPENAI_API_KEY: 'sk',
  }
  const jwtApp = createApp({ config: parseConfig(env), ledgerOf: () => ledger })
  const jwt = [{ alg: 'ES256', kid: 'k' }, { iss: env.JWT_ISSUER, sub: 'ada' }, {}]
    .map((part) => btoa(JSON.stringify(part)))
    .join('.')
  for (const path of ['/usage/caps/status', '/openai/v1/models', '/v1/models']) {
    const answer = await jwtApp.request(path, { headers: { authorization: `Bearer ${jwt.replaceAll('=', '')}` } })
    expect(answer.status).toBe(503)
    const [line] = error.mock.calls.splice(0).map(([text]) => JSON.parse(String(text)))
    const request_id = answer.headers.get('x-tollgate-request-id')
    expect(line).toMatchObject({ code: 'keys_unavailable', request_id, cause: expect.stringContaining('Error') })
  }
  error.mockRestore()
})

test('a user whom neither ledger nor database can tell of is logged with the id that the client was told', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  onTestFinished(() => error.mockRestore())
  const env = {
    ...ENV,
    DATABASE_HTTP_URL: 'http://127.0.0.1:1/sql',
    OPENAI_API_KEY: 'sk',
    MODELS: '["openai/gpt-4o-mini"]',
  }
  const refusal = { reason: 'no_config' } as const
  const unknowing = ledgerOfOnly({
    status: async () => ({ refusal }),
    reserve: async () => ({ admitted: false, refusal, tightest: null }),
  })
  const cutOff = createApp({ config: parseConfig(env), ledgerOf: () => unknowing })
  for (const path of ['/openai/v1/models', '/v1/models', '/prices/openai/gpt-4o-mini']) {
    const answer = await cutOff.request(path, { headers: { authorization: `Bearer ${key}` } })
    expect(answer.status).toBe(503)
    const [line] = error.mock.calls.splice(0).map(([text]) => JSON.parse(String(text)))
    const request_id = answer.headers.get('x-tollgate-request-id')
    expect(line).toMatchObject({ message: 'could not provision a ledger', request_id })
  }
})

test('what is there for everybody: that Tollgate is there, and the document of its routes', async () => {
  const get = async (path: string) => (await app.request(path)).json()
  expect(await get('/')).toEqual({ name: 'tollgate', openapi: '/openapi.json' })
  expect(await get('/openapi.json')).toMatchObject({ openapi: '3.1.0' })
})

test('every provider that a call can go to can have a price, switched on or not, and no other', async () => {
  const PROVIDERS = '[{"name":"acme","base_url":"https://api.acme.example/v1"}]'
  const PER_CALL_SERVICES = JSON.stringify([
    {
      provider: 'geocoder',
      base_url: 'https://geo.example',
      credential_header: 'x-api-key',
      routes: [{ name: 'lookup', method: 'GET', path: '/lookup', usd_per_request: 0.01 }],
    },
  ])
  const config = parseConfig({ ...ENV, GROQ_API_KEY: 'g', PROVIDERS, PER_CALL_SERVICES })
  const more = createApp({ config, ledgerOf: () => ledger })
  const get = (path: string) => more.request(`/prices/${path}`, { headers: { 'x-api-key': key } })
  const built_in = ['openai', 'anthropic', 'bedrock', 'gemini', 'google-places']
  const compatible = ['groq', 'mistral', 'deepseek', 'xai', 'together', 'openrouter', 'azure', 'workers-ai']
  const names = [...built_in, ...compatible, 'acme', 'geocoder']
  for (const name of names) expect((await get(`${name}/m`)).status, name).toBe(200)
  const answer = await get('opneai/m')
  expect([answer.status, await answer.json()]).toMatchObject([
    404,
    { field: 'provider', detail: `provider: must be one of ${names.sort().join(', ')}` },
  ])
})
