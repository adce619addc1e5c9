// Forged credentials: refused at the door, before any ledger, provider or table hears of them.

import { readdir } from 'node:fs/promises'
import { SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createKeyRing } from '../../src/auth/keys.ts'
import { bodyOf, eventsOf, post, type User } from '../support/client-calls.ts'
import { ADMIN_TOKEN, type Gateway, KEY_SIGNING_SECRET, startGateway } from '../support/gateway.ts'

const ISSUER = 'https://id.example'
const SECRET = 'a-shared-jwt-secret-for-tests-0123456789'
const jwtSecret = new TextEncoder().encode(SECRET)

let gateway: Gateway
let user: User
beforeAll(async () => {
  gateway = await startGateway({ vars: { JWT_HS256_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: 'tollgate' } })
  user = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 100 } }])
})
afterEach(() => {
  gateway.provider.requests.length = 0
})
afterAll(() => gateway.close())

const now = Math.floor(Date.now() / 1_000)
const CLAIMS = { sub: 'someone', name: 'Someone', role: 'tollgate-admin', iss: ISSUER, aud: 'tollgate', exp: now + 600 }
const jwt = (more: object = {}, alg = 'HS256') => new SignJWT({ ...CLAIMS, ...more }).setProtectedHeader({ alg })

/** How many ledgers there are, active or not: each has a file of its own. */
async function ledgers(): Promise<number> {
  const files = await readdir(gateway.storage, { recursive: true })
  return files.filter((file) => file.endsWith('.sqlite') && !file.endsWith('metadata.sqlite')).length
}

async function users(): Promise<number> {
  const { rows } = await gateway.postgres.database.query({ query: 'select count(*) from users', params: [] })
  return Number(rows[0]?.[0])
}

/** Every way to use a credential; all must refuse it with the same status. */
async function statusesOf(credential: string): Promise<number[]> {
  const bearer = { authorization: `Bearer ${credential}` }
  const answers = await Promise.all([
    post(gateway, 'openai', credential, bodyOf('openai')),
    post(gateway, 'anthropic', credential, bodyOf('anthropic')),
    post(gateway, 'openai', 'sk-own', bodyOf('openai'), { headers: { 'x-tollgate-key': credential } }),
    fetch(`${gateway.url}/openai/v1/models`, { headers: bearer }),
    fetch(`${gateway.url}/usage/caps`, { headers: bearer }),
    fetch(`${gateway.url}/usage/caps/status`, { headers: bearer }),
    fetch(`${gateway.url}/usage/events`, { headers: bearer }),
  ])
  return answers.map(({ status }) => status)
}

async function refusedEverywhere(credential: string) {
  const before = [await ledgers(), await users()]
  expect(new Set(await statusesOf(credential)), credential).toEqual(new Set([401]))
  expect([await ledgers(), await users()]).toEqual(before)
  expect(gateway.provider.requests).toHaveLength(0)
}

