// parse and quote: from a request to a call with an upper bound and a price. Refuses whatever cannot be metered, before
// anything is held or forwarded.

import type { Context, MiddlewareHandler } from 'hono'
import { timingSafeEqual } from 'hono/utils/buffer'
import type { JwtVerifier } from '../auth/jwt.ts'
import { holdsKey } from '../auth/keys.ts'
import type { Config } from '../config.ts'
import { accepted, GatewayFault } from '../fault.ts'
import { isGoodJwt } from '../middleware/authenticate.ts'
import type { PriceBook } from '../pricing/price-book.ts'
import { CREDENTIAL } from '../providers/configured-fields.ts'
import type { Asked, Dialect, JsonObject, Operation, Upstream } from '../providers/dialect.ts'
import { readModel } from '../providers/fields.ts'
import { type JsonBody, parseJsonBody } from '../providers/json-body.ts'
import { urlOf } from '../request-url.ts'
import type { Call, GatewayEnv } from './call.ts'
import { readCallHeaders } from './call-headers.ts'
import { readForm } from './form-body.ts'
import { quote } from './quote.ts'
import { readBody } from './request-body.ts'
import { forwardedOf } from './upstream-request.ts'

export interface ParseOptions {
  dialect: Dialect
  operation: Operation
  prices: PriceBook
  config: Config
  upstream: Upstream
  jwt: JwtVerifier | null
}

/** Sets `c.var.call`. @throws {GatewayFault} naming the field or header at fault. */
export function parse(options: ParseOptions): MiddlewareHandler<GatewayEnv> {
  return async function parse(c, next) {
    c.set('call', await readCall(c, options))
    await next()
  }
}

async function readCall(c: Context<GatewayEnv>, options: ParseOptions): Promise<Call> {
  const { dialect, operation, config, upstream, jwt } = options
  const started_at = Date.now()
  const { caller } = c.var
  const request = c.req.raw
  const url = asSent(request, c.req.path, dialect)
  const sent = [...request.headers]
  const labels = accepted(readCallHeaders(sent))
  const credential = await credentialOf(c, dialect, upstream, config)
  if (dialect.credential_query && url.search) url.searchParams.delete(dialect.credential_query)
  const headers = forwardedOf(dialect, sent, caller.brings_own_key)
  for (const [name, value] of headers) await refuseCredentialIn(`header ${name}`, jwt, value)
  const params: Record<string, string> = c.req.param()
  await refuseCredentialIn('path', jwt, ...Object.values(params))
  await refuseCredentialIn('query', jwt, ...[...url.searchParams].flat())
  const { bytes, json, value } = await readContent(request, operation)
  const asked: Asked = {
    body: value,
    bytes: bytes?.length ?? 0,
    params,
    query: url.searchParams,
    headers: request.headers,
  }
  const refusal = operation.refuse?.(asked)
  if (refusal) throw new GatewayFault(refusal)
  const quoted = await quoteCall(asked, options)
  const { bound } = quoted
  const request_model = bound ? bound.model : modelOf(value)
  await refuseCredentialIn('model', jwt, request_model ?? '')
  return {
    started_at,
    target: operation.target ?? targetOf(url, dialect),
    asked,
    bytes,
    json,
    headers,
    credential,
    ...quoted,
    draft: {
      user_id: caller.user_id,
      key_id: caller.key_id,
      provider: dialect.provider,
      operation: operation.name,
      method: request.method,
      path: c.req.path.slice(0, MAX_PATH_LENGTH),
      request_model,
      stream: bound?.stream ?? false,
      brings_own_key: caller.brings_own_key,
      ...labels,
    },
  }
}

/** The credential that goes to the provider: the caller's own where it brings one. */
async function credentialOf(
  { req, var: { caller } }: Context<GatewayEnv>,
  dialect: Dialect,
  upstream: Upstream,
  { ADMIN_TOKEN }: Config,
): Promise<string> {
  const { headers, url } = req.raw
  const credential = caller.brings_own_key ? dialect.readCredential(headers, url) : upstream.credential
  if (!credential) {
    const message = `No API key for ${dialect.provider} is configured here. Bring yours beside x-tollgate-key.`
    throw new GatewayFault({ code: 'not_configured', message })
  }
  if (caller.brings_own_key && (await timingSafeEqual(credential, ADMIN_TOKEN))) {
    const message = 'The admin token was sent beside x-tollgate-key, where the provider would see it.'
    throw new GatewayFault({ code: 'invalid_header', message })
  }
  if (!CREDENTIAL.test(credential)) {
    const message = 'The provider key beside x-tollgate-key has characters that no header can carry.'
    throw new GatewayFault({ code: 'invalid_header', message })
  }
  return credential
}

