// Whole requests to fuzz with: a route, and then what may go wrong with each part of a request. Pure.

import fc from 'fast-check'
import { nearly, oddValue } from './json.ts'
import { ROUTES, type Route } from './routes.ts'

export interface FuzzRequest {
  /** What it was made from: `POST /admin/users`. */
  route: string
  surface: Route['surface']
  method: string
  path: string
  headers: [name: string, value: string][]
  /** True where the credential opens this surface. */
  may_enter: boolean
  body: string | null
  /** `cut`: fewer bytes than announced, then the connection ends. */
  framing: 'length' | 'chunked' | 'cut'
}

const usually = <T>(value: T, otherwise: fc.Arbitrary<T>, weight = 12): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: otherwise })

/** No credential of a user's opens /admin, and not the other way round. */
const GOOD = [
  '@caller0',
  '@caller1',
  '@caller2',
  '@caller3',
  '@caller4',
  '@caller5',
  '@poor0',
  '@poor1',
  '@clay0',
  '@clay1',
]
const goodKey = fc.constantFrom(...GOOD.map((name) => `${name}.secret`), '@jwt')
const badSecret = fc.oneof(
  fc.constantFrom('', 'tg_', 'tg_AAAA', 'x'.repeat(9_000), 'a.b.c', 'e30.e30.', 'sk-own', '@caller0', '@badjwt', 'é'),
  fc.constantFrom(...GOOD).map((name) => `${name}.secretx`),
  fc.string({ maxLength: 60 }),
)

