// The Worker: Cloudflare's side of the door. Everything behind it uses Web-standard APIs alone.

import { Hono } from 'hono'
import { UsageLedger } from '../durable-objects/usage-ledger.ts'
import { createApp } from './app.ts'
import { type Config, ConfigError, parseConfig } from './config.ts'
import { ledgersIn } from './ledgers.ts'
import { requestId } from './middleware/request-id.ts'
import { pricesIn } from './pricing/price-store.ts'
import { problemResponse } from './problem.ts'

export { UsageLedger }

let app: ReturnType<typeof createApp> | undefined

export default {
  async fetch(request, env, ctx) {
    try {
      app ??= createApp({
        config: parseConfig(env),
        ledgerOf: ledgersIn(env.USAGE_LEDGER),
        priceStore: pricesIn(env.PRICES),
      })
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      console.error(error.message)
      return notConfigured(error.message).fetch(request)
    }
    return app.fetch(request, env, ctx)
  },
} satisfies ExportedHandler<Env>

const notConfigured = (message: string) =>
  new Hono<{ Variables: { request_id: string } }>()
    .use(requestId())
    .all('*', (c) => problemResponse({ code: 'not_configured', message }, c.var.request_id))

declare global {
  interface Env extends Record<Exclude<keyof Config, 'COMPATIBLE_PROVIDERS'>, string> {
    USAGE_LEDGER: DurableObjectNamespace<UsageLedger>
    PRICES?: KVNamespace
  }
}