describe('keys', () => {
  const forger = createKeyRing(['some-other-signing-secret-0123456789-0123456789'])
  const flip = (key: string, at: number) => {
    const bytes = Buffer.from(key.slice(3), 'base64url')
    bytes[at] = (bytes[at] ?? 0) ^ 1
    return `tg_${bytes.toString('base64url')}`
  }

  test('signed with a foreign secret are refused and create no ledger', async () => {
    expect(await ledgers()).toBeGreaterThan(0)
    await refusedEverywhere(await forger.issue(crypto.randomUUID(), crypto.randomUUID()))
    await refusedEverywhere(await forger.issue(user.id, crypto.randomUUID()))
  })

  test('with any byte changed are refused and create no ledger', async () => {
    for (const at of [0, 1, 8, 16, 17, 32, 33, 52]) await refusedEverywhere(flip(user.key, at))
  })

  test('truncated, lengthened or respelled are refused and create no ledger', async () => {
    const { key } = user
    const respelled = key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A')
    for (const bad of [key.slice(0, -1), key.slice(0, 20), 'tg_', `${key}A`, `${key}=`, key.toUpperCase(), respelled])
      await refusedEverywhere(bad)
  })

  test('that are not Tollgate’s are refused', async () => {
    for (const bad of ['sk-fake', 'sk-ant-fake', ADMIN_TOKEN, KEY_SIGNING_SECRET, "' or 1=1 --", '*', 'null'])
      await refusedEverywhere(bad)
  })

  test('genuine, of a user who does not exist, are refused before the provider hears of them', async () => {
    const key = await createKeyRing([KEY_SIGNING_SECRET]).issue(crypto.randomUUID(), crypto.randomUUID())
    expect(new Set(await statusesOf(key))).toEqual(new Set([401]))
    expect(gateway.provider.requests).toHaveLength(0)
  })

  test('genuine, of another user than the key’s own, are refused', async () => {
    const other = await gateway.admin.user()
    const { data } = await gateway.admin.call<{ data: { id: string }[] }>('GET', `/admin/users/${other.id}/keys`)
    const mixed = await createKeyRing([KEY_SIGNING_SECRET]).issue(user.id, data[0]?.id ?? '')
    expect(new Set(await statusesOf(mixed))).toEqual(new Set([401]))
    expect(await eventsOf(gateway, user.id)).toEqual([])
  })

  test('two at once are refused: nobody is billed for another', async () => {
    const other = await gateway.admin.user()
    const answer = await post(gateway, 'anthropic', user.key, bodyOf('anthropic'), {
      headers: { 'x-api-key': other.key },
    })
    expect(answer.status).toBe(400)
    expect(gateway.provider.requests).toHaveLength(0)
  })
})

test('a key in a query that goes to the provider is refused: it would stand in the provider’s logs', async () => {
  const headers = { authorization: `Bearer ${user.key}` }
  const queries = [
    `key=${user.key}`,
    `api-version=1&api_key=${user.key}`,
    `authorization=Bearer%20${user.key}`,
    `key=%74${user.key.slice(1)}`,
    user.key,
  ]
  for (const query of queries) {
    const answer = await fetch(`${gateway.url}/openai/v1/models?${query}`, { headers })
    expect(answer.status).toBe(400)
    expect(await answer.text()).not.toContain(user.key)
  }
  expect(gateway.provider.requests).toHaveLength(0)
  const google = await fetch(`${gateway.url}/gemini/v1beta/models?key=${user.key}`)
  expect([google.status, gateway.provider.requests.at(-1)?.path]).toEqual([200, '/v1beta/models'])
})

test('nor may a JWT that is good here stand there, or in the path, or be the model', async () => {
  const token = await jwt({ sub: 'who-asks-google' }).sign(jwtSecret)
  const elsewhere = await jwt({ aud: 'other' }).sign(jwtSecret)
  // A model has at most 200 characters.
  const short = await jwt({ name: undefined, role: undefined }).sign(jwtSecret)
  const headers = { authorization: `Bearer ${user.key}` }
  const get = (path: string) => fetch(`${gateway.url}${path}`, { headers })
  const answers = await Promise.all([
    get(`/openai/v1/models?token=${token}`),
    get(`/openai/v1/models?authorization=Bearer%20${token}`),
    get(`/openai/v1/models?callback=https://app.example/?token=${token}`),
    get(`/openai/v1/models?authorization="${token}"`),
    get(`/openai/v1/models/${token}`),
    get(`/openai/v1/models/key=${token}`),
    get(`/openai/v1/models/key%3D${token}`),
    fetch(`${gateway.url}/gemini/v1beta/models/${token}:countTokens`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: '{}',
    }),
    post(gateway, 'openai', user.key, bodyOf('openai', { model: short })),
    fetch(`${gateway.url}/openai/v1/models?token=${token}`, { headers: { authorization: `Bearer ${token}` } }),
  ])
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 400))
  for (const answer of answers) {
    const text = await answer.text()
    expect(text).toContain('has a JWT for Tollgate')
    expect(text).not.toContain(token)
  }
  expect(gateway.provider.requests).toHaveLength(0)
  expect((await get(`/openai/v1/models?token=${elsewhere}`)).status).toBe(200)
  expect((await fetch(`${gateway.url}/gemini/v1beta/models?key=${token}`)).status).toBe(200)
})

