// Services that are paid by the call, over the whole gateway: Google Places (New), and one by configuration alone.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { THINGS_CREDENTIAL } from '../../src/local/fake-provider.ts'
import { CUT, json } from '../../src/local/fake-script.ts'
import type { PerCallConfig } from '../../src/providers/per-call.ts'
import { allEvents, capOf, GENEROUS, lastRequest, onlyEvent } from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { read } from '../support/held-calls.ts'

/** A service that no code knows. */
const thingsAt = (base_url: string): PerCallConfig => ({
  provider: 'things',
  base_url,
  credential_header: 'x-things-key',
  credential_query: 'token',
  // Named twice: what a client sends in it is a credential all the same.
  forwarded_headers: ['x-things-key'],
  routes: [
    { name: 'look', method: 'GET', path: '/v2/look/:id', usd_per_request: 0.01 },
    { name: 'make', method: 'POST', path: '/v2/:verb{things:make}', usd_per_request: 0.25 },
  ],
})

let gateway: Gateway
const logs: string[] = []
beforeAll(async () => {
  gateway = await startGateway({
    vars: (url) => ({
      PER_CALL_SERVICES: JSON.stringify([thingsAt(`${url}/things`)]),
      THINGS_API_KEY: THINGS_CREDENTIAL,
    }),
    onLog: (message) => logs.push(message),
  })
})
afterEach(() => {
  gateway.provider.reply = undefined
  gateway.provider.requests.length = 0
})
afterAll(() => gateway?.close())

interface Call {
  method?: string
  headers?: Record<string, string>
  body?: unknown
}

function call(path: string, key: string, { method = 'GET', headers = {}, body }: Call = {}) {
  return fetch(gateway.url + path, {
    method,
    redirect: 'manual',
    headers: {
      ...(key && { 'x-goog-api-key': key }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
}

const search = (key: string, mask: string | null, verb = 'searchText') =>
  call(`/google-places/v1/places:${verb}`, key, {
    method: 'POST',
    headers: mask === null ? {} : { 'X-Goog-FieldMask': mask },
    body: { textQuery: 'cafe' },
  })

describe('google places', () => {
  test.each<[string, (key: string) => Promise<Response>, string, number]>([
    ['search_text', (key) => search(key, 'places.id'), 'text-search-ids', 0],
    ['search_text', (key) => search(key, 'places.displayName'), 'text-search-pro', 3.2],
    ['search_text', (key) => search(key, '*'), 'text-search-enterprise-atmosphere', 4],
    ['search_nearby', (key) => search(key, 'places.rating', 'searchNearby'), 'nearby-search-enterprise', 3.5],
    ['autocomplete', (key) => search(key, null, 'autocomplete'), 'autocomplete-request', 0.283],
    ['place_details', (key) => call('/google-places/v1/places/ChIJ1?fields=id', key), 'place-details-ids', 0],
    ['place_photo', (key) => call('/google-places/v1/places/a/photos/b/media?maxWidthPx=9', key), 'place-photo', 0.7],
  ])('%s is charged its SKU, and no tokens', async (operation, ask, request_model, cost_cents) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const answer = await ask(key)
    expect(answer.status).toBe(operation === 'place_photo' ? 302 : 200)
    expect(await onlyEvent(gateway, id)).toMatchObject({
      provider: 'google-places',
      operation,
      request_model,
      requests: 1,
      input_tokens: 0,
      output_tokens: 0,
      cost_cents,
      usage_source: 'reported',
      priced_as: request_model,
      price_source: 'google-maps-list-prices',
    })
    const { current_usage } = await capOf(gateway, id)
    expect(current_usage).toMatchObject({ requests: 1, tokens: 0, cost_cents })
    expect(new Headers(lastRequest(gateway).headers).get('x-goog-api-key')).toBe('goog-fake')
  })

  test('a cap on the cost is spent exactly: the call that does not fit is refused in Google’s words', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { cost_cents: 10 } }])
    const answers = await Promise.all(Array.from({ length: 9 }, () => search(key, 'places.displayName')))
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(3)
    const refused = answers.find(({ status }) => status === 429) ?? expect.unreachable('nothing was refused')
    expect(await refused.json()).toMatchObject({
      error: { code: 429, status: 'RESOURCE_EXHAUSTED', cap: { limit_type: 'cost', limit: 10 } },
    })
    await allEvents(gateway, id, 3)
    expect((await capOf(gateway, id)).current_usage.cost_cents).toBeCloseTo(9.6)
    expect(gateway.provider.requests).toHaveLength(3)
  })

  test('what is not in the table, or would escape its price, is refused and not forwarded', async () => {
    const { key } = await gateway.admin.user(GENEROUS)
    const refused = await Promise.all([
      call('/google-places/v1/places:searchAll', key, { method: 'POST', body: {} }),
      call('/google-places/v1/placesXsearchText', key, { method: 'POST', body: {} }),
      call('/google-places/v1/:method%7Bplaces:searchText%7D', key, { method: 'POST', body: {} }),
      call('/google-places/v1/places/a/reviews', key),
      call('/google-places/v1/places/a?$httpHeaders=X-Goog-FieldMask:*', key),
      call('/google-places/v1/places:searchText?$req=x', key, { method: 'POST', body: {} }),
    ])
    expect(refused.map(({ status }) => status)).toEqual([404, 404, 404, 404, 400, 400])
    expect(gateway.provider.requests).toHaveLength(0)
  })

  test('the redirect to a photo says where it is to who does not take a Tollgate key there', async () => {
    const { key } = await gateway.admin.user()
    const media = '/google-places/v1/places/a/photos/b/media?maxWidthPx=9'
    const ways = [
      call(`${media}&key=${key}`, ''),
      call(media, '', { headers: { authorization: `Bearer ${key}` } }),
      // As Cloudflare Access adds it between client and Tollgate.
      call(media, '', { headers: { authorization: `Bearer ${key}`, 'cf-access-jwt-assertion': 'eyJh.eyJp.c2ln' } }),
      call(media, key),
    ]
    const answers = await Promise.all(ways)
    expect(answers.map(({ status }) => status)).toEqual([302, 302, 302, 302])
    const photo = 'https://photos.example/fake.jpg'
    expect(answers.map(({ headers }) => headers.get('location'))).toEqual([photo, photo, photo, null])
  })

  test('what the provider calls public is kept by no shared cache, which would give it to anybody', async () => {
    const { key } = await gateway.admin.user()
    const told = {
      'cache-control': 'public, max-age=3600',
      'cdn-cache-control': 'max-age=60',
      'cloudflare-cdn-cache-control': 'max-age=60',
      'surrogate-control': 'x',
    }
    for (const headers of [told, {}]) {
      gateway.provider.reply = () => json({ id: 'a' }, 200, headers)
      const answer = await call('/google-places/v1/places/a?fields=id', key)
      expect(answer.headers.get('cache-control')).toMatch(/(^|, )private$/)
      expect([...answer.headers.keys()].filter((name) => /cdn|surrogate/.test(name))).toEqual([])
    }
  })

  test('the key in the query reaches neither the provider, nor events, nor logs', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    expect((await call(`/google-places/v1/places/a?fields=id&key=${key}`, '')).status).toBe(200)
    const event = await onlyEvent(gateway, id)
    const { path, headers } = lastRequest(gateway)
    expect(path).toBe('/v1/places/a?fields=id')
    expect(JSON.stringify([event, path, headers, logs])).not.toContain(key)
  })
})

