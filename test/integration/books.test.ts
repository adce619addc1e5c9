// The whole at once: 50 official SDK clients on 5 users, JSON and streams mixed, caps in the way, Postgres gone for a part
// of it. Afterwards the books are right.

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkBooks } from '../support/books.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { times } from '../support/held-calls.ts'

const CALLS_OF_A_CLIENT = 8
const REQUEST_ID = 'x-tollgate-request-id'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway.close())

type Ended = { admitted: string } | { refused: string }
type Client = (stream: boolean) => Promise<Ended>

function openaiClient(apiKey: string): Client {
  const client = new OpenAI({ baseURL: `${gateway.url}/openai/v1`, apiKey })
  const messages = [{ role: 'user' as const, content: 'Tell me of bookkeeping.' }]
  return async (stream) => {
    const call = client.chat.completions.create({ model: 'gpt-4o-mini', max_completion_tokens: 64, messages, stream })
    try {
      const { data, response } = await call.withResponse()
      if (Symbol.asyncIterator in data)
        for await (const chunk of data) expect(chunk.object).toBe('chat.completion.chunk')
      return { admitted: response.headers.get(REQUEST_ID) ?? '' }
    } catch (error) {
      if (!(error instanceof OpenAI.RateLimitError)) throw error
      return { refused: error.headers.get(REQUEST_ID) ?? '' }
    }
  }
}

function anthropicClient(apiKey: string): Client {
  const client = new Anthropic({ baseURL: `${gateway.url}/anthropic`, apiKey })
  const messages = [{ role: 'user' as const, content: 'Tell me of bookkeeping.' }]
  return async (stream) => {
    const call = client.messages.create({ model: 'claude-haiku-4-5-20251001', max_tokens: 64, messages, stream })
    try {
      const { data, response } = await call.withResponse()
      if (Symbol.asyncIterator in data) for await (const event of data) expect(event.type).toBeTypeOf('string')
      return { admitted: response.headers.get(REQUEST_ID) ?? '' }
    } catch (error) {
      // 429: room is only held, for longer than the client's retries take where the machine is slow.
      if (!(error instanceof Anthropic.APIError) || ![402, 429].includes(error.status)) throw error
      return { refused: error.headers?.get(REQUEST_ID) ?? '' }
    }
  }
}

test('50 SDK clients on 5 users with Postgres gone for a while leave one event a call and exact sums', async () => {
  const users = await Promise.all([
    gateway.admin.user([{ cap_type: 'total', limits: { requests: 60 } }]),
    gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 2_500 } }]),
    gateway.admin.user([{ cap_type: 'monthly', limits: { cost_cents: 0.4 } }]),
    gateway.admin.user([
      { cap_type: 'hourly', limits: { requests: 70 } },
      { cap_type: 'weekly', limits: { tokens: 3_000, cost_usd: 0.01 }, on_exceed: 'refuse' },
    ]),
    gateway.admin.user([{ cap_type: 'total', limits: { requests: 1e6, tokens: 1e9, cost_usd: 1_000 } }]),
  ])
  const clients = times(50, (index) => {
    const { key } = users[index % users.length] ?? { key: '' }
    return (index % 2 === 0 ? openaiClient : anthropicClient)(key)
  })

  const ended: Ended[] = []
  const running = clients.map(async (client, index) => {
    for (const call of times(CALLS_OF_A_CLIENT, (at) => at)) ended.push(await client((index + call) % 2 === 0))
  })
  const whole = Promise.all(running)
  const reached = (count: number) =>
    eventually(
      async () => ended.length,
      (many) => many >= count,
    )
  await reached(100)
  gateway.postgres.server.pause()
  await reached(300)
  gateway.postgres.server.resume()
  await whole

  const admitted = ended.flatMap((end) => ('admitted' in end ? end.admitted : []))
  expect(ended).toHaveLength(50 * CALLS_OF_A_CLIENT)
  expect(new Set(ended.map((end) => Object.values(end)[0])).size).toBe(ended.length)
  const ids = users.map(({ id }) => id)
  const { events, status } = await checkBooks(gateway, ids, admitted)
  expect(events).toHaveLength(admitted.length)
  expect(events.every(({ usage_source, overrun }) => usage_source === 'reported' && !overrun)).toBe(true)
  const refusals = ids.map((id) => (status.get(id)?.data ?? []).some(({ refused }) => refused > 0))
  expect(refusals, 'which users met a cap').toEqual([true, true, true, true, false])
  expect(status.get(ids[0] ?? '')?.data[0]?.current_usage.requests).toBe(60)
})
