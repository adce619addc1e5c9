import { z } from '@hono/zod-openapi'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GROUPS } from '../../../src/postgres/totals.ts'
import { writeEvents } from '../../../src/postgres/usage-writer.ts'
import { usageEvent } from '../postgres/usage-event.ts'
import { NOBODY, openRest } from './rest-fixture.ts'

const { db, send, sendAs, newUser, newKey, close } = await openRest()
afterAll(close)

const document = (await send('GET', '/openapi.json')).body

interface Operation {
  operationId: string
  tags: string[]
  security?: object[]
  parameters?: { name: string; description?: string }[]
  requestBody?: { content: Record<string, { schema: { properties: Record<string, { description?: string }> } }> }
  responses: Record<string, { content?: Record<string, { schema: object }> }>
}

const operations = Object.entries<Record<string, Operation>>(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, ...operation })),
)

test('the OpenAPI 3.1 document has every route and its schemas', async () => {
  expect(document.openapi).toBe('3.1.0')
  expect(Object.keys(document.paths).sort()).toEqual([
    '/admin/default-caps',
    '/admin/default-caps/{cap_type}',
    '/admin/prices',
    '/admin/prices/csv',
    '/admin/prices/{id}',
    '/admin/usage/events',
    '/admin/usage/totals',
    '/admin/users',
    '/admin/users/{id}',
    '/admin/users/{id}/activate',
    '/admin/users/{id}/caps',
    '/admin/users/{id}/caps/status',
    '/admin/users/{id}/caps/{cap_id}',
    '/admin/users/{id}/keys',
    '/admin/users/{id}/keys/{key_id}',
    '/admin/users/{id}/keys/{key_id}/rotate',
    '/admin/users/{id}/suspend',
    '/prices/{provider}/{model}',
    '/usage/caps',
    '/usage/caps/status',
    '/usage/events',
    '/usage/totals',
  ])
  expect(Object.keys(document.components.schemas)).toEqual(
    expect.arrayContaining([
      'User',
      'Key',
      'Cap',
      'CapStatus',
      'Price',
      'PriceExplanation',
      'UsageEvent',
      'UsageTotals',
      'Problem',
    ]),
  )
  const newUserSchema = document.paths['/admin/users'].post.requestBody.content['application/json'].schema
  expect(newUserSchema).toMatchObject({ additionalProperties: false, required: ['name'] })
})

test('a parameter says its limits, and how many rows a list gives without one', () => {
  const parameters: { name: string }[] = document.paths['/admin/usage/events'].get.parameters
  expect(parameters).toEqual(
    expect.arrayContaining(
      [
        { name: 'limit', schema: { type: 'integer', minimum: 1, maximum: 100, default: 50 } },
        { name: 'status', schema: { type: 'integer', minimum: 100, maximum: 999 } },
        { name: 'metadata', schema: { type: 'string', maxLength: 2_048 } },
      ].map(({ name, schema }) =>
        expect.objectContaining({ name, required: false, schema: expect.objectContaining(schema) }),
      ),
    ),
  )
})

describe('every operation', () => {
  test.each(operations)('$method $path says who may not call it, its name and its group', (operation) => {
    expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['400', '401', '403', '500', '503']))
    expect(operation.operationId).toMatch(
      /^(list|get|create|change|set|delete|suspend|activate|revoke|rotate)[A-Z]\w+$/,
    )
    expect(['users', 'keys', 'caps', 'default caps', 'prices', 'usage']).toContain(operation.tags[0])
    expect(operation.tags).toHaveLength(1)
    const { path, security = document.security } = operation
    const others = path.startsWith('/admin/') ? [] : [{ 'x-api-key': [] }, { 'x-tollgate-key': [] }]
    expect(security).toEqual([{ bearer: [] }, ...others])
  })

  test.each(operations)('$method $path takes no query parameter that it does not know', async ({ method, path }) => {
    const url = path
      .replace('{provider}', 'openai')
      .replace('{cap_type}', 'daily')
      .replace(/\{\w+\}/g, () => NOBODY)
    const headers = { 'x-test-caller': JSON.stringify({ user_id: NOBODY, key_id: null }) }
    const answer = await send(method, `${url}?dry_run=true`, method === 'GET' ? undefined : {}, headers)
    expect(answer).toMatchObject({
      status: 400,
      body: { errors: expect.arrayContaining([{ field: 'dry_run', message: 'is not a known field' }]) },
    })
  })

  test('has a name of its own', () => {
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
  })
})

