// The whole HTTP surface, made from the configuration and a way to find ledgers. Runs wherever Web-standard APIs do.

import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { TrieRouter } from 'hono/router/trie-router'
import { v7 as newId } from 'uuid'
import type { LedgerOf } from '../durable-objects/ledger/types.ts'
import { openApiRoutes } from './admin/openapi.ts'
import { adminRoutes } from './admin/routes.ts'
import { createJwtVerifier } from './auth/jwt.ts'
import { createKeyRing } from './auth/keys.ts'
import type { Config } from './config.ts'
import { discardBody } from './gateway/request-body.ts'
import { gatewayRoutes } from './gateway/routes.ts'
import { configuredPrices, providerNames } from './gateway/upstreams.ts'
import { setHeaders } from './middleware/answers.ts'
import { authenticate, requireAdmin } from './middleware/authenticate.ts'
import { requestId } from './middleware/request-id.ts'
import { openDatabase } from './postgres/client.ts'
import { createOverrides, type PriceStore } from './pricing/overrides.ts'
import { createPriceBook } from './pricing/price-book.ts'
import { anthropic } from './providers/anthropic.ts'
import { answerThrown } from './rest/app.ts'
import { answerNoRoute } from './rest/no-route.ts'
import { appliedPriceRoutes } from './usage/prices.ts'
import { usageRoutes } from './usage/routes.ts'

/** The longest that Chrome keeps a preflight's answer. */
const CORS_MAX_AGE_SECONDS = 7_200

export interface AppOptions {
  config: Config
  /** Where admins' prices are kept for all workers. Null or left out: admins have no prices, and can set none. */
  priceStore?: PriceStore | null
  ledgerOf: LedgerOf
}

export function createApp({ config, ledgerOf, priceStore = null }: AppOptions) {
  const db = openDatabase(config)
  const keys = createKeyRing(config.KEY_SIGNING_SECRETS)
  const jwt = createJwtVerifier(config)
  const overrides = priceStore && createOverrides(priceStore)
  const prices = createPriceBook({ configured: configuredPrices(config), overrides })

  // Hono's default would first try for 30 ms to compile all routes into one expression, and give up on Gemini's.
  const app = new Hono<{ Variables: { request_id: string } }>({ router: new TrieRouter() })
  app.use(requestId())
  app.use(async function discardUnread(c, next) {
    await next()
    await discardBody(c.req.raw)
  })
  const origin = config.CORS_ORIGINS
  if (origin) app.use(cors({ origin, exposeHeaders: ['*'], maxAge: CORS_MAX_AGE_SECONDS }))
  app.route('/', gatewayRoutes({ config, ledgerOf, db, keys, jwt, prices }))
  const providers = providerNames(config)
  const admin = adminRoutes({ db, ledgerOf, keys, now: Date.now, newId, providers, priceStore: overrides })
  const usage = usageRoutes({ db, ledgerOf })
  // Otherwise a cache may keep an answer and give it to anybody, where the key came in a header other than `Authorization`.
  for (const path of ['/admin/*', '/usage/*', '/prices/*'])
    app.use(path, async function notStored(c, next) {
      await next()
      setHeaders(c, { 'cache-control': 'no-store' })
    })
  app.use('/admin/*', requireAdmin({ adminToken: config.ADMIN_TOKEN, jwt }))
  app.route('/admin', admin)
  // Not for one scope: the routes ask the ledger for the one that they need.
  const authenticated = authenticate({ keys, jwt, readCredential: anthropic.readCredential })
  app.use('/usage/*', authenticated)
  app.route('/usage', usage)
  const appliedPrices = appliedPriceRoutes({ prices, providers, db, ledgerOf })
  app.use('/prices/*', authenticated)
  app.route('/prices', appliedPrices)
  app.route('/', openApiRoutes({ admin, usage, prices: appliedPrices }))
  app.get('/', (c) => c.json({ name: 'tollgate', openapi: '/openapi.json' }))
  app.notFound(answerNoRoute(app))
  app.onError(answerThrown)
  return app
}
