// The Worker: Cloudflare's side of the door. Everything behind it uses Web-standard APIs alone.

import { UsageLedger } from '../durable-objects/usage-ledger.ts'
import { createApp } from './app.ts'
import { type Config, ConfigError, parseConfig } from './config.ts'
import { problemResponse } from './problem.ts'

export { UsageLedger }

let app: ReturnType<typeof createApp> | undefined

export default {
  async fetch(request, env, ctx) {
    try {
      app ??= createApp({ config: parseConfig(env), ledgerOf: ledgersIn(env), createPipe })
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      console.error(error.message)
      return problemResponse({ code: 'not_configured', message: error.message })
    }
    return app.fetch(request, env, ctx)
  },
} satisfies ExportedHandler<Env>

/** workerd's own pipe, which its streams pass through natively. */
const createPipe = () => new IdentityTransformStream()

const ledgersIn = (env: Env) => (subject: string) => env.USAGE_LEDGER.get(env.USAGE_LEDGER.idFromName(subject))

declare global {
  interface Env extends Record<keyof Config, string> {
    USAGE_LEDGER: DurableObjectNamespace<UsageLedger>
  }
}
