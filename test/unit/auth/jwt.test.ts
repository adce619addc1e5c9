import { generateKeyPairSync } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  CompactSign,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  importJWK,
  type JWTPayload,
  SignJWT,
  UnsecuredJWT,
} from 'jose'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createJwtVerifier, type JwtConfig, type JwtVerifier } from '../../../src/auth/jwt.ts'

const SECRET = 'a-shared-secret-of-enough-characters'
const ISSUER = 'https://id.example.com/'
const NOW = Date.UTC(2026, 5, 1)
const SECONDS = NOW / 1000
const GOOD: JWTPayload = { iss: ISSUER, sub: 'alice', aud: 'tollgate', exp: SECONDS + 60 }

const config: JwtConfig = {
  JWT_HS256_SECRET: undefined,
  JWT_JWKS_URL: undefined,
  JWT_ISSUER: ISSUER,
  JWT_AUDIENCE: 'tollgate',
  JWT_ADMIN_ROLE: 'tollgate-admin',
}

function verifier(overrides: Partial<JwtConfig>, options: { fetch?: typeof fetch } = {}): JwtVerifier {
  const made = createJwtVerifier({ ...config, ...overrides }, options)
  if (!made) throw new Error('not configured')
  return made
}

const hs256 = verifier({ JWT_HS256_SECRET: SECRET })
const sign = (claims: JWTPayload, secret = SECRET, alg = 'HS256') =>
  new SignJWT(claims).setProtectedHeader({ alg }).sign(new TextEncoder().encode(secret))
const without = (claim: string) => Object.fromEntries(Object.entries(GOOD).filter(([name]) => name !== claim))

