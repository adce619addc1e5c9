import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import {
  type PerCallConfig,
  perCallDialect,
  perCallPrices,
  perCallServicesSchema,
} from '../../../src/providers/per-call.ts'
import { askedWith } from './replay.ts'

const ROUTE = { name: 'find', method: 'GET' as const, path: '/v1/find/:id', usd_per_request: 0.005 }
const SERVICE: PerCallConfig = {
  provider: 'finder',
  base_url: 'https://finder.example/api/',
  credential_header: 'X-Finder-Key',
  routes: [ROUTE, { ...ROUTE, name: 'upload', method: 'POST', path: '/v1/things', takes: 'form' }],
}
const parse = (...services: unknown[]) => perCallServicesSchema.safeParse(services)
function parsed(...services: unknown[]) {
  const [service] = perCallServicesSchema.parse(services)
  return service ?? expect.unreachable('no service')
}
const faults = (...services: unknown[]) => parse(...services).error?.issues.map(({ path }) => path.join('.')) ?? []

describe('the configuration', () => {
  test('is read, with its defaults', () => {
    expect(parsed(SERVICE)).toMatchObject({
      base_url: 'https://finder.example/api',
      credential_header: 'x-finder-key',
      credential_scheme: '',
      forwarded_headers: [],
    })
  })

  const route = (more: object) => ({ ...SERVICE, routes: [{ ...ROUTE, ...more }] })
  test.each<[string, unknown]>([
    ['0.provider', { ...SERVICE, provider: 'openai' }],
    ['0.provider', { ...SERVICE, provider: '../x' }],
    ['0.provider', { ...SERVICE, provider: 'geo_coder' }],
    ['0.base_url', { ...SERVICE, base_url: 'finder.example' }],
    ['0.base_url', { ...SERVICE, base_url: 'https://me:pw@finder.example' }],
    ['0.base_url', { ...SERVICE, base_url: 'https://finder.example/?key=1' }],
    ['0.credential_header', { ...SERVICE, credential_header: 'cookie' }],
    ['0.credential_header', { ...SERVICE, credential_header: 'a b' }],
    ['0.forwarded_headers.0', { ...SERVICE, forwarded_headers: ['Authorization'] }],
    ['0.forwarded_headers.0', { ...SERVICE, forwarded_headers: ['X-API-Key'] }],
    ['0.routes', { ...SERVICE, routes: [] }],
    ['0.routes.0.name', route({ name: 'A b' })],
    ['0.routes.0.method', route({ method: 'PATCH' })],
    ['0.routes.0.path', route({ path: 'v1' })],
    ['0.routes.0.path', route({ path: '/v1/*' })],
    ['0.routes.0.path', route({ path: '/v1/:rest{.+}' })],
    ['0.routes.0.path', route({ path: '/v1/things:search' })],
    ['0.routes.0.path', route({ path: '/v1?x=1' })],
    ['0.routes.0.usd_per_request', route({ usd_per_request: -1 })],
    ['0.routes.0.usd_per_request', route({ usd_per_request: '1' })],
    ['0.routes.1.name', { ...SERVICE, routes: [ROUTE, { ...ROUTE, path: '/other' }] }],
    ['0.routes.1.path', { ...SERVICE, routes: [ROUTE, { ...ROUTE, name: 'other' }] }],
  ])('that is wrong at %s is refused there: %j', (field, service) => {
    expect(faults(service)).toEqual([field])
  })

  const routes = (...paths: string[]) => ({
    ...SERVICE,
    routes: paths.map((path, at) => ({ ...ROUTE, name: `route-${at}`, path })),
  })
  test.each([
    ['/v1/:id', '/v1/special'],
    ['/v1/:id', '/v1/:other'],
    ['/v1/:id', '/v1/:verb{things:search}'],
    ['/v1/:verb{things}', '/v1/things'],
    ['/:a/b', '/c/b'],
  ])('has no route whose calls an earlier one takes, at its own price: %s, then %s', (earlier, later) => {
    expect(faults(routes(earlier, later))).toEqual(['0.routes.1.path'])
  })

  test.each([
    ['/v1/special', '/v1/:id'],
    ['/v1/:verb{things:search}', '/v1/:id'],
    ['/v1/:id', '/v1/:id/special'],
    ['/v1/:id', '/v2/special'],
  ])('may have a route that takes what an earlier one leaves: %s, then %s', (earlier, later) => {
    expect(faults(routes(earlier, later))).toEqual([])
  })

  test('names each service once, and knows its fields', () => {
    expect(faults(SERVICE, SERVICE)).toEqual(['1.provider'])
    expect(faults({ ...SERVICE, routes: [ROUTE, { ...ROUTE, name: 'other', method: 'DELETE' }] })).toEqual([])
    expect(parse({ ...SERVICE, creditential_header: 'x' }).error?.issues[0]?.message).toContain('creditential_header')
  })
})

describe('the dialect', () => {
  const dialect = perCallDialect(parsed({ ...SERVICE, credential_query: 'token' }))
  const read = (url: string, headers: HeadersInit = {}) => dialect.readCredential(new Headers(headers), url)

  test('has the configured routes and no other', async () => {
    const app = new Hono()
    for (const { method, path, name } of dialect.operations) app.on(method, path, (c) => c.text(name))
    expect(await (await app.request('/v1/find/7')).text()).toBe('find')
    expect((await app.request('/v1/find/7/more')).status).toBe(404)
    expect((await app.request('/v1/find/7', { method: 'POST' })).status).toBe(404)
    expect(dialect.operations.map(({ takes }) => takes)).toEqual(['json', 'form'])
  })

  test('reads the credential where the service has its own', () => {
    expect(read('http://t/', { 'x-finder-key': 'tg_1' })).toBe('tg_1')
    expect(read('http://t/', { authorization: 'Bearer tg_1' })).toBe('tg_1')
    expect(read('http://t/?token=tg_1')).toBe('tg_1')
    expect(read('http://t/?token=tg_2', { 'x-finder-key': 'tg_1' })).toContain(',')
    expect(read('http://t/')).toBeNull()
  })

  test.each([
    ['', 'secret'],
    ['Bearer', 'Bearer secret'],
  ])('puts on its own with scheme %j', (credential_scheme, value) => {
    const headers = new Headers({ 'x-finder-key': 'tg_1', authorization: 'Bearer tg_1' })
    perCallDialect(parsed({ ...SERVICE, credential_scheme })).setCredential(headers, 'secret')
    expect([...headers]).toEqual([['x-finder-key', value]])
  })

  test('has a price for every route: the configured one', () => {
    const prices = perCallPrices([parsed(SERVICE)])
    for (const { readBound } of dialect.operations) {
      const bound = readBound?.(askedWith({}))
      if (!bound || 'code' in bound || bound.model === null) return expect.unreachable('no bound')
      expect(prices('finder', bound.model)).toMatchObject({
        request_nano_usd: 5_000_000,
        price_source: 'configuration',
      })
    }
    expect(prices('finder', 'other')).toBeUndefined()
    expect(prices('other', 'find')).toBeUndefined()
  })

  test('refuses an exceeded cap with the facts of the cap', async () => {
    const answer = dialect.errorResponse({ code: 'cap_exceeded', message: 'No.' }, 'r')
    expect(answer.status).toBe(429)
    expect(await answer.json()).toEqual({ error: { code: 'cap_exceeded', message: 'No.' } })
  })
})
