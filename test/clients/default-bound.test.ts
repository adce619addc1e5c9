// The operator's bound of calls that set none: it is held under a cap, and it is what the provider is sent.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { lastRequest, onlyEvent, post } from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({ vars: { DEFAULT_MAX_OUTPUT_TOKENS: '300' } })
})
afterAll(() => gateway.close())

const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }] }
const sent = () => JSON.parse(lastRequest(gateway).body.toString())

test('a call that sets no bound gets the operator’s under a token or cost cap, and is sent with it', async () => {
  for (const limits of [{ tokens: 2_000 }, { cost_usd: 1 }]) {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits }])
    expect((await post(gateway, 'openai', key, HELLO)).headers.get('tollgate-clamped')).toBeNull()
    expect(sent().max_completion_tokens).toBe(300)
    expect(await onlyEvent(gateway, id)).toMatchObject({ outcome: 'settled', clamped_output_tokens: null })
  }
})

test('a bound that the client sets goes before it, and without a cap that needs one nothing is written', async () => {
  const { key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 2_000 } }])
  await post(gateway, 'openai', key, { ...HELLO, max_tokens: 400 })
  expect(sent()).toEqual({ ...HELLO, max_tokens: 400 })
  const free = await gateway.admin.user()
  await post(gateway, 'openai', free.key, HELLO)
  expect(sent()).toEqual(HELLO)
})

test('Nova at its highest effort, which refuses any bound, is sent without one: its whole window is held', async () => {
  const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { cost_usd: 5 } }])
  const call = (maxReasoningEffort: string) =>
    fetch(`${gateway.url}/bedrock/model/us.amazon.nova-2-lite-v1:0/converse`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        messages: [{ role: 'user', content: [{ text: 'Hello' }] }],
        additionalModelRequestFields: { reasoningConfig: { type: 'enabled', maxReasoningEffort } },
      }),
    })
  expect((await call('high')).status).toBe(200)
  expect(sent().inferenceConfig).toBeUndefined()
  expect(await onlyEvent(gateway, id)).toMatchObject({ outcome: 'settled', usage_source: 'reported' })
  expect((await call('medium')).status).toBe(200)
  expect(sent().inferenceConfig).toEqual({ maxTokens: 300 })
})
