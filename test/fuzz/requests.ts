// Whole requests to fuzz with: a route, and then what may go wrong with each part of a request. Pure.

import fc from 'fast-check'
import { bodiesOf, formsOf } from './bodies.ts'
import { anyBytes, type Content, nearlyCsv, nearlyForm } from './content.ts'
import { nearly, oddValue } from './json.ts'
import { pathOf, wrongId } from './paths.ts'
import type { Route } from './product.ts'

export interface FuzzRequest {
  /** What it was made from: `POST /admin/users`. */
  route: string
  kind: Route['kind']
  method: string
  path: string
  headers: [name: string, value: string][]
  /** True where the credential opens this route. */
  may_enter: boolean
  body: string | null
  /** `latin1`: one byte per character. */
  encoding: 'utf8' | 'latin1'
  /** `cut`: fewer bytes than announced, then the connection ends. */
  framing: 'length' | 'chunked' | 'cut'
}

const usually = <T>(value: T, otherwise: fc.Arbitrary<T>, weight = 12): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: otherwise })

/** Users' credentials do not open /admin, and the admin's opens nothing else. See pool.ts. */
const CALLERS = [
  ...Array.from({ length: 4 }, (_, n) => `@caller${n}`),
  ...Array.from({ length: 4 }, (_, n) => `@counted${n}`),
  ...['@poor0', '@clay0', '@clay1'],
]
const goodKey = fc.constantFrom(...CALLERS.map((name) => `${name}.secret`), '@jwt')
const badSecret = fc.oneof(
  fc.constantFrom('', 'tg_', 'tg_AAAA', 'x'.repeat(9_000), 'a.b.c', 'e30.e30.', 'sk-own', '@caller0', '@badjwt', 'é'),
  fc.constantFrom(...CALLERS).map((name) => `${name}.secretx`),
  fc.string({ maxLength: 60 }),
)

interface Credential {
  headers: [string, string][]
  query: string
  good: boolean
}
const inHeader = (name: string, secret: string, good: boolean): Credential => {
  return { headers: [[name, name === 'authorization' ? `Bearer ${secret}` : secret]], query: '', good }
}
/** As the fake provider knows them. */
const OWN_KEYS: Partial<Record<Route['kind'], string>> = {
  anthropic: 'sk-ant-own',
  bedrock: 'bedrock-api-key-own',
  google: 'goog-own',
  per_call: 'things-fake',
}

function credential({ kind, credentials }: Route): fc.Arbitrary<Credential> {
  if (kind === 'open') return fc.constant({ headers: [], query: '', good: true })
  const header = fc.constantFrom('authorization', 'x-api-key', 'x-tollgate-key', 'api-key', 'x-goog-api-key')
  const bad = fc.oneof(
    fc.tuple(header, fc.oneof(badSecret, fc.constant('Basic YTpi'))).map(([name, value]): Credential => {
      return { headers: [[name, value]], query: '', good: false }
    }),
    badSecret.map((secret) => inHeader('authorization', secret, false)),
    badSecret.map((secret): Credential => {
      return { headers: [], query: `key=${encodeURIComponent(secret.toWellFormed())}`, good: false }
    }),
    fc.constant<Credential>({ headers: [], query: '', good: false }),
    fc.constant(inHeader('authorization', kind === 'admin' ? '@caller0.secret' : '@admin', false)),
  )
  if (kind === 'admin') return usually(inHeader('authorization', '@admin', true), bad)
  const place = fc.constantFrom('x-tollgate-key', 'beside', ...credentials, ...credentials, ...credentials)
  const placed = fc.tuple(goodKey, place).map(([key, place]): Credential => {
    if (place.startsWith('?')) return { headers: [], query: `${place.slice(1)}=${key}`, good: true }
    if (place !== 'beside') return inHeader(place, key, true)
    const own = inHeader(credentials[0]?.replace(/^\?.*/, '') || 'authorization', OWN_KEYS[kind] ?? 'sk-own', true)
    return { ...own, headers: [['x-tollgate-key', key], ...own.headers] }
  })
  return fc.oneof({ weight: 10, arbitrary: placed }, { weight: 1, arbitrary: bad })
}

const headerValue = fc
  .oneof(
    oddValue.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))),
    fc.string(),
  )
  .map((value) => value.slice(0, 3_000).replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, '?'))
const junkHeader = fc.oneof(
  fc.tuple(
    fc.constantFrom('job-id', 'batch-id', 'session-id', 'metadata', 'nonsense').map((name) => `x-tollgate-${name}`),
    fc.oneof(fc.constantFrom('job-1', '{"a":1}', '{"a":"\\u0000"}', '{"a":1e999}', '{"a":1,"a":2}'), headerValue),
  ),
  fc.tuple(
    fc.constantFrom('accept', 'content-encoding', 'x-request-id', 'expect-ct', 'accept-encoding', 'origin', 'cookie'),
    headerValue,
  ),
  fc.tuple(
    fc.constantFrom('anthropic-version', 'anthropic-beta', 'openai-beta', 'openai-organization', 'user-agent', 'range'),
    headerValue,
  ),
  fc.tuple(
    fc.constantFrom(
      'x-goog-fieldmask',
      'x-amzn-bedrock-guardrailidentifier',
      'x-amzn-bedrock-service-tier',
      'x-amz-date',
    ),
    headerValue,
  ),
  fc.constantFrom<[string, string]>(
    ['x-http-method-override', 'DELETE'],
    ['if-match', '*'],
    ['content-encoding', 'gzip'],
    ['x-forwarded-host', 'evil.example'],
    ['host', '['],
    ['host', 'a.example, b.example'],
    ['access-control-request-method', 'POST'],
    ['anthropic-version', '2023-06-01'],
  ),
)
const oddType = fc.constantFrom(
  ...['', 'text/plain', 'application/json; charset=utf-8', 'application/json;charset=utf-16', 'APPLICATION/JSON'],
  ...['application/x-www-form-urlencoded', 'multipart/form-data', 'multipart/form-data; boundary=x', 'json', ';'],
  ...['application/json', 'text/csv'],
)
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE']

