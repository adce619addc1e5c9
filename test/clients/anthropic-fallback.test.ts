// A refused message, which the official client's middleware sends again to another model, with the refusal's credit.

import { betaRefusalFallbackMiddleware } from '@anthropic-ai/sdk/lib/middleware'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Script } from '../../src/local/fake-script.ts'
import { allEvents, anthropicOf } from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

const REFUSING = 'claude-opus-4-6'
const OBLIGING = 'claude-haiku-4-5-20251001'
const HELLO = { role: 'user' as const, content: 'hello' }
/** Far below a context window, which is what the call would be held at if its bytes did not bound it. */
const SMALL = [{ cap_type: 'total', limits: { tokens: 50_000, cost_usd: 1 } }]

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({
    reply: ({ body }, usual) => (JSON.parse(String(body)).model === REFUSING ? refused(usual()) : undefined),
  })
})
afterAll(() => gateway?.close())

function refused(script: Script): Script {
  const stop_details = { type: 'refusal', category: 'cyber', explanation: null, fallback_credit_token: 'credit' }
  const refusal = `"stop_reason":"refusal","stop_sequence":null,"stop_details":${JSON.stringify(stop_details)}`
  const steps = script.steps.map((step) =>
    typeof step === 'string'
      ? step.replace(/"stop_reason":"\w+","stop_sequence":null,"stop_details":null/, refusal)
      : step,
  )
  return { ...script, steps }
}

test.each([false, true])('the retry and the turn after it are held at their bytes, streamed: %s', async (streamed) => {
  const { id, key } = await gateway.admin.user(SMALL)
  const middleware = [betaRefusalFallbackMiddleware([{ model: OBLIGING }])]
  const { messages } = anthropicOf(gateway, key, { middleware }).client.beta
  const ask = { model: REFUSING, max_tokens: 100, messages: [HELLO] }
  const answer = await (streamed ? messages.stream(ask).finalMessage() : messages.create(ask))
  expect(answer).toMatchObject({ stop_reason: 'end_turn' })
  expect(answer.content.map(({ type }) => type)).toContain('fallback')

  const { content } = answer
  await messages.create({ ...ask, model: OBLIGING, messages: [HELLO, { role: 'assistant', content }, HELLO] })
  const events = await allEvents(gateway, id, 3)
  expect(events.map(({ request_model }) => request_model).sort()).toEqual([OBLIGING, OBLIGING, REFUSING])
})
