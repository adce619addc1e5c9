// All that is forwarded: one gateway per provider, Anthropic's messages that Bedrock serves, and one endpoint for the
// models of every provider that speaks OpenAI's API.

import { Hono } from 'hono'
import { authenticate } from '../middleware/authenticate.ts'
import { anthropic } from '../providers/anthropic.ts'
import { variableOf } from '../providers/compatible/configured.ts'
import { providerSchema } from '../providers/compatible/provider.ts'
import { KNOWN_PROVIDERS } from '../providers/compatible/table.ts'
import { openAICompatible } from '../providers/openai-compatible.ts'
import { answerFault } from './answer-fault.ts'
import { anthropicOnBedrock, asAnthropic } from './anthropic-on-bedrock.ts'
import { batchResultsUrl } from './batch-results-url.ts'
import type { CallerEnv } from './call.ts'
import { type GatewayOptions, gateway } from './gateway.ts'
import { innerGateway } from './inner-gateway.ts'
import { type ListedProvider, listedModels } from './listed-models.ts'
import { oneEndpoint, type Target } from './one-endpoint.ts'
import { type Provider, providersOf } from './upstreams.ts'

/** The base URL of a provider that is never called. */
const NOWHERE = 'https://nowhere.invalid'

type Services = Omit<GatewayOptions, 'dialect' | 'upstream'>

interface Routed extends Provider {
  gateway: ReturnType<typeof gateway>
}

export function gatewayRoutes(services: Services) {
  const { config, keys, jwt } = services
  const providers = providersOf(config).map((provider) => ({
    ...provider,
    gateway: gateway({ ...services, ...provider }),
  }))

  const app = new Hono<{ Variables: { request_id: string } }>()
  app.use('/anthropic/v1/messages/batches/*', batchResultsUrl())
  const bedrock = providers.find(({ dialect }) => dialect.provider === 'bedrock')
  // It reads every body an extra time, so it is mounted only where models are mapped.
  if (bedrock && Object.keys(config.BEDROCK_MODELS).length > 0) {
    const served = anthropicOnBedrock({
      models: config.BEDROCK_MODELS,
      authenticate: authenticate({ keys, jwt, readCredential: anthropic.readCredential }),
      bedrock: gateway({ ...services, dialect: asAnthropic(bedrock.dialect), upstream: bedrock.upstream }),
    })
    app.route('/anthropic', served)
  }
  for (const { dialect, gateway } of providers) {
    const { provider, optional_prefix } = dialect
    if (optional_prefix !== undefined) app.route(`/${provider}${optional_prefix}`, gateway)
    app.route(`/${provider}`, gateway)
  }
  const unconfigured = switchedOff(providers)
  for (const [name, variable] of unconfigured) app.route(`/${name}`, notConfigured(name, variable, services))
  const { targets, elsewhere } = routesByModel(providers)
  app.route('/v1/models', listedModels({ ...services, models: config.MODELS, providers: targets }))
  app.route('/v1', oneEndpoint({ keys, jwt, targets, elsewhere, unconfigured }))
  return app
}

/**
 * Tells those who have a key what is missing, and strangers nothing. Reads the key where the provider's own clients send it,
 * and answers in their format: some would retry any other error for an hour.
 */
function notConfigured(name: string, variable: string, { keys, jwt }: Services) {
  const row = KNOWN_PROVIDERS.find((known) => known.name === name)
  const { readCredential, errorResponse } = openAICompatible(providerSchema.parse({ base_url: NOWHERE, ...row }))
  const message = `The provider ${name} is not configured here: ${variable} is not set.`
  const app = new Hono<CallerEnv>()
  app.all('*', authenticate({ keys, jwt, readCredential }), (c) =>
    errorResponse({ code: 'not_configured', message }, c.var.request_id),
  )
  app.onError(answerFault(errorResponse))
  return app
}

/** What `/v1` and `/v1/models` know of each provider. */
function routesByModel(providers: Routed[]) {
  const targets = new Map<string, Target & ListedProvider>()
  const elsewhere = new Map<string, string>()
  for (const { dialect, upstream, gateway, one_endpoint } of providers) {
    const { provider, operations } = dialect
    const list = operations.find(({ name }) => name === 'models_list')
    if (one_endpoint === null) continue
    if ('use' in one_endpoint) elsewhere.set(provider, one_endpoint.use)
    else
      targets.set(provider, {
        prefix: `/${provider}${one_endpoint.version}`,
        call: innerGateway(`/${provider}`, gateway),
        has_key: upstream.credential !== undefined,
        own_list: list ? `/${provider}${list.path}` : null,
      })
  }
  return { targets, elsewhere }
}

/** Known providers that this deployment does not have, and the variable that switches each on. */
function switchedOff(providers: Provider[]): ReadonlyMap<string, string> {
  const on = new Set(providers.map(({ dialect }) => dialect.provider))
  const off = KNOWN_PROVIDERS.filter(({ name }) => !on.has(name))
  return new Map(off.map(({ name }) => [name, variableOf(name, 'API_KEY')]))
}
