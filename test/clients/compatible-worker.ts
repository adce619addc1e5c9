// The worker with the OpenAI-compatible providers of its environment and the one endpoint for all, as src/app.ts mounts
// them; prices of two of their models are fixed here, so that costs can be computed by hand.

import { Hono } from 'hono'
import { createJwtVerifier } from '../../src/auth/jwt.ts'
import { createKeyRing } from '../../src/auth/keys.ts'
import { ConfigError, parseConfig } from '../../src/config.ts'
import { gateway } from '../../src/gateway/gateway.ts'
import { oneEndpoint, type Target } from '../../src/gateway/one-endpoint.ts'
import tollgate, { UsageLedger } from '../../src/index.ts'
import { requestId } from '../../src/middleware/request-id.ts'
import { openDatabase } from '../../src/postgres/client.ts'
import type { Price } from '../../src/pricing/price.ts'
import { createPriceBook } from '../../src/pricing/price-book.ts'
import { compatibleProviders, variableOf } from '../../src/providers/compatible/configured.ts'
import { KNOWN_PROVIDERS } from '../../src/providers/compatible/table.ts'
import { openai } from '../../src/providers/openai.ts'
import { openAICompatible, upstreamOf, versionOf } from '../../src/providers/openai-compatible.ts'

export { UsageLedger }

const PRICED: Record<string, [input: number, cached_input: number, output: number]> = {
  'groq/openai/gpt-oss-20b': [75_000_000, 37_500_000, 300_000_000],
  'acme/large-1': [2_000_000_000, 500_000_000, 8_000_000_000],
}

function priceOf(provider: string, model: string): Price | undefined {
  const priced = PRICED[`${provider}/${model}`]
  if (!priced) return undefined
  const [input, cached_input, output] = priced
  const writes = { cache_write_5m: input, cache_write_1h: input }
  return {
    rates: { input, cached_input, ...writes, output, audio_input: null, audio_output: null },
    long_context: [],
    tier_percent: new Map(),
    web_search_nano_usd_per_million: 0,
    request_nano_usd: 0,
    unit_nano_usd: null,
    context_window: null,
    priced_as: model,
    price_source: 'configuration',
  }
}

function createRoutes(env: Env) {
  const config = parseConfig(env)
  const parsed = compatibleProviders.safeParse(env)
  if (!parsed.success)
    throw new ConfigError(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '))
  const keys = createKeyRing(config.KEY_SIGNING_SECRETS)
  const jwt = createJwtVerifier(config)
  const ledgerOf = (user: string) => env.USAGE_LEDGER.get(env.USAGE_LEDGER.idFromName(user))
  const prices = createPriceBook({ configured: priceOf })
  const createPipe = () => new IdentityTransformStream()
  const services = { config, ledgerOf, db: openDatabase(config), keys, jwt, prices, createPipe }

  const app = new Hono<{ Variables: { request_id: string } }>()
  app.use(requestId())
  const targets = new Map<string, Target>()
  const upstream = { base_url: config.OPENAI_BASE_URL, credential: config.OPENAI_API_KEY }
  targets.set('openai', { version: '/v1', gateway: gateway({ ...services, dialect: openai, upstream }) })
  for (const provider of parsed.data) {
    const options = { ...services, dialect: openAICompatible(provider), upstream: upstreamOf(provider) }
    targets.set(provider.name, { version: versionOf(provider), gateway: gateway(options) })
  }
  for (const [name, target] of targets) app.route(`/${name}`, target.gateway)
  const elsewhere = new Map([
    ['anthropic', '/anthropic/v1/messages'],
    ['bedrock', '/bedrock/model/{id}/converse'],
    ['gemini', '/gemini/v1beta/models/{model}:generateContent'],
  ])
  const unconfigured = new Map(KNOWN_PROVIDERS.map(({ name }) => [name, variableOf(name, 'API_KEY')]))
  const cap_status = config.CAP_STATUS ?? null
  app.route('/v1', oneEndpoint({ keys, jwt, cap_status, targets, elsewhere, unconfigured }))
  app.notFound((c) => tollgate.fetch(c.req.raw as never, env, c.executionCtx as never))
  return app
}

let app: ReturnType<typeof createRoutes> | undefined

export default {
  fetch(request, env, ctx) {
    try {
      app ??= createRoutes(env)
    } catch (error) {
      return new Response(String(error), { status: 503 })
    }
    return app.fetch(request, env, ctx)
  },
} satisfies ExportedHandler<Env>
