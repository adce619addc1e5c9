// The routes of prices over a real database and a store that only remembers what it is given.

import { sql } from 'drizzle-orm'
import { Hono } from 'hono'
import type { Refusal } from '../../../durable-objects/ledger/types.ts'
import { adminRoutes } from '../../../src/admin/routes.ts'
import type { Override } from '../../../src/pricing/override.ts'
import { createOverrides } from '../../../src/pricing/overrides.ts'
import { createPriceBook } from '../../../src/pricing/price-book.ts'
import { answerThrown } from '../../../src/rest/app.ts'
import type { UsageCaller } from '../../../src/rest/status.ts'
import { appliedPriceRoutes } from '../../../src/usage/prices.ts'
import { ACTIVE, ledgerOfOnly } from '../../support/ledger-fixtures.ts'
import { openTestDatabase } from '../../support/postgres.ts'
import { NOBODY, sendTo } from './rest-fixture.ts'

/** Of this deployment; `my-own` is one of `PROVIDERS`. */
const PROVIDERS = ['openai', 'anthropic', 'bedrock', 'azure', 'workers-ai', 'my-own']

export const RATES = { input: '0.15', output: 0.6 }
export const PRICE = { provider: 'openai', model: 'gpt-x', usd_per_mtok: RATES }

export const later = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString()

export async function openPrices() {
  const test_database = await openTestDatabase()
  const { db } = test_database
  const clock = { now: Date.now }
  const working = {
    value: null as string | null,
    /** So many writes fail. */
    faults: 0,
    puts: 0,
    get: async (): Promise<string | null> => store.value,
    put: async (value: string) => {
      store.puts += 1
      if (store.faults-- > 0) throw new Error('KV: 429 Too Many Requests')
      store.value = value
    },
  }
  const store = { ...working }
  /** The key is null for a JWT. */
  const standing: { refusal: Refusal | null; key_id: string | null } = { refusal: null, key_id: 'k' }
  const ledger = ledgerOfOnly({
    status: async () => (standing.refusal ? { refusal: standing.refusal } : ACTIVE),
  })
  const ledgerOf = () => ledger
  const deps = {
    db,
    ledgerOf,
    keys: { issue: async () => 'tg_' },
    now: () => clock.now(),
    newId: () => crypto.randomUUID(),
    providers: PROVIDERS,
  }
  const app = new Hono<{ Variables: { caller: UsageCaller; request_id: string } }>()
  app.use(async (c, next) => {
    c.set('request_id', 'req-1')
    c.set('caller', { user_id: NOBODY, key_id: standing.key_id, jwt: null })
    await next()
  })
  app.route('/admin', adminRoutes({ ...deps, priceStore: store }))
  app.route('/bare/admin', adminRoutes({ ...deps, priceStore: null }))
  // A book that is new has read what is there now.
  const find = () => Promise.reject(new Error('not for REST'))
  const prices = { explain: (provider: string, model: string) => book().explain(provider, model), find }
  const book = () => createPriceBook({ overrides: createOverrides(store, () => clock.now()), now: () => clock.now() })
  app.route('/prices', appliedPriceRoutes({ prices, providers: PROVIDERS, db, ledgerOf }))
  app.onError(answerThrown)

  const send = sendTo(app)

  return {
    ...test_database,
    clock,
    store,
    standing,
    send,
    book,
    newPrice: (fields: object = {}) => send('POST', '/admin/prices', { ...PRICE, ...fields }),
    /** No prices, and nothing that is out of order. */
    async reset() {
      await db.execute(sql`delete from prices`)
      Object.assign(store, working)
      clock.now = Date.now
      Object.assign(standing, { refusal: null, key_id: 'k' })
    },
    /** What the workers know. */
    published: (): Override[] => (store.value === null ? [] : JSON.parse(store.value).overrides),
    upload: (csv: string | Uint8Array, type = 'text/csv') =>
      send('POST', '/admin/prices/csv', csv, { 'content-type': type }),
    download: async (): Promise<string> => (await send('GET', '/admin/prices/csv')).body,
  }
}
