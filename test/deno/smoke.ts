// The portable parts at work on Deno, run by check.ts without permission for network, files or processes.
// Web-standard APIs only. Silent where all is well.

import { SignJWT } from 'jose'
import type { LedgerRpc } from '../../durable-objects/ledger/types.ts'
import { windowOf } from '../../durable-objects/ledger/windows.ts'
import { createApp } from '../../src/app.ts'
import { createJwtVerifier } from '../../src/auth/jwt.ts'
import { createKeyRing } from '../../src/auth/keys.ts'
import { parseConfig } from '../../src/config.ts'

const USER = '0198f3b2-7c1a-7d10-8a11-0123456789ab'
const KEY_ID = '0198f3b2-7c1a-7d10-8a11-fedcba987654'

const config = parseConfig({
  DATABASE_URL: 'postgresql://user:password@database.invalid/tollgate',
  KEY_SIGNING_SECRETS: 'a-signing-secret-of-enough-characters',
  ADMIN_TOKEN: 'an-admin-token-of-enough-characters',
  JWT_HS256_SECRET: 'a-shared-secret-of-enough-characters',
  JWT_ISSUER: 'https://id.example.com/',
  OPENAI_API_KEY: 'sk-fake',
})

function same(what: string, actual: unknown, expected: unknown): void {
  const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (got !== wanted) throw new Error(`${what}: expected ${wanted}, got ${got}`)
}

// A key.
const keys = createKeyRing(config.KEY_SIGNING_SECRETS)
const key = await keys.issue(USER, KEY_ID)
same('a key', await keys.verify(key), { user_id: USER, key_id: KEY_ID })
same('a forged key', await createKeyRing(['another-secret-of-enough-characters!']).verify(key), {
  reason: 'bad_signature',
})

// A JWT.
const token = await new SignJWT({ iss: 'https://id.example.com/', sub: 'alice' })
  .setProtectedHeader({ alg: 'HS256' })
  .setExpirationTime('1m')
  .sign(new TextEncoder().encode(config.JWT_HS256_SECRET))
const claims = await createJwtVerifier(config)?.verify(token)
same('a JWT', claims && 'user_id' in claims && claims.user_id, '5de00ec8-70a1-5b1c-9c20-48b96e052f61')

// A window, with Deno's own `Temporal` in the polyfill's place.
same('a day without midnight', windowOf('daily', 'America/Sao_Paulo', Date.parse('2018-11-04T12:00Z')), {
  start: Date.parse('2018-11-04T03:00Z'),
  end: Date.parse('2018-11-05T02:00Z'),
})

// The app, over a ledger that refuses everybody.
const ledger: LedgerRpc = {
  reserve: async () => ({ admitted: false, refusal: { reason: 'suspended' }, tightest: null }),
  mayGoOn: async () => false,
  settle: async () => {},
  requestModels: async () => [],
  conclude: async () => {},
  configure: async () => 0,
  status: async () => ({ refusal: { reason: 'suspended' } }),
}
// Deno has no `waitUntil`: its process outlives the answer, so a host passes one that does nothing.
const context = { waitUntil: () => {}, passThroughOnException: () => {}, props: {} }
const app = createApp({ config, ledgerOf: () => ledger })
same('a stranger', (await app.request('/usage/caps')).status, 401)
same('a stranger at /admin', (await app.request('/admin/users')).status, 401)
const body = JSON.stringify({ model: 'gpt-4o-mini', max_tokens: 1, messages: [{ role: 'user', content: 'Hi' }] })
const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
const answer = await app.request('/openai/v1/chat/completions', { method: 'POST', headers, body }, {}, context)
same('a suspended user', answer.status, 403)