describe('a service by configuration', () => {
  const things = (key: string) => ({ headers: { 'x-things-key': key } })

  test('is charged the configured price of each route, with its own credential on and the gateway’s off', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    expect((await call('/things/v2/look/7?size=2', '', things(key))).status).toBe(200)
    const { path, headers } = lastRequest(gateway)
    expect(path).toBe('/things/v2/look/7?size=2')
    expect(new Headers(headers).get('x-things-key')).toBe(THINGS_CREDENTIAL)
    expect(JSON.stringify(headers)).not.toContain(key)
    // As workerd tells of what Cloudflare's cache is not to answer.
    expect(new Headers(headers).get('cache-control')).toBe('no-cache')
    expect((await call(`/things/v2/things:make?token=${key}`, '', { method: 'POST', body: { a: 1 } })).status).toBe(200)
    expect(lastRequest(gateway).path).toBe('/things/v2/things:make')
    expect(lastRequest(gateway).body.toString()).toBe('{"a":1}')
    const events = await allEvents(gateway, id, 2)
    const costs = Object.fromEntries(events.map(({ operation, cost_cents }) => [operation, cost_cents]))
    expect(costs).toEqual({ look: 1, make: 25 })
  })

  test('whose stream breaks off ends it in an error, behind its whole events', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    gateway.provider.reply = () => ({
      headers: { 'content-type': 'text/event-stream' },
      steps: ['data: {"a":1}\n\n', 'data: {"a"', CUT],
    })
    const answer = await call('/things/v2/look/7', '', things(key))
    const [whole, error] = (await answer.text()).split(/\n{2,}/)
    expect(whole).toBe('data: {"a":1}')
    expect(error).toContain('"code":"upstream_unreachable"')
    expect(await onlyEvent(gateway, id)).toMatchObject({ cost_cents: 1, error_class: 'upstream_cut' })
  })

  test('refuses over a cap and beside its routes', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { cost_cents: 1 } }])
    expect((await read(call('/things/v2/look/7', '', things(key)))).status).toBe(200)
    const refused = await call('/things/v2/look/7', '', things(key))
    expect(refused.status).toBe(429)
    expect(await refused.json()).toMatchObject({
      error: { code: 'cap_exceeded', cap: { limit_type: 'cost', limit: 1 } },
    })
    expect((await call('/things/v2/look/7/more', '', things(key))).status).toBe(404)
    expect((await call('/things/v2/look/:id', '', things(key))).status).toBe(404)
    expect((await call('/things/v2/look/7', '', { ...things(key), method: 'DELETE' })).status).toBe(404)
    expect(gateway.provider.requests).toHaveLength(1)
  })
})