test('a key in the path, as the model or in what the event keeps is refused: it would stand in a table', async () => {
  const { key } = user
  const labelled = (name: string, text: string) => ({ headers: { [`x-tollgate-${name}`]: text } })
  const answers = await Promise.all([
    fetch(`${gateway.url}/openai/v1/models/${key}`, { headers: { authorization: `Bearer ${key}` } }),
    fetch(`${gateway.url}/openai/v1/models/%74${key.slice(1)}`, { headers: { authorization: `Bearer ${key}` } }),
    fetch(`${gateway.url}/openai/v1/models/key%3D${key}`, { headers: { authorization: `Bearer ${key}` } }),
    post(gateway, 'openai', key, bodyOf('openai', { model: key })),
    ...['job-id', 'batch-id', 'session-id'].map((name) =>
      post(gateway, 'openai', key, bodyOf('openai'), labelled(name, `of ${key}`)),
    ),
    post(gateway, 'openai', key, bodyOf('openai'), labelled('metadata', JSON.stringify({ key }))),
  ])
  for (const answer of answers) {
    expect(await answer.text()).toContain('has a Tollgate key')
    expect(answer.status).toBe(400)
  }
  expect(gateway.provider.requests).toHaveLength(0)
})

test('a key or JWT in a header that goes to the provider is refused, and in any other one it stays here', async () => {
  const good = await jwt().sign(jwtSecret)
  for (const secret of [user.key, `https://app.example/?key=${user.key}`, good, `token ${good}`]) {
    for (const name of ['user-agent', 'x-stainless-lang', 'openai-beta']) {
      const answer = await post(gateway, 'openai', user.key, bodyOf('openai'), { headers: { [name]: secret } })
      expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining(name)])
    }
    const answer = await post(gateway, 'openai', user.key, bodyOf('openai'), {
      headers: { cookie: secret, referer: secret },
    })
    expect(answer.status).toBe(200)
  }
  expect(gateway.provider.requests).toHaveLength(4)
  for (const { headers } of gateway.provider.requests) expect(JSON.stringify(headers)).not.toMatch(/tg_|eyJ/)
})

describe('JWTs', () => {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

  test.each([
    ['expired', () => jwt({ exp: now - 60 }).sign(jwtSecret)],
    ['not yet valid', () => jwt({ nbf: now + 600 }).sign(jwtSecret)],
    ['without an expiry', () => jwt({ exp: undefined }).sign(jwtSecret)],
    ['without a subject', () => jwt({ sub: undefined }).sign(jwtSecret)],
    ['with a NUL in the subject', () => jwt({ sub: 'a\u0000b' }).sign(jwtSecret)],
    ['of another issuer', () => jwt({ iss: 'https://evil.example' }).sign(jwtSecret)],
    ['for another audience', () => jwt({ aud: 'elsewhere' }).sign(jwtSecret)],
    ['signed with HS512', () => jwt({}, 'HS512').sign(jwtSecret)],
    ['signed with another secret', () => jwt().sign(new TextEncoder().encode('another-secret-0123456789-0123456789'))],
    ['signed with the key signing secret', () => jwt().sign(new TextEncoder().encode(KEY_SIGNING_SECRET))],
    ['unsigned', async () => new UnsecuredJWT(CLAIMS).encode()],
    ['with alg none and a signature', async () => `${encode({ alg: 'none' })}.${encode(CLAIMS)}.AAAA`],
    [
      'with changed claims',
      async () => (await jwt({ role: undefined }).sign(jwtSecret)).replace(/\.[^.]+\./, `.${encode(CLAIMS)}.`),
    ],
  ])('%s are refused everywhere and create neither user nor ledger', async (_, make) => {
    const token = await make()
    await refusedEverywhere(token)
    const admin = await fetch(`${gateway.url}/admin/users`, { headers: { authorization: `Bearer ${token}` } })
    expect(admin.status).toBe(401)
  })

  test('genuine ones call, under the default caps, as a user of their own', async () => {
    await gateway.admin.call('PUT', '/admin/default-caps/daily', { limits: { requests: 1 } })
    const token = await jwt({ role: undefined }).sign(jwtSecret)
    const statuses = []
    for (let call = 0; call < 2; call++) statuses.push((await post(gateway, 'openai', token, bodyOf('openai'))).status)
    expect(statuses).toEqual([200, 429])
    expect(JSON.stringify(gateway.provider.requests.at(-1)?.headers)).not.toContain(token)
  })
})