interface Credential {
  headers: [string, string][]
  good: boolean
}
const credential = (surface: Route['surface']): fc.Arbitrary<Credential> => {
  const bearer = (secret: string, good: boolean): Credential => ({
    headers: [['authorization', `Bearer ${secret}`]],
    good,
  })
  const header = fc.constantFrom('authorization', 'x-api-key', 'x-tollgate-key', 'api-key')
  const bad = fc.oneof(
    fc.tuple(header, fc.oneof(badSecret, fc.constant('Basic YTpi'))).map(([name, value]): Credential => {
      return { headers: [[name, value]], good: false }
    }),
    badSecret.map((secret) => bearer(secret, false)),
    fc.constant<Credential>({ headers: [], good: false }),
    fc.constant(bearer(surface === 'admin' ? '@caller0.secret' : '@admin', false)),
  )
  if (surface === 'open') return fc.constant({ headers: [], good: true })
  if (surface === 'admin') return usually(bearer('@admin', true), bad)
  const placed = fc.tuple(goodKey, fc.constantFrom('bearer', 'own', 'x-api-key', 'beside')).map(([key, place]) => {
    if (place === 'own') return { headers: [['x-tollgate-key', key]], good: true } satisfies Credential
    if (place === 'x-api-key' && surface !== 'openai')
      return { headers: [['x-api-key', key]], good: true } satisfies Credential
    if (place === 'beside')
      return {
        headers: [
          ['x-tollgate-key', key],
          ['authorization', 'Bearer sk-own'],
        ],
        good: true,
      } satisfies Credential
    return bearer(key, true)
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
  fc.constantFrom<[string, string]>(
    ['x-http-method-override', 'DELETE'],
    ['if-match', '*'],
    ['content-encoding', 'gzip'],
    ['x-forwarded-host', 'evil.example'],
    ['access-control-request-method', 'POST'],
    ['anthropic-version', '2023-06-01'],
  ),
)
const contentType = usually(
  'application/json',
  fc.constantFrom(
    ...['', 'text/plain', 'application/json; charset=utf-8', 'application/json;charset=utf-16', 'APPLICATION/JSON'],
    ...['application/x-www-form-urlencoded', 'multipart/form-data', 'multipart/form-data; boundary=x', 'json', ';'],
  ),
)
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE']

const hexId = fc.uuid()
const wrongId = fc.oneof(
  hexId,
  fc.constantFrom('0', '%00', '..', '%2e%2e', 'x', '%F0%9F%98%80', '%ff', '%', '%E0%A4%A', 'status', "'--", '[]', '*'),
  oddValue.map((value) => encodeURIComponent(String(JSON.stringify(value)).toWellFormed().slice(0, 300))),
)
const clay = fc.nat(5).map((n) => `@clay${n}`)
const PLACES: Record<string, fc.Arbitrary<string>> = {
  user: fc.oneof({ weight: 8, arbitrary: clay }, { weight: 1, arbitrary: wrongId }),
  spare: fc.oneof(
    fc.nat(10_000).map((n) => `@spare${n}`),
    wrongId,
  ),
  model: fc.oneof(fc.constantFrom('gpt-4o', 'claude-sonnet-4-5-20250929', 'ft:gpt-4o:a::b', 'a%2Fb'), wrongId),
  type: usually('weekly', fc.oneof(fc.constantFrom('hourly', 'daily', 'monthly', 'total'), wrongId), 2),
}

/** Ids of a user's keys and caps are mostly that user's own, sometimes another's. */
function pathOf(pattern: string): fc.Arbitrary<string> {
  const names = pattern.match(/(?<=:)\w+/g) ?? []
  const parts = names.map((name) => PLACES[name] ?? usually('own', fc.oneof(clay, wrongId), 4))
  return fc.tuple(...parts).map((values) =>
    names.reduce((path, name, i) => {
      const value = values[i] ?? ''
      if (name !== 'key' && name !== 'cap') return path.replace(`:${name}`, () => value)
      const owner = value === 'own' ? values[0] : value
      return path.replace(`:${name}`, () => (owner?.startsWith('@clay') ? `${owner}.${name}` : String(owner)))
    }, pattern),
  )
}

const queryValue = fc.oneof(
  fc.constantFrom('10', '1', '100', '0', '101', '1e1', '0x10', 'NaN', '', '2026-01-01T00:00:00Z', '@clay0', '@cursor'),
  fc.constantFrom(
    'settled',
    'active',
    'openai',
    '%00',
    '%ff',
    '%',
    '+',
    '275760-09-13T00:00:00Z',
    '9999-12-31T23:59:59.999Z',
  ),
  oddValue.map((value) => encodeURIComponent(String(JSON.stringify(value)).toWellFormed().slice(0, 500))),
)
function queryOf(route: Route): fc.Arbitrary<string> {
  const name = fc.constantFrom(...(route.query ?? []), ...(route.query ?? []), 'nonsense', 'a[b]', '__proto__')
  const pairs = fc.array(fc.tuple(name, queryValue), { minLength: 1, maxLength: 3 })
  const query = pairs.map((list) => `?${list.map((pair) => pair.join('=')).join('&')}`)
  return usually('', query, route.query ? 1 : 15)
}

export const anyRequest: fc.Arbitrary<FuzzRequest> = fc
  .constantFrom(...ROUTES, ...ROUTES.filter(({ surface }) => surface === 'openai' || surface === 'anthropic'))
  .chain(requestTo)

function requestTo(route: Route): fc.Arbitrary<FuzzRequest> {
  const body = route.bodies
    ? usually<string | null>('', fc.constant(null), 30).chain((given) =>
        given === null ? fc.constant(null) : fc.constantFrom(...(route.bodies ?? [])).chain(nearly),
      )
    : usually<string | null>(
        null,
        oddValue.map((value) => JSON.stringify(value)),
        15,
      )
  return fc
    .record({
      credential: credential(route.surface),
      method: usually(route.method, fc.constantFrom(...METHODS), 25),
      path: pathOf(route.path),
      tail: usually('', fc.oneof(fc.constantFrom('/', '//', '/..', '/x', '%2f', ';a', '\\'), wrongId), 40),
      query: queryOf(route),
      junk: usually<[string, string][]>([], fc.array(junkHeader, { minLength: 1, maxLength: 3 }), 2),
      type: contentType,
      version: usually('2023-06-01', fc.constantFrom('', 'x'), 30),
      body,
      framing: fc.constantFrom<FuzzRequest['framing']>(...Array(16).fill('length'), ...Array(4).fill('chunked'), 'cut'),
    })
    .map(({ credential, method, path, tail, query, junk, type, version, body, framing }) => ({
      route: `${route.method} ${route.path}`,
      surface: route.surface,
      method,
      // Those who are to be changed are not to be deleted as well.
      path: (method === 'DELETE' ? path.replace(/@clay(\d+)$/, '@spare$1') : path) + tail + query,
      headers: [
        ...credential.headers,
        ...header('content-type', body === null ? '' : type),
        ...header('anthropic-version', route.surface === 'anthropic' ? version : ''),
        ...junk,
      ],
      may_enter: credential.good,
      body: method === 'TRACE' || method === 'HEAD' ? null : body,
      framing,
    }))
}

const header = (name: string, value: string): [string, string][] => (value === '' ? [] : [[name, value]])
