// Services that are paid by the call: no tokens, one price for each route. Any of them is configuration alone; an
// operation that is not configured is refused. Pure.

import { z } from 'zod'
import { factsOf, type GatewayError, isRefusal } from '../errors.ts'
import { nanoUsdOfUsd } from '../pricing/money.ts'
import { type Price, priceWithoutTokens } from '../pricing/price.ts'
import { MAYBE_BILLED, NO_USAGE, PLAIN_BOUND, UNREAD } from './answer.ts'
import { readBearer, withQuery } from './bearer.ts'
import { baseUrl, forwardedHeader, headerName, providerName } from './configured-fields.ts'
import type { AnswerHead, Asked, Bound, Dialect, Meter, Operation } from './dialect.ts'
import { refusal, statusOf } from './refusals.ts'
import { sseError } from './sse.ts'

const NAME = /^[a-z][a-z0-9_-]{0,39}$/
/** Headers that carry something else, or belong to one hop. */
const NO_CREDENTIAL =
  /^(accept.*|connection|content-.*|cookie|host|te|trailer|transfer-encoding|upgrade|x-tollgate-.*)$/
/**
 * Segments are literals, or parameters as Hono writes them. One of Hono's routers takes a colon inside a literal for a
 * parameter, so `things:search` is written `:verb{things:search}`. Other patterns could match more than their segment.
 */
const PATH = /^(\/([\w.~-]+|:[a-z]\w*(\{[\w:-]+\})?))+$/i

const routeSchema = z.strictObject({
  /** Stable: the operation in events, and the model in the price book. */
  name: z.string().regex(NAME, 'must be lower case letters, digits, - and _, beginning with a letter'),
  method: z.enum(['GET', 'POST', 'DELETE']),
  path: z.string().max(500).regex(PATH, 'must be a path such as /v1/things/:id, without * and query'),
  usd_per_request: z.number().min(0).max(1_000),
  takes: z.enum(['json', 'form']).default('json'),
})

/**
 * A service: `{ provider, base_url, credential_header, routes: [{ name, method, path, usd_per_request }] }`. The client
 * sends its Tollgate key where the service wants its own: in that header, or in the query where `credential_query` says.
 */
export const perCallServiceSchema = z
  .strictObject({
    /** Name in paths (`/geocoder/...`), events and the price book. */
    provider: providerName,
    base_url: baseUrl,
    credential_header: headerName.refine((name) => !NO_CREDENTIAL.test(name), 'cannot carry a credential'),
    /** What precedes the credential in its header. */
    credential_scheme: z.enum(['', 'Bearer']).default(''),
    credential_query: z.string().min(1).max(64).optional(),
    /** Headers of the client that reach the service beside the content's own. */
    forwarded_headers: z.array(forwardedHeader).default([]),
    routes: z.array(routeSchema).min(1, 'must have at least one route'),
  })
  .superRefine(({ routes }, context) => {
    const names = routes.map(({ name }) => name)
    refuseRepeated(names, (at) => ['routes', at, 'name'], context)
    for (const [at, route] of routes.entries()) {
      const earlier = routes.slice(0, at).find((one) => takesAllOf(one, route))
      const path = ['routes', at, 'path']
      if (earlier) context.addIssue({ code: 'custom', path, message: `is never reached, behind ${earlier.path}` })
    }
  })

/** What an operator writes. */
export type PerCallConfig = z.input<typeof perCallServiceSchema>
export type PerCallService = z.output<typeof perCallServiceSchema>

/** For `config.ts`: a list of services, each with a name of its own. */
export const perCallServicesSchema = z.array(perCallServiceSchema).superRefine((services, context) => {
  const names = services.map(({ provider }) => provider)
  refuseRepeated(names, (at) => [at, 'provider'], context)
})

function refuseRepeated(keys: string[], pathOf: (at: number) => PropertyKey[], context: z.RefinementCtx): void {
  for (const [at, key] of keys.entries()) {
    if (keys.indexOf(key) < at) context.addIssue({ code: 'custom', path: pathOf(at), message: 'is used twice' })
  }
}