describe('JWTs with a shared secret', () => {
  test('issuer and subject name the user, the same every time', async () => {
    const claims = await hs256.verify(await sign({ ...GOOD, name: 'Alice' }), NOW)
    expect(claims).toEqual({
      user_id: '5de00ec8-70a1-5b1c-9c20-48b96e052f61',
      issuer: ISSUER,
      subject: 'alice',
      name: 'Alice',
      is_admin: false,
    })
    expect(await hs256.verify(await sign({ ...GOOD, sub: 'Alice' }), NOW)).not.toHaveProperty(
      'user_id',
      '5de00ec8-70a1-5b1c-9c20-48b96e052f61',
    )
  })

  test.each([['exp'], ['iss'], ['sub'], ['aud']])('a token without %s is refused', async (claim) => {
    expect(await hs256.verify(await sign(without(claim)), NOW)).toEqual({ reason: 'bad_claim', claim })
  })

  const badClaims: [string, JWTPayload, object][] = [
    ['expired', { exp: SECONDS - 5 }, { reason: 'expired' }],
    ['not yet valid', { nbf: SECONDS + 6 }, { reason: 'not_yet_valid' }],
    ['with an nbf that is no number', JSON.parse('{"nbf":"now"}'), { reason: 'bad_claim', claim: 'nbf' }],
    ['from another issuer', { iss: 'https://id.example.com' }, { reason: 'bad_claim', claim: 'iss' }],
    ['for another audience', { aud: ['other', 'tollgate2'] }, { reason: 'bad_claim', claim: 'aud' }],
    ['with an exp that is no number', JSON.parse('{"exp":"2099"}'), { reason: 'bad_claim', claim: 'exp' }],
    ['with an empty subject', { sub: '' }, { reason: 'bad_claim', claim: 'sub' }],
    ['with a blank subject', { sub: '  ' }, { reason: 'bad_claim', claim: 'sub' }],
    ['with a subject of 256 characters', { sub: 'a'.repeat(256) }, { reason: 'bad_claim', claim: 'sub' }],
    ['with a subject that is no string', JSON.parse('{"sub":{"$ne":1}}'), { reason: 'bad_claim', claim: 'sub' }],
    ['with NUL in its subject', { sub: 'a\0b' }, { reason: 'bad_claim', claim: 'sub' }],
    ['with a line break in its subject', { sub: 'a\nb' }, { reason: 'bad_claim', claim: 'sub' }],
    ['with half a surrogate pair in its subject', { sub: 'a\ud800' }, { reason: 'bad_claim', claim: 'sub' }],
  ]
  test.each(badClaims)('a token %s is refused', async (_, claims, refusal) => {
    expect(await hs256.verify(await sign({ ...GOOD, ...claims }), NOW)).toEqual(refusal)
  })

  test('clocks may differ by five seconds', async () => {
    expect(await hs256.verify(await sign({ ...GOOD, exp: SECONDS - 4, nbf: SECONDS + 5 }), NOW)).toHaveProperty(
      'user_id',
    )
  })

  test('a subject may have 255 characters', async () => {
    const subject = 'a'.repeat(255)
    expect(await hs256.verify(await sign({ ...GOOD, sub: subject }), NOW)).toMatchObject({ subject })
  })

  test('the audience is free where none is configured', async () => {
    const any = verifier({ JWT_HS256_SECRET: SECRET, JWT_AUDIENCE: undefined })
    for (const claims of [without('aud'), GOOD])
      expect(await any.verify(await sign(claims), NOW)).toHaveProperty('user_id')
  })

  test('the audience may be one of several', async () => {
    expect(await hs256.verify(await sign({ ...GOOD, aud: ['other', 'tollgate'] }), NOW)).toHaveProperty('user_id')
  })

  test('the admin role is read from role and from roles, and only when equal', async () => {
    const isAdmin = async (claims: JWTPayload) => {
      const read = await hs256.verify(await sign({ ...GOOD, ...claims }), NOW)
      return 'reason' in read ? read : read.is_admin
    }
    expect(await isAdmin({ role: 'tollgate-admin' })).toBe(true)
    expect(await isAdmin({ roles: ['reader', 'tollgate-admin'] })).toBe(true)
    expect(await isAdmin({ role: 'tollgate-admin2', roles: 'Tollgate-Admin' })).toBe(false)
    expect(await isAdmin({ role: { 'tollgate-admin': true }, roles: null })).toBe(false)
  })

  test('the name is for people: name, else email, else the subject, bounded', async () => {
    const nameOf = async (claims: JWTPayload) => {
      const read = await hs256.verify(await sign({ ...GOOD, ...claims }), NOW)
      return 'reason' in read ? read : read.name
    }
    expect(await nameOf({ name: 'Alice', email: 'a@example.com' })).toBe('Alice')
    expect(await nameOf({ email: 'a@example.com' })).toBe('a@example.com')
    expect(await nameOf({ name: 'a\0b', email: 7 })).toBe('alice')
    expect(await nameOf({ name: `${'x'.repeat(199)}😀` })).toBe(`${'x'.repeat(199)}\ufffd`)
  })

  test('a token may have 8,192 characters', async () => {
    const padded = (length: number, kid: string) =>
      new SignJWT({ ...GOOD, pad: 'x'.repeat(length) })
        .setProtectedHeader({ alg: 'HS256', kid })
        .sign(new TextEncoder().encode(SECRET))
    const least = (await padded(0, '')).length
    const longest = Math.floor(((8_192 - least) * 3) / 4)
    const tokens = ['', 'k', 'kk'].flatMap((kid) => [0, -1, -2, -3].map((less) => padded(longest + less, kid)))
    const ofLength = (length: number, found: string[]) =>
      found.find((token) => token.length === length) ?? expect.unreachable(`no token has ${length} characters`)
    const found = await Promise.all(tokens)
    expect(await hs256.verify(ofLength(8_192, found), NOW)).toHaveProperty('subject', 'alice')
    expect(await hs256.verify(ofLength(8_193, found), NOW)).toEqual({ reason: 'malformed' })
  })

  test('a wrong secret, a changed payload and a cut signature are refused', async () => {
    const token = await sign(GOOD)
    const [header, , signature] = token.split('.')
    const other = Buffer.from(JSON.stringify({ ...GOOD, sub: 'bob' })).toString('base64url')
    expect(await hs256.verify(await sign(GOOD, `${SECRET}!`), NOW)).toEqual({ reason: 'bad_signature' })
    expect(await hs256.verify(`${header}.${other}.${signature}`, NOW)).toEqual({ reason: 'bad_signature' })
    expect(await hs256.verify(token.slice(0, -4), NOW)).toEqual({ reason: 'bad_signature' })
  })

  test('what is no JWT is malformed, whatever it is', async () => {
    const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const unsigned = new UnsecuredJWT(GOOD).encode()
    const wrong = [
      '',
      'a.b.c',
      'a.b',
      unsigned,
      `${encoded('x')}.e30.AA`,
      `${encoded({})}.e30.AA`,
      `${encoded({ alg: 1 })}.e30.AA`,
      `a.${'b'.repeat(9000)}.c`,
    ]
    wrong.push(await sign({ ...GOOD, pad: 'x'.repeat(9_000) }))
    const text = new CompactSign(new TextEncoder().encode('no claims')).setProtectedHeader({ alg: 'HS256' })
    wrong.push(await text.sign(new TextEncoder().encode(SECRET)))
    for (const token of wrong) expect([token, await hs256.verify(token, NOW)]).toEqual([token, { reason: 'malformed' }])
  })

  test('alg none and other algorithms are refused', async () => {
    const unsigned = new UnsecuredJWT(GOOD).encode()
    expect(await hs256.verify(`${unsigned}AA`, NOW)).toEqual({ reason: 'wrong_algorithm', alg: 'none' })
    expect(await hs256.verify(await sign(GOOD, SECRET.repeat(2), 'HS512'), NOW)).toEqual({
      reason: 'wrong_algorithm',
      alg: 'HS512',
    })
    const { privateKey } = await generateKeyPair('ES256')
    const es256 = await new SignJWT(GOOD).setProtectedHeader({ alg: 'ES256' }).sign(privateKey)
    expect(await hs256.verify(es256, NOW)).toEqual({ reason: 'wrong_algorithm', alg: 'ES256' })
  })
})

