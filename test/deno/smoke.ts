// The portable parts at work on Deno, run by check.ts without permission for files, processes or any host but this one.
// Silent where all is well.

import { brotliCompressSync } from 'node:zlib'
import { SignJWT } from 'jose'
import { Ledger } from '../../durable-objects/ledger/ledger.ts'
import type { LedgerRpc, UsageEvent } from '../../durable-objects/ledger/types.ts'
import { windowOf } from '../../durable-objects/ledger/windows.ts'
import { createApp } from '../../src/app.ts'
import { createJwtVerifier } from '../../src/auth/jwt.ts'
import { createKeyRing } from '../../src/auth/keys.ts'
import { parseConfig } from '../../src/config.ts'
import { startFakeProvider } from '../../src/local/fake-provider.ts'
import { CUT } from '../../src/local/fake-script.ts'
import { cap, ledgerOfOnly, snapshot } from '../support/ledger-fixtures.ts'
import { nodeSql } from '../support/node-sql.ts'
import { inGzip } from '../support/script-changes.ts'

const USER = '0198f3b2-7c1a-7d10-8a11-0123456789ab'
const KEY_ID = '0198f3b2-7c1a-7d10-8a11-fedcba987654'

const provider = await startFakeProvider()
const config = parseConfig({
  DATABASE_URL: 'postgresql://user:password@database.invalid/tollgate',
  KEY_SIGNING_SECRETS: 'a-signing-secret-of-enough-characters',
  ADMIN_TOKEN: 'an-admin-token-of-enough-characters',
  JWT_HS256_SECRET: 'a-shared-secret-of-enough-characters',
  JWT_ISSUER: 'https://id.example.com/',
  OPENAI_API_KEY: 'sk-fake',
  OPENAI_BASE_URL: provider.url,
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
const app = createApp({ config, ledgerOf: () => ledger })
same('a stranger', (await app.request('/usage/caps')).status, 401)
same('a stranger at /admin', (await app.request('/admin/users')).status, 401)
const body = JSON.stringify({ model: 'gpt-4o-mini', max_tokens: 1, messages: [{ role: 'user', content: 'Hi' }] })
const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
const answer = await app.request('/openai/v1/chat/completions', { method: 'POST', headers, body })
same('a suspended user', answer.status, 403)

// Calls, over the ledger's policy on Deno's own SQLite. Nothing here has a `waitUntil`, as nothing on Deno has.
const events: UsageEvent[] = []
const policy = new Ledger(nodeSql(), { hold_ttl_ms: 60_000, emit: (event) => events.push(event) }, Date.now())
const active = { id: KEY_ID, expires_at: null, scopes: ['call' as const] }
policy.configure(snapshot([cap('total', { requests: 6 })], { keys: [active] }), Date.now())
const open = createApp({
  config,
  ledgerOf: () =>
    ledgerOfOnly({
      reserve: async (ask) => policy.reserve(ask, Date.now()),
      settle: async (settlement) => policy.settle([settlement], Date.now()),
    }),
})
async function call(): Promise<{ status: number; text: string }> {
  const answered = await open.request('/openai/v1/chat/completions', { method: 'POST', headers, body })
  return { status: answered.status, text: await answered.text() }
}
const posts = () => provider.requests.filter(({ method }) => method === 'POST').length
provider.reply = ({ method }) => (method === 'POST' ? { steps: [CUT] } : undefined)
same('a call that is dropped', (await call()).status, 502)
same('a call that is dropped reaches its provider', posts(), 1)
same('its charge', events.at(-1)?.usage_source, 'hold')
provider.reply = (_, usual) => inGzip(usual())
same('a compressed answer', JSON.parse((await call()).text).object, 'chat.completion')
same('its charge', events.at(-1)?.usage_source, 'reported')
const inBrotli = { 'content-type': 'application/json', 'content-encoding': 'br' }
provider.reply = () => ({ headers: inBrotli, steps: [brotliCompressSync('{"object":"in br"}')] })
same('an answer in br', JSON.parse((await call()).text).object, 'in br')
provider.reply = undefined
const racing = await Promise.all(Array.from({ length: 10 }, call))
same('racing calls within a cap', racing.filter(({ status }) => status === 200).length, 3)
same('events', events.length, 6)
await provider.close()
