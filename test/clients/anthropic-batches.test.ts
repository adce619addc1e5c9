// Message batches as the official Anthropic client runs them through Tollgate.

import { NotFoundError } from '@anthropic-ai/sdk'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { anthropicOf, failure, lastRequest, type User } from '../support/client-calls.ts'
import type { Gateway } from '../support/gateway.ts'
import { startBedrock } from './bedrock-gateway.ts'

const params = (more: object = {}) => ({
  model: 'claude-haiku-4-5-20251001',
  max_tokens: 100,
  messages: [{ role: 'user' as const, content: 'hello' }],
  ...more,
})
const REQUESTS = [
  { custom_id: 'a', params: params() },
  { custom_id: 'b', params: params({ max_tokens: 5 }) },
]

let gateway: Gateway
let user: User
beforeAll(async () => {
  gateway = await startBedrock('anthropic-batches-test')
  user = await gateway.admin.user()
})
afterEach(() => {
  gateway.provider.requests.length = 0
})
afterAll(() => gateway?.close())

describe('a message batch', () => {
  test('is created with the client’s own bytes, polled, and its results are fetched through Tollgate', async () => {
    const { client, attempts } = anthropicOf(gateway, user.key)
    const created = await client.messages.batches.create({ requests: REQUESTS })
    expect(lastRequest(gateway).body.toString()).toBe(attempts[0]?.body)
    const polled = await client.messages.batches.retrieve(created.id)
    expect(polled.processing_status).toBe('ended')
    expect(polled.results_url).toBe(`${gateway.url}/anthropic/v1/messages/batches/${created.id}/results`)

    const results = []
    for await (const one of await client.messages.batches.results(created.id)) results.push(one)

    expect(results.map(({ custom_id, result }) => [custom_id, result.type])).toEqual([
      ['a', 'succeeded'],
      ['b', 'succeeded'],
    ])
    expect(attempts.every(({ url }) => url.startsWith(gateway.url))).toBe(true)
    expect(await client.messages.batches.delete(created.id)).toMatchObject({ type: 'message_batch_deleted' })
  })

  test('that is more than a cap has room for is refused whole', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 600 } }])
    const { client, attempts } = anthropicOf(gateway, key)
    const many = Array.from({ length: 10 }, (_, at) => ({ custom_id: String(at), params: params() }))
    expect(await failure(client.messages.batches.create({ requests: many }))).toMatchObject({ status: 402 })
    expect(attempts).toHaveLength(1)
    expect(gateway.provider.requests).toHaveLength(0)
  })

  test('of two models is refused with the field at fault; a list of everyone’s batches is not passed through', async () => {
    const { client } = anthropicOf(gateway, user.key)
    const mixed = [...REQUESTS, { custom_id: 'c', params: params({ model: 'claude-opus-4-1-20250805' }) }]
    expect(await failure(client.messages.batches.create({ requests: mixed }))).toMatchObject({
      status: 400,
      error: { error: { field: 'requests[2].params.model' } },
    })
    expect(await failure(client.messages.batches.list())).toBeInstanceOf(NotFoundError)
    expect(gateway.provider.requests).toHaveLength(0)
  })
})
