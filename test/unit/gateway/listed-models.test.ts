// What GET /v1/models lists, with ledgers that know who may call.

import { SignJWT } from 'jose'
import { expect, test } from 'vitest'
import type { LedgerStatus, Refusal } from '../../../durable-objects/ledger/types.ts'
import { createApp } from '../../../src/app.ts'
import { createKeyRing } from '../../../src/auth/keys.ts'
import { parseConfig } from '../../../src/config.ts'
import { ACTIVE, ledgerOfOnly } from '../../support/ledger-fixtures.ts'

const SECRET = 'a-signing-secret-of-32-characters'
const MODELS = ['openai/gpt-6-luna', 'groq/openai/gpt-oss-20b', 'acme/large', 'mistral/mistral-large-latest']
const ENV = {
  DATABASE_URL: 'postgresql://nobody@localhost/none',
  KEY_SIGNING_SECRETS: SECRET,
  ADMIN_TOKEN: 'an-admin-token-of-24-chars',
  OPENAI_API_KEY: 'sk',
  GROQ_API_KEY: 'gsk',
  PROVIDERS: '[{"name":"acme","base_url":"https://api.acme.example/v2"}]',
  MODELS: JSON.stringify(MODELS),
}
const key = await createKeyRing([SECRET]).issue(crypto.randomUUID(), crypto.randomUUID())

/** Of a ledger nothing but who may call is asked, and of the database nothing at all. */
function appOf(env: object = ENV, status: () => Promise<LedgerStatus | { refusal: Refusal }> = async () => ACTIVE) {
  const asked: unknown[] = []
  const ledger = ledgerOfOnly({
    status: (caller) => {
      asked.push(caller)
      return status()
    },
  })
  return { asked, app: createApp({ config: parseConfig(env), ledgerOf: () => ledger }) }
}

const BEARER = { authorization: `Bearer ${key}` }
async function get(path: string, { app } = appOf(), headers: Record<string, string> = BEARER) {
  const answer = await app.request(path, { headers })
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Body }
}
/** Of a list, or of a refusal. */
interface Body {
  data: { id: string }[]
  error: { code: string; param: string | null; message: string }
}
const idsOf = ({ body }: { body: Body }) => body.data.map(({ id }) => id)

test('the list is MODELS as it is written, but for providers that the caller cannot use', async () => {
  const { status, headers, body } = await get('/v1/models')
  expect(status).toBe(200)
  expect(headers.get('cache-control')).toBe('no-store')
  expect(headers.get('x-tollgate-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  expect(body).toEqual({
    object: 'list',
    data: [
      { id: 'openai/gpt-6-luna', object: 'model', created: 0, owned_by: 'openai' },
      { id: 'groq/openai/gpt-oss-20b', object: 'model', created: 0, owned_by: 'groq' },
    ],
  })
})

test('a caller with a provider key of its own also sees those without a key here, and none that is not switched on', async () => {
  const own = { 'x-tollgate-key': key, authorization: 'Bearer sk-mine' }
  expect(idsOf(await get('/v1/models', appOf(), own))).toEqual(MODELS.slice(0, 3))
})

test.each(['groq/openai/gpt-oss-20b', 'groq%2Fopenai%2Fgpt-oss-20b'])('one of the list: %s', async (id) => {
  const { status, body } = await get(`/v1/models/${id}`)
  expect(status).toBe(200)
  expect(body).toEqual({ id: 'groq/openai/gpt-oss-20b', object: 'model', created: 0, owned_by: 'groq' })
})

test.each(['acme/large', 'mistral/mistral-large-latest', 'openai/gpt-4o', 'gpt-6-luna', '%zz', '..%2fadmin'])(
  'not one of the list: %s',
  async (id) => {
    const { status, body } = await get(`/v1/models/${id}`)
    expect(status).toBe(404)
    expect(body.error).toMatchObject({ type: 'invalid_request_error', code: 'not_found', param: 'model' })
  },
)

test('without MODELS there is no list, and the answer says where the providers have theirs', async () => {
  for (const MODELS of [undefined, '', '[]'])
    for (const path of ['/v1/models', '/v1/models/openai/gpt-6-luna']) {
      const { status, body } = await get(path, appOf({ ...ENV, MODELS }))
      expect([status, body.error.param]).toEqual([404, 'model'])
      expect(body.error.message).toContain('MODELS is not set')
      expect(body.error.message).toContain('/openai/v1/models, /acme/models, /groq/v1/models.')
    }
})

test.each<[Refusal, number, string]>([
  [{ reason: 'unknown_key' }, 401, 'invalid_api_key'],
  [{ reason: 'deleted' }, 401, 'invalid_api_key'],
  [{ reason: 'suspended' }, 403, 'forbidden'],
  [{ reason: 'missing_scope', scope: 'call' }, 403, 'forbidden'],
])('who may not call is refused: %j', async (refusal, status, code) => {
  for (const env of [ENV, { ...ENV, MODELS: '' }])
    for (const path of ['/v1/models', '/v1/models/openai/gpt-6-luna']) {
      const fixture = appOf(env, async () => ({ refusal }))
      const answer = await get(path, fixture)
      expect([answer.status, answer.body.error.code]).toEqual([status, code])
      expect(answer.body.error.message).not.toContain('openai')
      expect(fixture.asked).toMatchObject([{ scope: 'call' }])
    }
})

test('a ledger that does not answer refuses: a moment may mend it, so SDKs may try again', async () => {
  const answer = await get(
    '/v1/models',
    appOf(ENV, () => Promise.reject(new Error('away'))),
  )
  expect([answer.status, answer.body.error.code]).toEqual([503, 'ledger_unavailable'])
  expect(answer.headers.has('x-should-retry')).toBe(false)
})

test('a key whose user neither the ledger nor Postgres tells is refused', async () => {
  const env = { ...ENV, DATABASE_HTTP_URL: 'http://127.0.0.1:9/sql' }
  const { status, body } = await get(
    '/v1/models',
    appOf(env, async () => ({ refusal: { reason: 'no_config' } })),
  )
  expect([status, body.error.code]).toEqual([503, 'ledger_unavailable'])
})

test('a subject that is not a user yet may look', async () => {
  const JWT_HS256_SECRET = 'a-jwt-secret-of-32-characters-at-least'
  const env = { ...ENV, JWT_HS256_SECRET, JWT_ISSUER: 'https://idp.test' }
  const jwt = await new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(env.JWT_ISSUER)
    .setSubject('new')
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(JWT_HS256_SECRET))
  const unknown = appOf(env, async () => ({ refusal: { reason: 'no_config' } }))
  expect(idsOf(await get('/v1/models', unknown, { authorization: `Bearer ${jwt}` }))).toEqual(MODELS.slice(0, 2))
})

test('strangers are told nothing, and no ledger is asked', async () => {
  const fixture = appOf()
  for (const headers of [{}, { authorization: 'Bearer sk-mine' }, { authorization: `Bearer ${key}x` }])
    for (const path of ['/v1/models', '/v1/models/openai/gpt-6-luna']) {
      const { status, body } = await get(path, fixture, headers as Record<string, string>)
      expect([status, body.error.code]).toEqual([401, 'invalid_api_key'])
    }
  expect(fixture.asked).toEqual([])
})
