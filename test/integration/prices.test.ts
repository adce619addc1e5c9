// Prices from the admin's request to the event of a call, in real workerd with its KV.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { bodyOf, onlyEvent, post } from '../support/client-calls.ts'
import { ADMIN_TOKEN, type Gateway, startGateway } from '../support/gateway.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway.close())

const COST_CAP = [{ cap_type: 'total', limits: { cost_usd: 100 } }]

const call = (key: string, model: string, more: object = {}) =>
  post(gateway, 'openai', key, bodyOf('openai', { model, ...more }))

test('a model without a price: refused under a cost cap, else allowed and flagged; an override opens it and is on the event', async () => {
  const [capped, free] = [await gateway.admin.user(COST_CAP), await gateway.admin.user()]
  const refused = await call(capped.key, 'gpt-of-tomorrow')
  expect(refused.status).toBe(400)
  expect(await refused.text()).toContain('has no price')
  expect((await call(free.key, 'gpt-of-tomorrow')).status).toBe(200)
  expect(await onlyEvent(gateway, free.id)).toMatchObject({ priced_as: null, price_source: 'none', cost_nano_usd: 0 })

  const price = { provider: 'openai', model: 'gpt-of-tomorrow', usd_per_mtok: { input: '1', output: '2' } }
  const { id } = await gateway.admin.call('POST', '/admin/prices', price)
  expect((await call(capped.key, 'gpt-of-tomorrow')).status).toBe(200)
  const event = await onlyEvent(gateway, capped.id)
  expect(event).toMatchObject({
    priced_as: 'gpt-of-tomorrow',
    price_source: `override:${id}`,
    cost_nano_usd: event.input_tokens * 1_000 + event.output_tokens * 2_000,
  })
  const explained = await fetch(`${gateway.url}/prices/openai/gpt-of-tomorrow`, {
    headers: { authorization: `Bearer ${capped.key}` },
  })
  expect(await explained.json()).toMatchObject({ source: 'override', override: { id } })
})

test('a key is needed to ask for a price, an admin to set one', async () => {
  expect((await fetch(`${gateway.url}/prices/openai/gpt-4o`)).status).toBe(401)
  const { key } = await gateway.admin.user()
  const answer = await fetch(`${gateway.url}/admin/prices`, { headers: { authorization: `Bearer ${key}` } })
  expect(answer.status).toBe(403)
})

test('a sheet of prices goes up again and again, and a typo in it is named by its line', async () => {
  const upload = async (...rows: string[]) => {
    const answer = await fetch(`${gateway.url}/admin/prices/csv`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'text/csv' },
      body: ['provider,model,usd_per_mtok.input,usd_per_mtok.output', ...rows].join('\n'),
    })
    return (await answer.json()) as Record<string, unknown>
  }
  const sheet = ['openai,sheet-a,1,2', 'groq,sheet-b,1,2']
  expect(await upload(...sheet)).toEqual({ created: 2, replaced: 0, unchanged: 0 })
  expect(await upload(...sheet)).toEqual({ created: 0, replaced: 0, unchanged: 2 })
  expect(await upload('openai,sheet-a,1,2', 'opneai,sheet-c,1,2')).toMatchObject({
    status: 400,
    field: 'line 3, provider',
    detail: expect.stringContaining('openai, openrouter'),
  })
})

test('a price that was just set applies at once in the worker that was asked, and is said to be in force soon in all', async () => {
  const { key } = await gateway.admin.user()
  const explain = async () => {
    const headers = { authorization: `Bearer ${key}` }
    return (await fetch(`${gateway.url}/prices/openai/gpt-of-next-year`, { headers })).json()
  }
  await explain()
  const price = { provider: 'openai', model: 'gpt-of-next-year', usd_per_request: '1' }
  const { id } = await gateway.admin.call('POST', '/admin/prices', price)
  expect((await gateway.admin.call('POST', '/admin/prices', price)).id).toBe(id)
  expect(await explain()).toMatchObject({
    source: 'override',
    explanation: expect.stringContaining('within 2 minutes'),
  })
})

test('what administrators have set cannot be read: a cap that needs it says to try again, others say what they have to', async () => {
  const userOf = (limits: object) => gateway.admin.user([{ cap_type: 'total', limits }])
  const [free, cost] = [await gateway.admin.user(), await userOf({ cost_usd: 100 })]
  const [tokens, shut] = [await userOf({ tokens: 1_000_000 }), await userOf({ requests: 0 })]
  const store = await gateway.prices()
  await store.put('overrides', '{"format": "of another age"}')
  await gateway.restart()
  const answers = {
    free: await call(free.key, 'gpt-4o-mini'),
    cost: await call(cost.key, 'gpt-4o-mini'),
    window: await call(tokens.key, 'gpt-of-another-day', { max_tokens: undefined }),
    bounded: await call(tokens.key, 'gpt-of-another-day'),
    field: await call(tokens.key, 'gpt-4o-mini', { max_tokens: undefined, unheard_of: 1 }),
    shut: await call(shut.key, 'gpt-4o-mini'),
  }
  const codeOf = async (answer: Response) => ((await answer.json()) as { error?: { code: string } }).error?.code
  const said = Object.entries(answers).map(async ([name, answer]) => [name, answer.status, await codeOf(answer)])
  expect(await Promise.all(said)).toEqual([
    ['free', 200, undefined],
    ['cost', 503, 'prices_unavailable'],
    ['window', 503, 'prices_unavailable'],
    ['bounded', 200, undefined],
    ['field', 400, 'unbounded_request'],
    ['shut', 429, 'insufficient_quota'],
  ])
  expect(answers.cost.headers.has('x-should-retry')).toBe(false)
})
