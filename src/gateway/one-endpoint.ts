// One endpoint for every provider that speaks OpenAI's API: `model: "groq/llama-3.1-8b-instant"` goes to the gateway of
// groq as the same call with `model: "llama-3.1-8b-instant"`.
//
//   authenticate -> read -> find the provider -> its gateway, which tells the story of the call from its beginning
//
// So a call is metered once, by its provider's own gateway. Models of APIs that speak otherwise are refused with the
// route to use: a translation would hide what they can do.

import { type Context, Hono } from 'hono'
import type { JwtVerifier } from '../auth/jwt.ts'
import type { KeyRing } from '../auth/keys.ts'
import { accepted, type GatewayError, GatewayFault } from '../errors.ts'
import { authenticate, type CallerIdentity } from '../middleware/authenticate.ts'
import { isRefusal, readModel } from '../providers/fields.ts'
import { openai } from '../providers/openai.ts'
import type { GatewayEnv } from './call.ts'
import { applyEdits, type JsonBody, parseJsonBody } from './json-body.ts'
import { readBody } from './request-body.ts'

/** A provider whose models can be called here. */
export interface Target {
  /** Below its prefix: `/v1`, or nothing where its operations have no version. */
  version: string
  gateway: Hono<GatewayEnv>
}

export interface OneEndpointOptions {
  keys: KeyRing
  jwt: JwtVerifier | null
  cap_status: number | null
  /** By name, as in `model: "name/..."`. */
  targets: ReadonlyMap<string, Target>
  /** Providers that speak another API, each with the route to use: `anthropic` -> `/anthropic/v1/messages`. */
  elsewhere: ReadonlyMap<string, string>
  /** Providers that could be configured, each with the variable to set: `groq` -> `GROQ_API_KEY`. */
  unconfigured: ReadonlyMap<string, string>
}

interface OneEndpointEnv {
  Variables: { request_id: string; caller: CallerIdentity }
}

/** Operations that both ends have: what follows the version in the path. */
const OPERATIONS = ['/chat/completions', '/responses']

/**
 * To be mounted at `/v1`, behind `requestId()`. Its answers are those of the provider's gateway; its own refusals look
 * like OpenAI's and name `model`.
 *
 * @example
 * ```ts
 * const targets = new Map([['groq', { version: '/v1', gateway: gateway({ ...services, dialect: groq, upstream }) }]])
 * app.route('/v1', oneEndpoint({ keys, jwt, cap_status: null, targets, elsewhere: new Map(), unconfigured: new Map() }))
 * ```
 */
export function oneEndpoint(options: OneEndpointOptions): Hono<OneEndpointEnv> {
  const { keys, jwt, cap_status, targets } = options
  const errorAnswer = (error: GatewayError, requestId: string) => openai.errorResponse(error, requestId, { cap_status })
  const gateways = new Map([...targets].map(([name, { gateway }]) => [name, underItsName(name, gateway)]))

  const app = new Hono<OneEndpointEnv>()
  for (const path of OPERATIONS) {
    // Before a body is read: strangers must not have 20 MiB parsed.
    app.post(path, authenticate({ keys, jwt }), async function routeByModel(c) {
      const body = accepted(parseJsonBody(accepted(await readBody(c.req.raw, 'json'))))
      const { name, model, target } = findTarget(body, options)
      const rewritten = applyEdits(body, [{ field: 'model', value: model }])
      const request = requestTo(c, `/${name}${target.version}${path}`, rewritten)
      return gateways.get(name)?.fetch(request, { request_id: c.var.request_id }, contextOf(c)) ?? c.notFound()
    })
  }
  app.all('*', (c) => {
    const known = [...targets.keys()].map((name) => `/${name}`).join(', ')
    const message = `There is no ${c.req.method} ${c.req.path} here. One endpoint for all providers are POST ${OPERATIONS.map((path) => `/v1${path}`).join(' and ')}; each provider has its own routes under ${known}.`
    return errorAnswer({ code: 'not_found', message }, c.var.request_id)
  })
  app.onError((error, c) => {
    if (error instanceof GatewayFault) return errorAnswer(error.error, c.var.request_id)
    console.error(JSON.stringify({ message: 'unexpected', error: String(error), stack: error.stack }))
    return errorAnswer({ code: 'internal_error', message: 'Something went wrong inside Tollgate.' }, c.var.request_id)
  })
  return app
}

/** The provider's gateway with the request's id as its own: one call has one id. */
function underItsName(name: string, gateway: Hono<GatewayEnv>) {
  const app = new Hono<GatewayEnv & { Bindings: { request_id: string } }>()
  app.use(async function sameRequestId(c, next) {
    c.set('request_id', c.env.request_id)
    await next()
  })
  return app.route(`/${name}`, gateway)
}

/** Only the first segment names the provider: `openrouter/meta-llama/llama-3.3-70b` is its `meta-llama/llama-3.3-70b`. */
function findTarget(
  { value }: JsonBody,
  { targets, elsewhere, unconfigured }: OneEndpointOptions,
): { name: string; model: string; target: Target } {
  const asked = readModel(value)
  if (isRefusal(asked)) throw new GatewayFault(asked)
  const slash = asked.indexOf('/')
  const name = slash === -1 ? '' : asked.slice(0, slash)
  const model = asked.slice(slash + 1)
  const known = [...targets.keys()].join(', ') || 'none yet'
  if (name === '' || model === '')
    throw wrongModel(`model must be "provider/model" here, not ${JSON.stringify(asked)}. Providers are: ${known}.`)
  const route = elsewhere.get(name)
  if (route !== undefined)
    throw wrongModel(`model: ${name} does not speak OpenAI's API, and calls are not translated. Use ${route}.`)
  const variable = unconfigured.get(name)
  const target = targets.get(name)
  if (target) return { name, model, target }
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

/** The same request at the provider's own path, on this host: no part of it comes from the caller. */
function requestTo(c: Context, path: string, body: Uint8Array): Request {
  const url = new URL(c.req.url)
  const headers = new Headers(c.req.raw.headers)
  headers.set('content-length', String(body.length))
  return new Request(url.origin + path + url.search, { method: 'POST', headers, body: body as BodyInit })
}

/** What keeps work alive after the answer; hosts without one need none. */
function contextOf(c: Context) {
  try {
    return c.executionCtx
  } catch {
    return undefined
  }
}