test('where a time zone is asked for, the document says which kind of name', () => {
  const asked = operations.flatMap(({ parameters = [], requestBody }) => [
    ...parameters.filter(({ name }) => name === 'time_zone'),
    ...[requestBody?.content['application/json']?.schema.properties.time_zone ?? []].flat(),
  ])
  expect(asked).toHaveLength(4)
  for (const { description } of asked) expect(description).toContain('IANA')
})

test('the document names the headers that carry credentials, and what the types of limits cannot say', () => {
  const { bearer, ...headers } = document.components.securitySchemes
  expect(bearer).toMatchObject({ scheme: 'bearer', description: expect.stringContaining('Authorization: Bearer') })
  for (const name of ['x-api-key', 'x-tollgate-key']) expect(headers[name]).toMatchObject({ in: 'header', name })
  for (const [path, method] of [
    ['/admin/users/{id}/caps', 'post'],
    ['/admin/users/{id}/caps/{cap_id}', 'patch'],
    ['/admin/default-caps/{cap_type}', 'put'],
  ] as const) {
    const { limits } = document.paths[path][method].requestBody.content['application/json'].schema.properties
    expect(limits.description, path).toMatch(/at least one limit/i)
    expect(limits.description, path).toContain('cost_cents or cost_usd, not both')
  }
})

test('a change of a price has the fields of a new one but whose it is, and needs none, nor all rates', () => {
  const [created, change] = [document.paths['/admin/prices'].post, document.paths['/admin/prices/{id}'].patch].map(
    ({ requestBody }) => requestBody.content['application/json'].schema,
  )
  const { provider: _, model: _model, usd_per_mtok, ...rest } = created.properties
  expect(change).toMatchObject({ properties: rest, additionalProperties: false })
  expect(Object.keys(change.properties).sort()).toEqual([...Object.keys(rest), 'usd_per_mtok'].sort())
  expect(change.properties.usd_per_mtok).toMatchObject({ type: ['object', 'null'], additionalProperties: false })
  expect(change.properties.usd_per_mtok.properties).toEqual(usd_per_mtok.properties)
  for (const { required } of [change, change.properties.usd_per_mtok]) expect(required).toBeUndefined()
})

test('the rates of a price may be null, and no others: those of its long contexts are always there', () => {
  const { Rates, Price, PriceExplanation } = document.components.schemas
  const reference = { $ref: '#/components/schemas/Rates' }
  expect(Rates.type).toBe('object')
  for (const { properties } of [Price, PriceExplanation.properties.price]) {
    expect(properties.usd_per_mtok).toEqual({ anyOf: [reference, { type: 'null' }] })
    expect(properties.long_context.items.properties.usd_per_mtok).toEqual(reference)
  }
})