/** The provider would log it, and of a path and a model the event would keep it. */
async function refuseCredentialIn(
  part: `header ${string}` | 'path' | 'query' | 'model',
  jwt: JwtVerifier | null,
  ...texts: string[]
): Promise<void> {
  const refuse = (what: string) => {
    const message = `The ${part} has ${what}, which the provider would see. Send it only where the client sends its API key.`
    throw new GatewayFault({ code: 'invalid_request', message })
  }
  if (texts.some(holdsKey)) refuse('a Tollgate key')
  if (jwt === null) return
  for (const word of texts.flatMap((text) => text.split(/[^\w.-]+/)))
    if (await isGoodJwt(jwt, word)) refuse('a JWT for Tollgate')
}

interface Content {
  bytes: Uint8Array | null
  json: JsonBody | null
  value: JsonObject
}

async function readContent(request: Request, operation: Operation): Promise<Content> {
  if (operation.method !== 'POST' || carriesNothing(request, operation)) return { bytes: null, json: null, value: {} }
  const bytes = accepted(await readBody(request, operation))
  if (operation.takes === 'form') {
    const content_type = request.headers.get('content-type') ?? ''
    return { bytes, json: null, value: accepted(readForm(bytes, content_type)).fields }
  }
  const json = accepted(parseJsonBody(bytes))
  return { bytes, json, value: json.value }
}

/** True for a POST without a body, such as a cancellation, which Python's clients call JSON all the same. */
function carriesNothing({ headers, body }: Request, { readBound }: Operation): boolean {
  const isEmpty = body === null || headers.get('content-length') === '0'
  return isEmpty && (readBound === null || headers.get('content-type') === null)
}

type QuotedCall = Pick<Call, 'bound' | 'price' | 'are_prices_known' | 'output_defaults' | 'quote'>

async function quoteCall(asked: Asked, { dialect, operation, prices, config }: ParseOptions): Promise<QuotedCall> {
  const bound = operation.readBound ? accepted(operation.readBound(asked)) : null
  const found = bound?.model ? await prices.explain(dialect.provider, bound.model) : null
  const price = found?.price ?? null
  const output_defaults = {
    default_max_output_tokens: config.DEFAULT_MAX_OUTPUT_TOKENS ?? null,
    model_max_output_tokens: bound?.model ? dialect.maxOutputTokens(bound.model) : null,
  }
  return {
    bound,
    price,
    are_prices_known: found?.source !== 'overrides_unknown',
    output_defaults,
    quote: quote(bound, price, output_defaults),
  }
}

function targetOf({ pathname, search }: URL, { provider, optional_prefix = '' }: Dialect): string {
  const below = pathname.slice(provider.length + 1)
  return (below.startsWith(`${optional_prefix}/`) ? below.slice(optional_prefix.length) : below) + search
}

/** Unmetered calls may name a model too; whatever it is, it goes into the event. */
function modelOf(body: JsonObject): string | null {
  return (body.model ?? null) === null ? null : accepted(readModel(body))
}

/** What an event keeps of a path. */
const MAX_PATH_LENGTH = 500

const PATH_AS_SENT = /^[a-z]+:\/\/[^/]*([^?#]*)/i
/** A separator in disguise: the provider may see two segments where the router saw one. */
const ENCODED_SLASH = /%2f/i
/**
 * More of them, in no dialect's ids: to Java `..;x` is `..`, `;x` nothing. What is decoded twice may come from `%252f`, or from a
 * percent sign that begins no escape (`%2%66`). And to Hono `/v1/files/:id` is the parameter and a literal, too: the call would
 * be run twice, or pass by the parameter's pattern.
 */
const TRICK = /%(5c|25|00|(?![\da-f]{2}))|\/((\.|%2e){0,2};|:)/i

/**
 * The URL, if its path is still as it was sent. The router matched the path as sent, decoded; the URL parser resolves `..`,
 * `%2e` and backslashes. Where the two differ,
 *
 * - `/openai/v1/models/..\files` would reach the provider as another operation,
 * - what is left of `/%6Fpenai/` or `..\..\..\xxxxxx.evil.example` would end in the upstream's host, with the credential,
 * - the `/%6Fpenai/` of `/groq/%6Fpenai/v1` would end in its path.
 */
function asSent(request: Request, routed: string, { provider, optional_prefix = '', encoded_slashes }: Dialect): URL {
  const url = urlOf(request)
  const { pathname } = url
  const optional = `/${provider}${optional_prefix}/`
  const isPrefixLiteral =
    pathname.startsWith(`/${provider}/`) && routed.startsWith(optional) === pathname.startsWith(optional)
  const isLiteral = PATH_AS_SENT.exec(request.url)?.[1] === pathname && isPrefixLiteral
  if (!isLiteral || TRICK.test(pathname) || (!encoded_slashes && ENCODED_SLASH.test(pathname))) {
    throw new GatewayFault({ code: 'not_found', message: `There is no ${pathname} here.` })
  }
  return url
}
