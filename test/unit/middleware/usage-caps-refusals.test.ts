// Whom a guarded route refuses, and what a refusal says.

import { beforeEach, describe, expect, test, vi } from 'vitest'
import { usageCaps } from '../../../src/middleware/usage-caps.ts'
import { parseOne } from '../../support/structured-fields.ts'
import { allow, app, background, begin, call, events, KEY, ledgerOf, post, route, USER, used } from './guarded-app.ts'

beforeEach(begin)

test('racing calls never exceed the cap', async () => {
  allow({ requests: 10 })
  route(3)
  const answers = await Promise.all(Array.from({ length: 8 }, () => call('/work')))
  await Promise.all(background)
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
  expect(used()?.requests).toBe(9)
})

describe('a refusal', () => {
  test('is a problem document with the facts of the cap and the RateLimit fields', async () => {
    allow({ requests: 4 })
    route(3)
    await post('/work')
    const refused = await post('/work')
    expect(refused.status).toBe(429)
    expect(refused.headers.get('content-type')).toBe('application/problem+json')
    const { cap: facts, ...problem } = (await refused.json()) as { cap: { retry_after_seconds: number } }
    expect(problem).toMatchObject({ status: 429, code: 'cap_exceeded', type: 'urn:tollgate:problem:cap_exceeded' })
    expect(facts).toMatchObject({ cap_type: 'daily', limit_type: 'requests', current_usage: 3, limit: 4, requested: 3 })
    expect(refused.headers.get('retry-after')).toBe(String(facts.retry_after_seconds))
    expect(parseOne(refused.headers.get('ratelimit'))).toMatchObject({ value: 'daily-requests', params: { r: 1 } })
    expect(parseOne(refused.headers.get('ratelimit-policy')).params).toEqual({ q: 4, w: 86_400 })
  })

  test('runs no handler, makes no event and costs one call of the ledger', async () => {
    allow({ requests: 0 })
    const [ran, asked] = [vi.fn(), vi.fn(ledgerOf)]
    app.post('/work', usageCaps({ ledgerOf: asked }), (c) => {
      ran()
      return c.text('done')
    })
    expect((await post('/work')).status).toBe(429)
    expect([ran, asked].map(({ mock }) => mock.calls.length)).toEqual([0, 1])
    expect(events).toEqual([])
  })

  test('looks as the route wants it', async () => {
    allow({ requests: 0 })
    const atOnce = () => new Response('come back later', { status: 402 })
    app.post('/work', usageCaps({ ledgerOf, refuse: atOnce }), (c) => c.text('done'))
    app.post('/later', usageCaps({ ledgerOf, refuse: async () => atOnce() }), (c) => c.text('done'))
    for (const path of ['/work', '/later']) {
      const refused = await post(path)
      expect([refused.status, await refused.text()]).toEqual([402, 'come back later'])
      expect(refused.headers.get('ratelimit')).not.toBeNull()
    }
  })

  test('of a key that may not do what the route asks for', async () => {
    allow({ requests: 1 })
    app.use(async (c, next) => {
      c.set('caller', { user_id: USER, key_id: KEY, scope: 'usage' })
      await next()
    })
    route(1)
    expect((await post('/work')).status).toBe(403)
  })

  test.each([
    ['a suspended user', 403, { status: 'suspended' as const }],
    ['an unknown key', 401, { keys: [] }],
  ])('%s', async (_, status, more) => {
    allow({ requests: 1 }, more)
    route(1)
    expect((await post('/work')).status).toBe(status)
  })
})

test('what nothing bounds is refused under a cap on it, and free to go under another', async () => {
  route({ input_tokens: null, input_cost_nano_usd: null })
  allow({ tokens: 10 })
  const refused = await post('/work')
  expect([refused.status, await refused.json()]).toMatchObject([400, { code: 'unbounded_request' }])
  allow({ requests: 1 })
  expect((await post('/work')).status).toBe(200)
})

describe('a ledger that does not know its user', () => {
  test('refuses', async () => {
    route(1)
    expect((await post('/work')).status).toBe(503)
  })

  test('is asked again where the app could tell it', async () => {
    const provision = async () => {
      allow({ requests: 1 })
      return true
    }
    app.post('/work', usageCaps({ ledgerOf, provision }), (c) => c.text('done'))
    expect([(await post('/work')).status, (await post('/work')).status]).toEqual([200, 429])
  })
})
