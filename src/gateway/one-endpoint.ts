// One endpoint for every provider that speaks OpenAI's API: `model: "groq/llama-3.1-8b-instant"` goes to the gateway of
// groq as the same call with `model: "llama-3.1-8b-instant"`.
//
//   authenticate -> read -> find the provider -> its gateway, which tells the story of the call from its beginning
//
// So a call is metered once, by its provider's own gateway. Models of APIs that speak otherwise are refused with the
// route to use: a translation would hide what they can do.

import { Hono } from 'hono'
import type { JwtVerifier } from '../auth/jwt.ts'
import type { KeyRing } from '../auth/keys.ts'
import { accepted, GatewayFault } from '../fault.ts'
import { authenticate } from '../middleware/authenticate.ts'
import { readModel } from '../providers/fields.ts'
import { applyEdits, type JsonBody, parseJsonBody } from '../providers/json-body.ts'
import { openai } from '../providers/openai.ts'
import { urlOf } from '../request-url.ts'
import { answerFault } from './answer-fault.ts'
import type { CallerEnv } from './call.ts'
import { type InnerGateway, innerRequest } from './inner-gateway.ts'
import { noRoute } from './no-route.ts'
import { readBody } from './request-body.ts'

/** A provider whose models can be called here. */
export interface Target {
  /** Where its operations begin: `/groq/v1`, or `/groq` where they have no version. */
  prefix: string
  call: InnerGateway
}

export interface OneEndpointOptions {
  keys: KeyRing
  jwt: JwtVerifier | null
  /** By name, as in `model: "name/..."`. */
  targets: ReadonlyMap<string, Target>
  /** Providers that speak another API, each with the route to use: `anthropic` -> `/anthropic/v1/messages`. */
  elsewhere: ReadonlyMap<string, string>
  /** Providers that could be configured, each with the variable to set: `groq` -> `GROQ_API_KEY`. */
  unconfigured: ReadonlyMap<string, string>
}

/** What follows the version in the path. A provider that lacks one refuses it itself. */
const OPERATIONS = ['/chat/completions', '/responses', '/embeddings']

/**
 * To be mounted at `/v1`, behind `requestId()`. Its answers are those of the provider's gateway; its own refusals look
 * like OpenAI's and name `model`.
 *
 * @example
 * ```ts
 * const call = innerGateway('/groq', gateway({ ...services, dialect: groq, upstream }))
 * const targets = new Map([['groq', { prefix: '/groq/v1', call }]])
 * app.route('/v1', oneEndpoint({ keys, jwt, targets, elsewhere: new Map(), unconfigured: new Map() }))
 * ```
 */
export function oneEndpoint(options: OneEndpointOptions): Hono<CallerEnv> {
  const { keys, jwt } = options
  const app = new Hono<CallerEnv>()
  for (const path of OPERATIONS) {
    // Before a body is read: strangers must not have megabytes parsed.
    app.post(path, authenticate({ keys, jwt }), async function routeByModel(c) {
      const body = accepted(parseJsonBody(accepted(await readBody(c.req.raw))))
      const { target, model } = findTarget(body, options)
      const bytes = applyEdits(body, [{ field: 'model', value: model }])
      // The provider's own path on this host: no part of it comes from the caller.
      const { origin, search } = urlOf(c.req.raw)
      return target.call(innerRequest(origin + target.prefix + path + search, c.req.raw, bytes), c)
    })
  }
  app.all('*', (c) => {
    const ours = OPERATIONS.map((path) => `POST /v1${path}`).join(', ')
    // Strangers are not told which providers are switched on.
    const message = `There is no ${c.req.method} ${c.req.path} here. There are GET /v1/models, ${ours}. All else is under its provider's own path: /openai, say.`
    return openai.errorResponse(noRoute(c.req.raw, message), c.var.request_id)
  })
  // Caps refuse in the provider's own gateway.
  app.onError(answerFault(openai.errorResponse))
  return app
}

/** Only the first segment names the provider: `openrouter/meta-llama/llama-3.3-70b` is its `meta-llama/llama-3.3-70b`. */
function findTarget(
  { value }: JsonBody,
  { targets, elsewhere, unconfigured }: OneEndpointOptions,
): { target: Target; model: string } {
  const asked = accepted(readModel(value))
  const slash = asked.indexOf('/')
  const name = slash === -1 ? '' : asked.slice(0, slash)
  const model = asked.slice(slash + 1)
  const known = [...targets.keys()].join(', ') || 'none yet'
  if (name === '' || model === '')
    throw wrongModel(`model must be "provider/model" here, not ${JSON.stringify(asked)}. Providers are: ${known}.`)
  const route = elsewhere.get(name)
  if (route !== undefined)
    throw wrongModel(`model: ${name} does not speak OpenAI's API, and calls are not translated. Use ${route}.`)
  const target = targets.get(name)
  if (target) return { target, model }
  const variable = unconfigured.get(name)
  if (variable !== undefined)
    throw new GatewayFault({
      code: 'not_configured',
      message: `model: the provider ${name} is not configured here: ${variable} is not set.`,
      field: 'model',
    })
  throw wrongModel(`model: there is no provider ${JSON.stringify(name)} here. Providers are: ${known}.`)
}

function wrongModel(message: string): GatewayFault {
  return new GatewayFault({ code: 'invalid_request', message, field: 'model' })
}
