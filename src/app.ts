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
import { authenticate, requireAdmin } from './middleware/authenticate.ts'
import { requestId } from './middleware/request-id.ts'
import { openDatabase } from './postgres/client.ts'
import { createPriceBook } from './pricing/price-book.ts'
import { anthropic } from './providers/anthropic.ts'
import { openai } from './providers/openai.ts'
import { answerThrown } from './rest/app.ts'
import { answerNoRoute } from './rest/no-route.ts'
import { usageRoutes } from './usage/routes.ts'

export interface AppOptions {
  config: Config
  ledgerOf: LedgerOf
  /** Default: Web-standard streams. */
  createPipe?: CreatePipe
}

export function createApp({ config, ledgerOf, createPipe = () => new TransformStream() }: AppOptions) {
  const db = openDatabase(config)
  const keys = createKeyRing(config.KEY_SIGNING_SECRETS)
  const jwt = createJwtVerifier(config)
  const prices = createPriceBook()
  const services = { config, ledgerOf, db, keys, jwt, prices, createPipe }
  const upstream = {
    openai: { base_url: config.OPENAI_BASE_URL, credential: config.OPENAI_API_KEY },
    anthropic: { base_url: config.ANTHROPIC_BASE_URL, credential: config.ANTHROPIC_API_KEY },
  }

  const app = new Hono<{ Variables: { request_id: string } }>()
  app.use(requestId(newId))
  app.route('/openai', gateway({ ...services, dialect: openai, upstream: upstream.openai }))
  app.route('/anthropic', gateway({ ...services, dialect: anthropic, upstream: upstream.anthropic }))
  const admin = adminRoutes({ db, ledgerOf, keys, now: Date.now, newId })
  const usage = usageRoutes({ db, ledgerOf })
  app.use('/admin/*', requireAdmin({ adminToken: config.ADMIN_TOKEN, jwt }))
  app.route('/admin', admin)
  app.use('/usage/*', authenticate({ keys, jwt, scope: 'usage', readCredential: anthropic.readCredential }))
  app.route('/usage', usage)
  app.route('/', openApiRoutes({ admin, usage }))
  app.get('/', (c) => c.json({ name: 'tollgate', openapi: '/openapi.json' }))
  app.notFound(answerNoRoute(app))
  app.onError(answerThrown)
  return app
}