describe('/admin', () => {
  const wrongToken = `${ADMIN_TOKEN.slice(0, -1)}X`
  const paths = [
    ['GET', '/admin/users'],
    ['POST', '/admin/users'],
    ['GET', '/admin/usage/events'],
    ['GET', '/admin/usage/totals'],
    ['PUT', '/admin/default-caps/daily'],
    ['GET', '/admin/nowhere'],
    ['GET', '/admin'],
    ['GET', '//admin/users'],
    ['GET', '/ADMIN/users'],
    ['GET', '/%61dmin/users'],
    ['GET', '/openai/../admin/users'],
    ['GET', '/usage/%2e%2e/admin/users'],
  ]
  test.each([
    ['no token', () => ({}), 401],
    ['a wrong token of the same length', () => ({ authorization: `Bearer ${wrongToken}` }), 401],
    ['half the token', () => ({ authorization: `Bearer ${ADMIN_TOKEN.slice(0, 10)}` }), 401],
    ['the token as Basic', () => ({ authorization: `Basic ${btoa(`admin:${ADMIN_TOKEN}`)}` }), 401],
    ['the token where keys go', () => ({ 'x-tollgate-key': ADMIN_TOKEN, 'x-api-key': ADMIN_TOKEN }), 401],
    ['a user’s key', () => ({ authorization: `Bearer ${user.key}` }), 403],
  ])('is closed to %s, whatever the path', async (_, headers, status) => {
    const before = await users()
    for (const [method, path] of paths) {
      const answer = await fetch(gateway.url + path, {
        method: method ?? 'GET',
        headers: { 'content-type': 'application/json', ...headers() },
        ...(method === 'GET' ? {} : { body: '{"name":"intruder","limits":{"requests":1}}' }),
      })
      expect([status, 404], path).toContain(answer.status)
      expect(await answer.text(), path).not.toContain(user.id)
    }
    expect(await users()).toBe(before)
  })

  test('is closed to a user’s JWT, and open to one with the admin role', async () => {
    const statusWith = async (roles: object) => {
      const token = await jwt({ role: undefined, ...roles }).sign(jwtSecret)
      return (await fetch(`${gateway.url}/admin/users`, { headers: { authorization: `Bearer ${token}` } })).status
    }
    expect(await statusWith({})).toBe(403)
    expect(await statusWith({ role: 'TOLLGATE-ADMIN', roles: ['user', 'tollgate-admin '] })).toBe(403)
    expect(await statusWith({ roles: ['user', 'tollgate-admin'] })).toBe(200)
  })
})

test('the admin token, or a JWT that is good here, beside x-tollgate-key is not sent to the provider', async () => {
  for (const own of [ADMIN_TOKEN, await jwt({ role: undefined }).sign(jwtSecret)]) {
    const answer = await post(gateway, 'openai', own, bodyOf('openai'), { headers: { 'x-tollgate-key': user.key } })
    expect(answer.status).toBe(400)
    expect(await answer.text()).not.toContain(own)
  }
  expect(gateway.provider.requests).toHaveLength(0)
})

test.each(['%E2%82%AC', 'a%0Ab', 'a%20b'])(
  'a provider key of the caller that no header can carry is a 400, and nothing is held or sent: %s',
  async (key) => {
    const url = `${gateway.url}/gemini/v1beta/models/gemini-2.5-flash:generateContent?key=${key}`
    const headers = { 'x-tollgate-key': user.key, 'content-type': 'application/json' }
    const response = await fetch(url, { method: 'POST', headers, body: '{"contents":[{"parts":[{"text":"Hi"}]}]}' })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { status: 'INVALID_ARGUMENT' } })
    expect(gateway.provider.requests).toHaveLength(0)
  },
)
