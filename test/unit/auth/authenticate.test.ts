import { Hono } from 'hono'
import { SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { createJwtVerifier, type JwtVerifier } from '../../../src/auth/jwt.ts'
import { createKeyRing } from '../../../src/auth/keys.ts'
import { type AuthenticateOptions, authenticate, requireAdmin } from '../../../src/middleware/authenticate.ts'

const USER = '0198f3b2-7c1a-7d10-8a11-0123456789ab'
const KEY_ID = '0198f3b2-7c1a-7d10-8a11-fedcba987654'
const ADMIN_TOKEN = 'an-admin-token-of-enough-characters'
const SECRET = 'a-shared-secret-of-enough-characters'
const keys = createKeyRing(['a-signing-secret-of-enough-characters'])
const jwtConfig = {
  JWT_HS256_SECRET: SECRET,
  JWT_JWKS_URL: 'http://jwks.invalid/',
  JWT_ISSUER: 'me',
  JWT_AUDIENCE: undefined,
  JWT_ADMIN_ROLE: 'boss',
}
const jwt = createJwtVerifier(jwtConfig, { fetch: () => Promise.reject(new TypeError('no network')) })
const sign = (claims: object, alg = 'HS256') =>
  new SignJWT({ iss: 'me', sub: 'alice', ...claims })
    .setProtectedHeader({ alg })
    .setExpirationTime('1m')
    .sign(new TextEncoder().encode(SECRET))

function app(options: Partial<AuthenticateOptions> = {}) {
  return new Hono()
    .use('/api/*', authenticate({ keys, jwt, ...options }))
    .get('/api/me', (c) => c.json(c.get('caller')))
    .use('/admin/*', requireAdmin({ adminToken: ADMIN_TOKEN, jwt: options.jwt === undefined ? jwt : options.jwt }))
    .get('/admin/users', (c) => c.json('welcome'))
}
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

describe('authenticate', () => {
  test('an app without an error handler answers with a problem document', async () => {
    const response = await app().request('/api/me')
    expect(response.status).toBe(401)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('www-authenticate')).toBe('Bearer')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toMatchObject({ status: 401, code: 'unauthenticated' })
  })

  test('a key names its user and itself', async () => {
    const response = await app().request('/api/me', bearer(await keys.issue(USER, KEY_ID)))
    expect(await response.json()).toEqual({
      user_id: USER,
      key_id: KEY_ID,
      scope: 'call',
      via: 'key',
      is_admin: false,
      jwt: null,
      brings_own_key: false,
    })
  })

  test('a key may come beside its caller’s own provider key, and needs the scope of the route', async () => {
    const headers = { 'x-tollgate-key': await keys.issue(USER, KEY_ID), authorization: 'Bearer sk-1' }
    const response = await app({ scope: 'usage' }).request('/api/me', { headers })
    expect(await response.json()).toMatchObject({ key_id: KEY_ID, scope: 'usage', brings_own_key: true })
  })

  test('a JWT names its user and says who that is', async () => {
    const token = await sign({ name: 'Alice', role: 'boss' })
    const response = await app({ scope: 'usage' }).request('/api/me', {
      headers: { 'x-tollgate-key': token, authorization: 'Bearer sk-1' },
    })
    expect(await response.json()).toEqual({
      user_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      key_id: null,
      scope: 'usage',
      via: 'jwt',
      is_admin: true,
      jwt: { issuer: 'me', subject: 'alice', name: 'Alice' },
      brings_own_key: true,
    })
    expect(await (await app().request('/api/me', bearer(token))).json()).toMatchObject({ brings_own_key: false })
  })

  test('a JWT that is good here is never taken for a provider key; any other may be one', async () => {
    const statusBeside = async (own: string, options: Partial<AuthenticateOptions> = {}) => {
      const headers = { 'x-tollgate-key': await keys.issue(USER, KEY_ID), authorization: `Bearer ${own}` }
      return (await app(options).request('/api/me', { headers })).status
    }
    expect(await statusBeside(await sign({}))).toBe(400)
    expect(await statusBeside(await sign({ iss: 'entra' }))).toBe(200)
    expect(await statusBeside(await sign({}), { jwt: null })).toBe(200)
  })

  test('nor is one that will be good, or of which nobody knows whether it is', async () => {
    const [, claims, signature] = (await sign({})).split('.')
    const unverified = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${claims}.${signature}`
    const early = await sign({ nbf: Math.floor(Date.now() / 1_000) + 30 })
    const statuses = []
    for (const own of [early, unverified]) {
      const headers = { 'x-tollgate-key': await keys.issue(USER, KEY_ID), authorization: `Bearer ${own}` }
      statuses.push((await app().request('/api/me', { headers })).status)
    }
    expect(statuses).toEqual([400, 503])
  })

  const besideJwtOf = async (claims: object, jwt: JwtVerifier | null) => {
    const own = [{ alg: 'RS256', kid: 'new' }, claims].map((part) => btoa(JSON.stringify(part)).replace(/=+$/, ''))
    const authorization = `Bearer ${own.join('.')}.signature`
    const headers = { 'x-tollgate-key': await keys.issue(USER, KEY_ID), authorization }
    return app({ jwt }).request('/api/me', { headers })
  }

  test('nor is one by a key that is not known yet: the issuer may have it since a moment ago', async () => {
    const before = createJwtVerifier(jwtConfig, { fetch: async () => Response.json({ keys: [] }) })
    expect((await besideJwtOf({ iss: 'me' }, before)).status).toBe(400)
  })

  test.each([
    ['issuer', { iss: 'entra', aud: 'me' }],
    ['audience', { iss: 'me', aud: ['entra'] }],
    ['audience, which it does not name', { iss: 'me' }],
  ])('a key beside the JWT of another %s waits for no JWKS', async (_, claims) => {
    let asked = 0
    const fetch = () => Promise.reject(new TypeError(`no network ${++asked}`))
    const response = await besideJwtOf(claims, createJwtVerifier({ ...jwtConfig, JWT_AUDIENCE: 'me' }, { fetch }))
    expect(await response.json()).toMatchObject({ key_id: KEY_ID, brings_own_key: true })
    expect(asked).toBe(0)
  })

  test('a dialect says where its credential is', async () => {
    const custom = app({ readCredential: (headers) => headers.get('x-api-key') })
    const key = await keys.issue(USER, KEY_ID)
    expect((await custom.request('/api/me', { headers: { 'x-api-key': key } })).status).toBe(200)
    expect((await custom.request('/api/me', bearer(key))).status).toBe(401)
  })

  test('nobody gets in without a good credential', async () => {
    const foreign = await createKeyRing(['another-secret-of-enough-characters!']).issue(USER, KEY_ID)
    for (const token of [foreign, foreign.slice(0, -1), 'sk-123', `${await sign({})}AAAA`, ADMIN_TOKEN])
      expect((await app().request('/api/me', bearer(token))).status).toBe(401)
    expect((await app().request('/api/me')).status).toBe(401)
    expect((await app({ jwt: null }).request('/api/me', bearer(await sign({})))).status).toBe(401)
  })

  test('public keys that cannot be read are 503, not 401: the token may be good', async () => {
    const token = (await sign({})).split('.')
    const header = Buffer.from('{"alg":"RS256"}').toString('base64url')
    const unverified = bearer([header, token[1], token[2]].join('.'))
    expect((await app().request('/api/me', unverified)).status).toBe(503)
    // And why, for the operator's log.
    const causes: unknown[] = []
    const logging = app().onError((error, c) => {
      causes.push(error.cause)
      return c.text('', 503)
    })
    await logging.request('/api/me', unverified)
    expect(causes).toMatchObject([{ message: 'no network' }])
  })

  test('contradictory credentials are 400', async () => {
    const headers = {
      'x-tollgate-key': await keys.issue(USER, KEY_ID),
      authorization: `Bearer ${await keys.issue(KEY_ID, USER)}`,
    }
    expect((await app().request('/api/me', { headers })).status).toBe(400)
  })
})

describe('requireAdmin', () => {
  const statusOf = async (token: string, options = {}) =>
    (await app(options).request('/admin/users', bearer(token))).status

  test('the admin token and the admin role get in', async () => {
    expect(await statusOf(ADMIN_TOKEN)).toBe(200)
    expect(await statusOf(ADMIN_TOKEN, { jwt: null })).toBe(200)
    expect(await statusOf(await sign({ roles: ['boss'] }))).toBe(200)
  })

  test('a key and a JWT without the role are known and forbidden', async () => {
    expect(await statusOf(await keys.issue(USER, KEY_ID))).toBe(403)
    expect(await statusOf(await sign({ role: 'clerk' }))).toBe(403)
  })

  test('all else is unauthenticated', async () => {
    for (const token of [
      '',
      'x',
      `${ADMIN_TOKEN}x`,
      ADMIN_TOKEN.slice(1),
      ADMIN_TOKEN.slice(0, -1),
      ADMIN_TOKEN.toUpperCase(),
      `${await sign({ role: 'boss' })}AAAA`,
    ])
      expect([token, await statusOf(token)]).toEqual([token, 401])
    expect((await app().request('/admin/users')).status).toBe(401)
    expect((await app().request('/admin/users', { headers: { 'x-tollgate-key': ADMIN_TOKEN } })).status).toBe(401)
    expect(await statusOf(await sign({ role: 'boss' }), { jwt: null })).toBe(401)
  })

  test('who mistypes the admin token is told so, and nothing of JWTs', async () => {
    const response = await app({ jwt: null }).request('/admin/users', bearer(`${ADMIN_TOKEN}x`))
    expect(await response.json()).toMatchObject({ detail: 'The admin token is not valid.' })
  })

  test('an empty admin token opens nothing', () => {
    expect(() => requireAdmin({ adminToken: '', jwt: null })).toThrow(TypeError)
  })
})
