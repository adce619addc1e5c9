// The whole HTTP surface, from configuration and a way to find ledgers. Runs wherever Web-standard APIs do.

import { Hono } from 'hono'
import { v7 as newId } from 'uuid'
import type { LedgerOf } from '../durable-objects/ledger/types.ts'
import { openApiRoutes } from './admin/openapi.ts'
import { adminRoutes } from './admin/routes.ts'
import { createJwtVerifier } from './auth/jwt.ts'
import { createKeyRing } from './auth/keys.ts'
import type { Config } from './config.ts'
import type { CreatePipe } from './gateway/answer.ts'
import { gateway } from './gateway/gateway.ts'
import { type OneEndpointOptions, oneEndpoint, type Target } from './gateway/one-endpoint.ts'
import { authenticate, requireAdmin } from './middleware/authenticate.ts'
import { requestId } from './middleware/request-id.ts'
import { openDatabase } from './postgres/client.ts'
import { createOverrides, type PriceStore } from './pricing/overrides.ts'
import { createPriceBook } from './pricing/price-book.ts'
import { anthropic } from './providers/anthropic.ts'
import { variableOf } from './providers/compatible/configured.ts'
import { KNOWN_PROVIDERS } from './providers/compatible/table.ts'
import { answerThrown } from './rest/app.ts'
import { answerNoRoute } from './rest/no-route.ts'
import { configuredPrices, type Provider, providersOf } from './upstreams.ts'
import { appliedPriceRoutes } from './usage/prices.ts'
import { usageRoutes } from './usage/routes.ts'

export interface AppOptions {
  config: Config
  /** Where admins' prices are kept for all workers; null or left out: there are none, and none can be set. */
  priceStore?: PriceStore | null
  ledgerOf: LedgerOf
  /** Default: Web-standard streams. */
  createPipe?: CreatePipe
}

interface Routed extends Provider {
  gateway: ReturnType<typeof gateway>
}

/** What `/v1` knows of each provider. */
function routesByModel(providers: Routed[]): Pick<OneEndpointOptions, 'targets' | 'elsewhere' | 'unconfigured'> {
  const targets = new Map<string, Target>()
  const elsewhere = new Map<string, string>()
  for (const { dialect, gateway, one_endpoint } of providers) {
    if (one_endpoint === null) continue
    if ('use' in one_endpoint) elsewhere.set(dialect.provider, one_endpoint.use)
    else targets.set(dialect.provider, { version: one_endpoint.version, gateway })
  }
  const unconfigured = new Map(KNOWN_PROVIDERS.map(({ name }) => [name, variableOf(name, 'API_KEY')]))
  return { targets, elsewhere, unconfigured }
}

export function createApp({
  config,
  ledgerOf,
  priceStore = null,
  createPipe = () => new TransformStream(),
}: AppOptions) {
  const db = openDatabase(config)
  const keys = createKeyRing(config.KEY_SIGNING_SECRETS)
  const jwt = createJwtVerifier(config)
  const prices = createPriceBook({
    configured: configuredPrices(config),
    ...(priceStore && { overrides: createOverrides(priceStore) }),
  })
  const services = { config, ledgerOf, db, keys, jwt, prices, createPipe }

  const app = new Hono<{ Variables: { request_id: string } }>()
  app.use(requestId(newId))
  const providers = providersOf(config).map((it) => ({ ...it, gateway: gateway({ ...services, ...it }) }))
  for (const { dialect, gateway } of providers) app.route(`/${dialect.provider}`, gateway)
  app.route('/v1', oneEndpoint({ keys, jwt, cap_status: config.CAP_STATUS ?? null, ...routesByModel(providers) }))
  const admin = adminRoutes({ db, ledgerOf, keys, now: Date.now, newId, priceStore })
  const usage = usageRoutes({ db, ledgerOf })
  app.use('/admin/*', requireAdmin({ adminToken: config.ADMIN_TOKEN, jwt }))
  app.route('/admin', admin)
  app.use('/usage/*', authenticate({ keys, jwt, scope: 'usage', readCredential: anthropic.readCredential }))
  app.route('/usage', usage)
  const appliedPrices = appliedPriceRoutes({ prices, ledgerOf })
  app.use('/prices/*', authenticate({ keys, jwt, readCredential: anthropic.readCredential }))
  app.route('/prices', appliedPrices)
  app.route('/', openApiRoutes({ admin, usage, prices: appliedPrices }))
  app.get('/', (c) => c.json({ name: 'tollgate', openapi: '/openapi.json' }))
  app.notFound(answerNoRoute(app))
  app.onError(answerThrown)
  return app
}