const queryValue = fc.oneof(
  fc.constantFrom('10', '1', '100', '0', '101', '1e1', '0x10', 'NaN', '', '2026-01-01T00:00:00Z', '@clay0', '@cursor'),
  fc.constantFrom('settled', 'active', 'openai', '%00', '%ff', '%', '+', '275760-09-13T00:00:00Z', 'sse', 'json'),
  oddValue.map((value) => encodeURIComponent(String(JSON.stringify(value)).toWellFormed().slice(0, 500))),
)
/** Of providers' routes, which no document names. */
const PROVIDER_QUERY = ['alt', '$alt', 'fields', '$httpMethod', 'limit', 'after', 'stream', 'include[]', 'beta']

/** Without its question mark. */
function queryOf({ operation, query, needed_query, credentials }: Route): fc.Arbitrary<string> {
  // The fake provider takes a key in the query for one of Google's.
  const keys = credentials.flatMap((place) => (place.startsWith('?') ? place.slice(1) : []))
  const own = operation ? [...PROVIDER_QUERY, ...keys] : [...query, ...needed_query].map(([name]) => name)
  const good = fc.constantFrom<[string, string]>(...(query.length > 0 ? query : [['alt', 'sse'] as [string, string]]))
  const odd = fc.tuple(fc.constantFrom(...own, ...own, 'nonsense', 'a[b]', '__proto__'), queryValue)
  const optional = usually<[string, string][]>(
    [],
    fc.array(fc.oneof(odd, good), { minLength: 1, maxLength: 3 }),
    query.length > 0 ? 2 : 15,
  )
  return fc.tuple(usually(needed_query, fc.constant<[string, string][]>([]), 15), optional).map((pairs) =>
    pairs
      .flat()
      .map((pair) => pair.join('='))
      .join('&'),
  )
}

const JSON_TYPE = 'application/json'
type Body = Content & Pick<FuzzRequest, 'encoding'>
const latin1 = (content: Content): Body => ({ ...content, encoding: 'latin1' })

function bodyOf(route: Route): fc.Arbitrary<Body | null> {
  const json = fc
    .constantFrom(...bodiesOf(route))
    .chain(nearly)
    .map((bytes): Body => ({ type: JSON_TYPE, bytes, encoding: 'utf8' }))
  const form = nearlyForm(formsOf(route)).map(latin1)
  const of = { json, form, csv: nearlyCsv.map(latin1) }
  const wrong = fc.oneof(of.json, of.form, of.csv, anyBytes.map(latin1), fc.constant(null))
  if (!route.takes) return usually<Body | null>(null, wrong, 15)
  return fc.oneof({ weight: 30, arbitrary: of[route.takes] }, { weight: 2, arbitrary: wrong })
}

/** What a route needs beside its credential and its content. */
const NEEDED: Partial<Record<Route['kind'], [string, string]>> = {
  anthropic: ['anthropic-version', '2023-06-01'],
  google: ['x-goog-fieldmask', 'places.id,id'],
}

export function requestsTo(routes: Route[]): fc.Arbitrary<FuzzRequest> {
  // Routes that take a body come up twice as often, because they can go wrong in more ways.
  return fc.constantFrom(...routes, ...routes.filter(({ takes }) => takes !== null)).chain(requestTo)
}

function requestTo(route: Route): fc.Arbitrary<FuzzRequest> {
  return fc
    .record({
      credential: credential(route),
      method: usually(route.method, fc.constantFrom(...METHODS), 25),
      path: pathOf(route),
      tail: usually('', fc.oneof(fc.constantFrom('/', '//', '/..', '/x', '%2f', ';a', '\\'), wrongId), 40),
      query: queryOf(route),
      junk: usually<[string, string][]>([], fc.array(junkHeader, { minLength: 1, maxLength: 3 }), 2),
      type: usually<string | null>(null, oddType, 20),
      needed: usually(true, fc.constant(false), 30),
      body: bodyOf(route),
      framing: fc.constantFrom<FuzzRequest['framing']>(...Array(16).fill('length'), ...Array(4).fill('chunked'), 'cut'),
    })
    .map(({ credential, method, path, tail, query, junk, type, needed, body, framing }) => {
      const queries = [credential.query, query].filter(Boolean).join('&')
      const extra = NEEDED[route.kind]
      return {
        route: `${route.method} ${route.path}`,
        kind: route.kind,
        method,
        path: path + tail + (queries && `?${queries}`),
        headers: [
          ...credential.headers,
          ...header('content-type', body === null ? '' : (type ?? body.type)),
          ...(extra && needed ? [extra] : []),
          ...junk,
        ],
        may_enter: credential.good,
        body: method === 'TRACE' || method === 'HEAD' ? null : (body?.bytes ?? null),
        encoding: body?.encoding ?? 'utf8',
        framing,
      }
    })
}

const header = (name: string, value: string): [string, string][] => (value === '' ? [] : [[name, value]])
