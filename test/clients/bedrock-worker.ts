// The worker with Bedrock, and with Anthropic's messages served by it, as src/app.ts mounts them.

import { Hono } from 'hono'
import { createJwtVerifier } from '../../src/auth/jwt.ts'
import { createKeyRing } from '../../src/auth/keys.ts'
import { parseConfig } from '../../src/config.ts'
import { anthropicOnBedrock, asAnthropic } from '../../src/gateway/anthropic-on-bedrock.ts'
import { batchResultsUrl } from '../../src/gateway/batch-results-url.ts'
import { gateway } from '../../src/gateway/gateway.ts'
import tollgate, { UsageLedger } from '../../src/index.ts'
import { authenticate } from '../../src/middleware/authenticate.ts'
import { requestId } from '../../src/middleware/request-id.ts'
import { openDatabase } from '../../src/postgres/client.ts'
import { createPriceBook } from '../../src/pricing/price-book.ts'
import { anthropic } from '../../src/providers/anthropic.ts'
import { type BedrockConfig, bedrockUpstream, createBedrock } from '../../src/providers/bedrock.ts'

export { UsageLedger }

interface BedrockEnv extends Env, BedrockConfig {
  BEDROCK_MODELS: string
}

function createRoutes(env: BedrockEnv) {
  const config = parseConfig(env)
  const keys = createKeyRing(config.KEY_SIGNING_SECRETS)
  const jwt = createJwtVerifier(config)
  const ledgerOf = (user: string) => env.USAGE_LEDGER.get(env.USAGE_LEDGER.idFromName(user))
  const createPipe = () => new IdentityTransformStream()
  const services = { config, ledgerOf, db: openDatabase(config), keys, jwt, prices: createPriceBook(), createPipe }

  const bedrock = createBedrock({ region: env.BEDROCK_REGION })
  // One fake serves all.
  const upstream = bedrockUpstream({ BEDROCK_BASE_URL: config.ANTHROPIC_BASE_URL, ...env })
  const app = new Hono<{ Variables: { request_id: string } }>()
  app.use(requestId())
  app.route('/bedrock', gateway({ ...services, dialect: bedrock, upstream }))
  app.use('/anthropic/v1/messages/batches/*', batchResultsUrl())
  app.route(
    '/anthropic',
    anthropicOnBedrock({
      models: JSON.parse(env.BEDROCK_MODELS),
      authenticate: authenticate({ keys, jwt, readCredential: anthropic.readCredential }),
      bedrock: gateway({ ...services, dialect: asAnthropic(bedrock), upstream }),
      cap_status: config.CAP_STATUS ?? null,
    }),
  )
  const anthropicUpstream = { base_url: config.ANTHROPIC_BASE_URL, credential: config.ANTHROPIC_API_KEY }
  app.route('/anthropic', gateway({ ...services, dialect: anthropic, upstream: anthropicUpstream }))
  app.notFound((c) => tollgate.fetch(c.req.raw as never, env, c.executionCtx as never))
  return app
}

let app: ReturnType<typeof createRoutes> | undefined

export default {
  fetch(request, env, ctx) {
    app ??= createRoutes(env)
    return app.fetch(request, env, ctx)
  },
} satisfies ExportedHandler<BedrockEnv>
