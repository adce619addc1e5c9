// parse and quote: from a request to a call with an upper bound and a price. Refuses whatever cannot be metered, before
// anything is held or forwarded.

import type { Context, MiddlewareHandler } from 'hono'
import type { Config } from '../config.ts'
import { accepted, GatewayFault } from '../errors.ts'
import type { PriceBook } from '../pricing/price-book.ts'
import type { Dialect, Operation } from '../providers/dialect.ts'
import { isRefusal, readModel } from '../providers/fields.ts'
import type { Call, GatewayEnv } from './call.ts'
import { readCallHeaders } from './call-headers.ts'
import type { Upstream } from './gateway.ts'
import { type JsonBody, parseJsonBody } from './json-body.ts'
import { quote } from './quote.ts'
import { readJsonBytes } from './request-body.ts'

export interface ParseOptions {
  dialect: Dialect
  operation: Operation
  prices: PriceBook
  config: Config
  upstream: Upstream
}

/** Sets `c.var.call`. @throws {GatewayFault} naming the field or header at fault. */
export function parse(options: ParseOptions): MiddlewareHandler<GatewayEnv> {
  return async function parse(c, next) {
    c.set('call', await readCall(c, options))
    await next()
  }
}

async function readCall(
  c: Context<GatewayEnv>,
  { dialect, operation, prices, config, upstream }: ParseOptions,
): Promise<Call> {
  const started_at = Date.now()
  const { caller } = c.var
  const request = c.req.raw
  const target = targetOf(request.url, dialect.provider)
  const headers = accepted(readCallHeaders(request.headers))
  const credential = caller.brings_own_key ? dialect.readCredential(request.headers) : upstream.credential
  if (!credential) {
    const message = `No API key for ${dialect.provider} is configured here. Bring yours beside x-tollgate-key.`
    throw new GatewayFault({ code: 'not_configured', message })
  }

  const body = operation.method === 'POST' ? await readBody(request) : null
  const bound = body && operation.readBound ? accepted(operation.readBound(body.value, body.bytes.length)) : null
  const price = bound?.model ? await prices.find(dialect.provider, bound.model) : null
  // Unmetered calls may name a model too; whatever it is, it goes into the event.
  const model = body?.value.model === undefined ? null : readModel(body.value)
  if (isRefusal(model)) throw new GatewayFault(model)
  return {
    started_at,
    target,
    body,
    bound,
    price,
    quote: quote(bound, price, {
      default_max_output_tokens: config.DEFAULT_MAX_OUTPUT_TOKENS ?? null,
      model_max_output_tokens: bound?.model ? dialect.maxOutputTokens(bound.model) : null,
    }),
    credential,
    draft: {
      user_id: caller.user_id,
      key_id: caller.key_id,
      provider: dialect.provider,
      operation: operation.name,
      method: request.method,
      path: c.req.path.slice(0, MAX_PATH_LENGTH),
      request_model: model,
      stream: bound?.stream ?? false,
      ...headers,
    },
  }
}

async function readBody(request: Request): Promise<JsonBody> {
  return accepted(parseJsonBody(accepted(await readJsonBytes(request))))
}

/** What an event keeps of a path. */
const MAX_PATH_LENGTH = 500

const PATH_AS_SENT = /^[a-z]+:\/\/[^/]*([^?#]*)/i
/** Separators in disguise: the provider may see two segments where the router saw one. */
const ENCODED_SEPARATOR = /%(2f|5c|25|00)/i

/**
 * What is below the provider's prefix, as it came. The router matched the path as it was sent and decoded; the URL parser
 * resolves `..`, `%2e` and backslashes. Where the two differ, `/openai/v1/models/..\files` would reach the provider as
 * another operation, and what is left of `/%6Fpenai/` or of `..\..\..\xxxxxx.evil.example` would end in the upstream's
 * host, with the credential.
 */
function targetOf(url: string, provider: string): string {
  // Two hosts, say: workerd builds the URL of whatever was sent.
  if (!URL.canParse(url)) {
    throw new GatewayFault({ code: 'invalid_header', message: 'host is not valid.', field: 'host' })
  }
  const { pathname, search } = new URL(url)
  const prefix = `/${provider}`
  const isLiteral = PATH_AS_SENT.exec(url)?.[1] === pathname && pathname.startsWith(`${prefix}/`)
  if (!isLiteral || ENCODED_SEPARATOR.test(pathname)) {
    throw new GatewayFault({ code: 'not_found', message: `There is no ${pathname} here.` })
  }
  return pathname.slice(prefix.length) + search
}
