// A worker as `src/index.ts`, with Gemini, Google Places and a service by configuration mounted: their base URL is the
// fake provider's.

import { Hono } from 'hono'
import { v7 as newId } from 'uuid'
import { UsageLedger } from '../../durable-objects/usage-ledger.ts'
import { createApp } from '../../src/app.ts'
import { createKeyRing } from '../../src/auth/keys.ts'
import { parseConfig } from '../../src/config.ts'
import { gateway } from '../../src/gateway/gateway.ts'
import { requestId } from '../../src/middleware/request-id.ts'
import { openDatabase } from '../../src/postgres/client.ts'
import { createPriceBook } from '../../src/pricing/price-book.ts'
import { gemini } from '../../src/providers/gemini.ts'
import { googlePlaces, placesPrices } from '../../src/providers/google-places.ts'
import { perCallDialect, perCallPrices, perCallServiceSchema } from '../../src/providers/per-call.ts'

export { UsageLedger }

function createServices(env: Env) {
  const config = parseConfig(env)
  const ledgerOf = (subject: string) => env.USAGE_LEDGER.get(env.USAGE_LEDGER.idFromName(subject))
  const base_url = config.OPENAI_BASE_URL
  const things = perCallServiceSchema.parse({
    provider: 'things',
    base_url: `${base_url}/things`,
    credential_header: 'x-things-key',
    credential_query: 'token',
    routes: [
      { name: 'look', method: 'GET', path: '/v2/look/:id', usd_per_request: 0.01 },
      { name: 'make', method: 'POST', path: '/v2/:verb{things:make}', usd_per_request: 0.25 },
    ],
  })
  const routePrices = perCallPrices([things])
  const prices = createPriceBook({
    configured: (provider, model) => placesPrices(provider, model) ?? routePrices(provider, model),
  })
  const services = {
    config,
    ledgerOf,
    db: openDatabase(config),
    keys: createKeyRing(config.KEY_SIGNING_SECRETS),
    jwt: null,
    prices,
    createPipe: () => new TransformStream<Uint8Array, Uint8Array>(),
  }
  const google = { base_url, credential: 'goog-fake' }
  const app = new Hono<{ Variables: { request_id: string } }>()
  app.use(requestId(newId))
  app.route('/gemini', gateway({ ...services, dialect: gemini, upstream: google }))
  app.route('/google-places', gateway({ ...services, dialect: googlePlaces, upstream: google }))
  const upstream = { base_url: things.base_url, credential: 'things-fake' }
  app.route('/things', gateway({ ...services, dialect: perCallDialect(things), upstream }))
  return { services: app, app: createApp({ config, ledgerOf }) }
}

let created: ReturnType<typeof createServices> | undefined

export default {
  fetch(request, env, ctx) {
    created ??= createServices(env)
    const isService = /^\/(gemini|google-places|things)\//.test(new URL(request.url).pathname)
    return (isService ? created.services : created.app).fetch(request, env, ctx)
  },
} satisfies ExportedHandler<Env>