describe('what routes answer is what the document says', () => {
  const $defs = JSON.parse(JSON.stringify(document.components.schemas).replaceAll('#/components/schemas/', '#/$defs/'))
  const ids: Record<string, string> = {}
  const TODAY = `from=${new Date(Date.now() - 3_600_000).toISOString()}&to=${new Date(Date.now() + 3_600_000).toISOString()}`
  beforeAll(async () => {
    ids.user = await newUser({ email: 'ada@example.com' })
    ids.key = (await newKey(ids.user)).body.id
    const cap = { cap_type: 'daily', limits: { tokens: 5, cost_usd: 1 } }
    ids.cap = (await send('POST', `/admin/users/${ids.user}/caps`, cap)).body.id
    const price = { provider: 'openai', model: 'gpt-x', usd_per_mtok: { input: '1', output: 2 }, long_context: [] }
    ids.price = (await send('POST', '/admin/prices', price)).body.id
    await writeEvents(db, [usageEvent({ user_id: ids.user, occurred_at: Date.now(), metadata: { team: 'a' } })])
  })

  test.each([
    ['POST', '/admin/users', { name: 'B' }],
    ['POST', '/admin/users', {}],
    ['GET', '/admin/users', undefined],
    ['GET', '/admin/users/{id}', undefined],
    ['PATCH', '/admin/users/{id}', { name: 'C' }],
    ['POST', '/admin/users/{id}/keys', { name: 'k' }],
    ['GET', '/admin/users/{id}/keys', undefined],
    ['GET', '/admin/users/{id}/keys/{key_id}', undefined],
    ['POST', '/admin/users/{id}/keys/{key_id}/rotate', undefined],
    ['POST', '/admin/users/{id}/keys/{key_id}/rotate', undefined],
    ['GET', '/admin/users/{id}/caps', undefined],
    ['GET', '/admin/users/{id}/caps/status', undefined],
    ['GET', '/admin/users/{id}/caps/{cap_id}', undefined],
    ['PUT', '/admin/default-caps/{cap_type}', { limits: { requests: 1 } }],
    ['GET', '/admin/default-caps', undefined],
    ['POST', '/admin/prices', { provider: 'openai', model: 'gpt-y', usd_per_request: 0.5 }],
    ['POST', '/admin/prices', { provider: 'openai', model: 'gpt-y' }],
    ['GET', '/admin/prices', undefined],
    ['GET', '/admin/prices/{price_id}', undefined],
    ['PATCH', '/admin/prices/{price_id}', { tier_percent: { batch: 50 } }],
    ['GET', '/prices/openai/gpt-4o', undefined],
    ['GET', '/prices/openai/gpt-of-tomorrow', undefined],
    ['GET', '/admin/usage/events', undefined],
    ['GET', `/admin/usage/totals?${TODAY}`, undefined],
    ['GET', `/admin/usage/totals?${TODAY}&window=daily&group_by=${GROUPS.join()}&group_by_metadata=team`, undefined],
    ['GET', '/usage/caps', undefined],
    ['GET', '/usage/caps/status', undefined],
    ['GET', '/usage/events', undefined],
    ['GET', `/usage/totals?${TODAY}`, undefined],
  ])('%s %s %j', async (method, path, body) => {
    const url = path
      .replace('{id}', `${ids.user}`)
      .replace('{key_id}', `${ids.key}`)
      .replace('{price_id}', `${ids.price}`)
      .replace('{cap_id}', `${ids.cap}`)
      .replace('{cap_type}', 'weekly')
    const asUser = { user_id: `${ids.user}`, key_id: null }
    const answer = !path.startsWith('/admin') ? await sendAs(asUser, url) : await send(method, url, body)
    const operation = operations.find((one) => one.method === method && one.path === documented(path))
    const content = operation?.responses[answer.status]?.content?.[`${answer.headers.get('content-type')}`]
    if (!content) throw new Error(`${answer.status} as ${answer.headers.get('content-type')} is not in the document`)
    const schema = JSON.parse(JSON.stringify(content.schema).replaceAll('#/components/schemas/', '#/$defs/'))
    expect(z.fromJSONSchema({ ...schema, $defs }).parse(answer.body)).toEqual(answer.body)
  })
})

const documented = (path: string) =>
  path
    .replace(/\?.*/, '')
    .replace('{price_id}', '{id}')
    .replace(/^\/prices\/.*/, '/prices/{provider}/{model}')