test('JWTs are off where neither a secret nor a JWKS is configured, and never without an issuer', () => {
  expect(createJwtVerifier(config)).toBeNull()
  expect(() => createJwtVerifier({ ...config, JWT_HS256_SECRET: SECRET, JWT_ISSUER: undefined })).toThrow('JWT_ISSUER')
})

describe('JWTs with public keys', async () => {
  const rsa = await generateKeyPair('RS256', { extractable: true })
  const ec = await generateKeyPair('ES256', { extractable: true })
  const publicRsa = await exportJWK(rsa.publicKey)
  const jwks = {
    keys: [
      { ...publicRsa, kid: 'rsa', alg: 'RS256', use: 'sig' },
      { ...(await exportJWK(ec.publicKey)), kid: 'ec', alg: 'ES256', use: 'sig' },
    ],
  }
  const answers: Record<string, [number, string]> = {
    '/jwks': [200, JSON.stringify(jwks)],
    '/not-json': [200, '<html>'],
    '/not-jwks': [200, '{}'],
    '/down': [503, ''],
  }
  let server: Server
  let base = ''
  beforeAll(async () => {
    server = createServer((request, response) => {
      const [status, body] = answers[request.url ?? ''] ?? [404, '']
      response.writeHead(status).end(body)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => new Promise((resolve) => server.close(resolve)))

  const signRsa = (kid = 'rsa', key = rsa.privateKey) =>
    new SignJWT(GOOD).setProtectedHeader({ alg: 'RS256', kid }).sign(key)

  test('RS256 and ES256 tokens verify through the JWKS', async () => {
    const jwt = verifier({ JWT_JWKS_URL: `${base}/jwks` })
    expect(await jwt.verify(await signRsa(), NOW)).toHaveProperty('subject', 'alice')
    const es256 = await new SignJWT(GOOD).setProtectedHeader({ alg: 'ES256', kid: 'ec' }).sign(ec.privateKey)
    expect(await jwt.verify(es256, NOW)).toHaveProperty('subject', 'alice')
  })

  test('no other algorithm of a public key is accepted, also where the JWKS names none', async () => {
    const keys = [{ ...publicRsa, kid: 'rsa' }]
    const jwt = verifier({ JWT_JWKS_URL: `${base}/jwks` }, { fetch: async () => Response.json({ keys }) })
    expect(await jwt.verify(await signRsa(), NOW)).toHaveProperty('subject', 'alice')
    const jwk = await exportJWK(rsa.privateKey)
    for (const alg of ['PS256', 'RS384', 'RS512']) {
      const token = new SignJWT(GOOD).setProtectedHeader({ alg, kid: 'rsa' }).sign(await importJWK(jwk, alg))
      expect(await jwt.verify(await token, NOW)).toEqual({ reason: 'wrong_algorithm', alg })
    }
  })

  test('a foreign key is refused under a known and an unknown name', async () => {
    const jwt = verifier({ JWT_JWKS_URL: `${base}/jwks` })
    const foreign = await generateKeyPair('RS256')
    expect(await jwt.verify(await signRsa('rsa', foreign.privateKey), NOW)).toEqual({ reason: 'bad_signature' })
    expect(await jwt.verify(await signRsa('other', foreign.privateKey), NOW)).toEqual({ reason: 'unknown_signing_key' })
  })

  test('a token that names none of several keys is refused: which of them it means is not to be guessed', async () => {
    const other = await generateKeyPair('RS256', { extractable: true })
    const keys = [publicRsa, await exportJWK(other.publicKey)].map((key) => ({ ...key, alg: 'RS256', use: 'sig' }))
    const jwt = verifier({ JWT_JWKS_URL: `${base}/jwks` }, { fetch: async () => Response.json({ keys }) })
    const token = await new SignJWT(GOOD).setProtectedHeader({ alg: 'RS256' }).sign(rsa.privateKey)
    expect(await jwt.verify(token, NOW)).toEqual({ reason: 'unknown_signing_key' })
  })

  test('an RSA key of fewer than 2048 bits is none of those that are known', async () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1_024 })
    const keys = [{ ...publicKey.export({ format: 'jwk' }), kid: 'short', alg: 'RS256' }, ...jwks.keys]
    const jwt = verifier({ JWT_JWKS_URL: `${base}/jwks` }, { fetch: async () => Response.json({ keys }) })
    expect(await jwt.verify(await signRsa('short'), NOW)).toEqual({ reason: 'unknown_signing_key' })
    expect(await jwt.verify(await signRsa(), NOW)).toHaveProperty('subject', 'alice')
  })

  test('a public key never serves as a shared secret, with and without a secret configured', async () => {
    const secrets = [await exportSPKI(rsa.publicKey), JSON.stringify(publicRsa), String(publicRsa.n)]
    for (const secret of secrets) {
      const forged = await new SignJWT(GOOD)
        .setProtectedHeader({ alg: 'HS256', kid: 'rsa' })
        .sign(new TextEncoder().encode(secret))
      const jwksOnly = verifier({ JWT_JWKS_URL: `${base}/jwks` })
      expect(await jwksOnly.verify(forged, NOW)).toEqual({ reason: 'wrong_algorithm', alg: 'HS256' })
      const both = verifier({ JWT_JWKS_URL: `${base}/jwks`, JWT_HS256_SECRET: SECRET })
      expect(await both.verify(forged, NOW)).toEqual({ reason: 'bad_signature' })
    }
  })

  test('a shared secret never serves as a public key', async () => {
    const both = verifier({ JWT_JWKS_URL: `${base}/jwks`, JWT_HS256_SECRET: SECRET })
    const token = (await sign(GOOD)).split('.')
    const header = Buffer.from(JSON.stringify({ alg: 'RS256', kid: 'rsa' })).toString('base64url')
    expect(await both.verify([header, token[1], token[2]].join('.'), NOW)).toEqual({ reason: 'bad_signature' })
  })

  test('keys inside the token are ignored', async () => {
    const jwt = verifier({ JWT_JWKS_URL: `${base}/jwks` })
    const foreign = await generateKeyPair('RS256', { extractable: true })
    const header = {
      alg: 'RS256',
      kid: 'rsa',
      jwk: await exportJWK(foreign.publicKey),
      jku: 'http://attacker.invalid/',
    }
    const forged = await new SignJWT(GOOD).setProtectedHeader(header).sign(foreign.privateKey)
    expect(await jwt.verify(forged, NOW)).toEqual({ reason: 'bad_signature' })
  })

  test.each(['/not-json', '/not-jwks', '/down', '/missing'])(
    'a JWKS that cannot be read (%s) says nothing about the token',
    async (path) => {
      const jwt = verifier({ JWT_JWKS_URL: base + path })
      expect(await jwt.verify(await signRsa(), NOW)).toMatchObject({ reason: 'keys_unavailable' })
    },
  )

  test('while a JWKS is unreachable the keys that are known stay of use, whoever comes with one that is not', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    let down = false
    const jwt = verifier(
      { JWT_JWKS_URL: `${base}/jwks` },
      { fetch: (...request) => (down ? Promise.reject(new TypeError('connection refused')) : fetch(...request)) },
    )
    const good = await signRsa()
    expect(await jwt.verify(good, NOW)).toHaveProperty('subject', 'alice')
    down = true
    vi.setSystemTime(Date.now() + 60_000)
    const header = Buffer.from(JSON.stringify({ alg: 'RS256', kid: 'nobody-knows' })).toString('base64url')
    const junk = good.replace(/^[^.]+/, header)
    for (let i = 0; i < 2; i++) {
      expect(await jwt.verify(junk, NOW)).toMatchObject({ reason: 'keys_unavailable' })
      expect(await jwt.verify(good, NOW)).toHaveProperty('subject', 'alice')
    }
  })

  test('a JWKS that is unreachable says nothing about the token, and is asked once a second until it is back', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    let down = true
    let fetched = 0
    const jwt = verifier(
      { JWT_JWKS_URL: `${base}/jwks` },
      {
        fetch: (...request) => {
          fetched += 1
          return down ? Promise.reject(new TypeError('connection refused')) : fetch(...request)
        },
      },
    )
    const token = await signRsa()
    for (const later_ms of [0, 999, 1]) {
      vi.setSystemTime(Date.now() + later_ms)
      expect(await jwt.verify(token, NOW)).toMatchObject({ reason: 'keys_unavailable', cause: expect.any(TypeError) })
    }
    expect(fetched).toBe(2)
    down = false
    expect(await jwt.verify(token, NOW)).toMatchObject({ reason: 'keys_unavailable' })
    vi.setSystemTime(Date.now() - 3_600_000)
    expect(await jwt.verify(token, NOW)).toHaveProperty('subject', 'alice')
    expect(fetched).toBe(3)
  })
})
