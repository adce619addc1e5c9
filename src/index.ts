// The Worker: Cloudflare's side of the door. Everything behind it uses Web-standard APIs alone.

import { Hono } from 'hono'
import { UsageLedger } from '../durable-objects/usage-ledger.ts'
import { createApp } from './app.ts'
import { type Config, ConfigError, parseWorkerConfig } from './config.ts'
import { discardBody } from './gateway/request-body.ts'
import { ledgersIn } from './ledgers.ts'
import { requestId } from './middleware/request-id.ts'
import { pricesIn } from './pricing/price-store.ts'
import { problemResponse } from './problem.ts'

export { UsageLedger }

/**
 * One for each state of the variables: when only these change, Cloudflare may go on with the isolate and give it another `env`.
 * https://developers.cloudflare.com/workers/runtime-apis/bindings/#making-changes-to-bindings
 */
const apps = new WeakMap<Env, ReturnType<typeof createApp>>()

export default {
  async fetch(request, env, ctx) {
    try {
      return appOf(env).fetch(request, env, ctx)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      console.error(error.message)
      return notConfigured(error.message).fetch(request)
    }
  },
} satisfies ExportedHandler<Env>

/** @throws {ConfigError} */
function appOf(env: Env): ReturnType<typeof createApp> {
  const known = apps.get(env)
  if (known) return known
  const app = createApp({
    config: parseWorkerConfig(env),
    ledgerOf: ledgersIn(env.USAGE_LEDGER),
    priceStore: pricesIn(env.PRICES),
  })
  apps.set(env, app)
  return app
}

const notConfigured = (message: string) =>
  new Hono<{ Variables: { request_id: string } }>().use(requestId()).all('*', async (c) => {
    const answer = problemResponse({ code: 'not_configured', message }, c.var.request_id)
    // To ask again is of no use: official SDKs would.
    answer.headers.set('x-should-retry', 'false')
    await discardBody(c.req.raw)
    return answer
  })

declare global {
  interface Env extends Record<Exclude<keyof Config, 'COMPATIBLE_PROVIDERS'>, string> {
    USAGE_LEDGER: DurableObjectNamespace<UsageLedger>
    PRICES: KVNamespace
  }
}
