// Prompt caching and tools that Anthropic runs, as the official client calls them through Tollgate.

import { ThreadUnsupportedRequestError } from '@anthropic-ai/sdk/resources/messages'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { anthropicOf, failure, GENEROUS, onlyEvent } from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

const MODEL = 'claude-haiku-4-5-20251001'
/** Nano-dollars a token. */
const RATES = { input: 1_000, write_5m: 1_250, write_1h: 2_000, output: 5_000, search: 10_000_000 }
const ASK = { model: MODEL, max_tokens: 100, messages: [{ role: 'user' as const, content: 'search for it' }] }
const search = (max_uses?: number) => ({
  type: 'web_search_20250305' as const,
  name: 'web_search' as const,
  ...(max_uses && { max_uses }),
})

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway?.close())

test('searches within max_uses are held with all their rounds, and settled with their fees', async () => {
  const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { cost_usd: 100 } }])
  const answer = await anthropicOf(gateway, key).client.messages.create({ ...ASK, tools: [search(3)] })
  expect(answer.usage.server_tool_use?.web_search_requests).toBe(3)
  expect(await onlyEvent(gateway, id)).toMatchObject({
    usage_source: 'reported',
    web_search_requests: 3,
    cost_nano_usd: answer.usage.input_tokens * RATES.input + 16 * RATES.output + 3 * RATES.search,
  })
})

test('searches without max_uses are refused under a cap, by name, and pass without one', async () => {
  const { key } = await gateway.admin.user(GENEROUS)
  const { client, attempts } = anthropicOf(gateway, key)
  expect(await failure(client.messages.create({ ...ASK, tools: [search()] }))).toMatchObject({
    status: 400,
    error: { error: { field: 'tools[0]' } },
  })
  expect(attempts).toHaveLength(1)
  const free = await gateway.admin.user()
  await anthropicOf(gateway, free.key).client.messages.create({ ...ASK, tools: [search()] })
})

test.each(['5m', '1h'] as const)(
  'a cache written for %s is charged at its own price, whole and streamed',
  async (ttl) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const system = [{ type: 'text' as const, text: 'Be brief.', cache_control: { type: 'ephemeral' as const, ttl } }]
    const { client } = anthropicOf(gateway, key)
    const message = await client.messages.stream({ ...ASK, system }).finalMessage()
    const { input_tokens, cache_creation_input_tokens: written } = message.usage
    expect(written).toBeGreaterThan(0)
    expect(await onlyEvent(gateway, id)).toMatchObject({
      input_tokens: input_tokens + (written ?? 0),
      [`cache_write_${ttl}_tokens`]: written,
      cost_nano_usd:
        input_tokens * RATES.input +
        (written ?? 0) * (ttl === '1h' ? RATES.write_1h : RATES.write_5m) +
        16 * RATES.output,
    })
  },
)

const lookUp = () => ({
  type: 'custom' as const,
  name: 'look_up',
  input_schema: { type: 'object' as const },
  run: () => 'found',
  parse: (input: unknown) => input,
})
const CALL_IT = { model: MODEL, max_tokens: 100, messages: [{ role: 'user' as const, content: 'use the tool' }] }

test.each([false, true])(
  'the SDK’s runner of tools goes on without a thread of Anthropic’s, streamed: %j',
  async (stream) => {
    const { key } = await gateway.admin.user(GENEROUS)
    const { client, attempts } = anthropicOf(gateway, key)
    const last = await client.beta.messages.toolRunner({ ...CALL_IT, tools: [lookUp()], stream }).runUntilDone()
    expect(last.stop_reason).toBe('end_turn')
    expect(attempts.map(({ answer }) => answer?.status)).toEqual([400, 200, 200])
  },
)

test('the SDK’s runner takes a tool away and brings another in a message, bounded as one that was there from the start', async () => {
  const { key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 20_000 } }])
  const { client, attempts } = anthropicOf(gateway, key)
  const runner = client.beta.messages.toolRunner({ ...CALL_IT, tools: [lookUp()], betas: ['inline-tools-2026-09-15'] })
  runner.removeTools('look_up')
  runner.addTools({ ...lookUp(), name: 'look_further' })
  expect((await runner.runUntilDone()).stop_reason).toBe('end_turn')
  expect(attempts.map(({ answer }) => answer?.status)).toEqual([400, 200])
  const sent = String(gateway.provider.requests.at(-1)?.body)
  expect(sent).toContain('"type":"tool_definition"')
  expect(sent).toContain('"type":"tool_removal"')
})

test('a thread of Anthropic’s is refused as one that cannot be, once, and passes without a cap', async () => {
  const { key } = await gateway.admin.user(GENEROUS)
  const { client, attempts } = anthropicOf(gateway, key)
  const refused = await failure(client.beta.messages.thread(CALL_IT).send())
  expect(refused).toBeInstanceOf(ThreadUnsupportedRequestError)
  expect(refused).toMatchObject({ error: { error: { code: 'unbounded_request', field: 'thread' } } })
  expect(attempts).toHaveLength(1)
  const free = await gateway.admin.user()
  await anthropicOf(gateway, free.key).client.beta.messages.thread(CALL_IT).send()
})