/** Whether the earlier route, which Hono finds first, would take every call of the later one, and charge its own price. */
function takesAllOf(earlier: Pick<Operation, 'method' | 'path'>, later: Pick<Operation, 'method' | 'path'>): boolean {
  const [taken, asked] = [textsOf(earlier.path), textsOf(later.path)]
  const isSameLength = earlier.method === later.method && taken.length === asked.length
  return isSameLength && taken.every((text, at) => text === null || text === asked[at])
}

/** What each segment must be; null for a parameter, which takes any. */
function textsOf(path: string): (string | null)[] {
  return path
    .split('/')
    .map((segment) => (segment.startsWith(':') ? (/\{(.+)\}$/.exec(segment)?.[1] ?? null) : segment))
}

export function perCallDialect(service: PerCallService): Dialect {
  const { provider, credential_header, credential_query, credential_scheme } = service
  const inHeader = (headers: Headers) => {
    const value = headers.get(credential_header)?.trim() ?? null
    return value?.replace(/^bearer +/i, '') || readBearer(headers)
  }
  return {
    provider,
    operations: service.routes.map(({ name, method, path, takes }) =>
      perCallOperation({ name, method, path, takes }, () => name),
    ),
    request_id_header: 'x-request-id',
    // One that is also named there is not: it brings the client's own credential, of whichever kind.
    forwarded_headers: ['content-type', 'accept', 'user-agent', ...service.forwarded_headers].filter(
      (name) => name !== credential_header,
    ),
    own_key_headers: [],
    readCredential: (headers, url) =>
      credential_query ? withQuery(inHeader(headers), url, credential_query) : inHeader(headers),
    ...(credential_query !== undefined && { credential_query }),
    setCredential(headers, credential) {
      headers.delete('authorization')
      headers.set(credential_header, credential_scheme ? `${credential_scheme} ${credential}` : credential)
    },
    errorResponse: (error, request_id, cap_status) =>
      refusal(error, statusOf(error, cap_status), wireError(error), { 'x-request-id': request_id }),
    streamError: (error) => sseError(wireError(error)),
    maxOutputTokens: () => null,
  }
}

/** Prices that the configuration brings, for the price book to ask before its catalogue and after an admin's own. */
export function perCallPrices(
  services: readonly PerCallService[],
): (provider: string, model: string) => Price | undefined {
  const prices = new Map<string, Price>()
  for (const { provider, routes } of services) {
    for (const { name, usd_per_request } of routes) {
      prices.set(
        `${provider} ${name}`,
        priceWithoutTokens({
          priced_as: name,
          price_source: 'configuration',
          request_nano_usd: nanoUsdOfUsd(usd_per_request),
        }),
      )
    }
  }
  return (provider, model) => prices.get(`${provider} ${model}`)
}

/** An operation that uses no tokens. `modelOf` gives the name under which the price book has its price. */
export function perCallOperation(
  route: Pick<Operation, 'name' | 'method' | 'path' | 'takes'>,
  modelOf: (asked: Asked) => string | GatewayError,
): Operation {
  return {
    ...route,
    readBound(asked): Bound | GatewayError {
      const model = modelOf(asked)
      if (isRefusal(model)) return model
      return { ...PLAIN_BOUND, model, stream: false, input_tokens: 0, output: null }
    },
    meter: () => meterCall,
  }
}

/** A call that was answered costs its price, whatever its bytes say; one that was refused costs nothing. */
function meterCall({ status }: AnswerHead): Meter {
  const isUsed = status < 400 || MAYBE_BILLED.has(status)
  return {
    push() {},
    end: () => ({ ...UNREAD, usage: isUsed ? NO_USAGE : null, complete: status < 400, may_hide_output: false }),
  }
}

const wireError = (error: GatewayError) => ({
  error: { code: error.code, message: error.message, ...factsOf(error) },
})
