// What can go wrong between Tollgate and a provider: what the client sees, what the call is charged, what its event
// says. Reported usage is charged as reported, an answer seen whole is bounded from that, all else is charged its hold.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { afterSteps, CUT, without } from '../../src/local/fake-script.ts'
import {
  bodyFor,
  charged,
  chargedHold,
  isApiError,
  jsonWithSdk,
  STREAM,
  streamWithSdk,
  tell,
  USAGE_TOO,
} from '../support/accidents.ts'
import { bodyOf, failure, GENEROUS, type Provider, post } from '../support/client-calls.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'

const PROVIDERS = ['openai', 'anthropic'] satisfies Provider[]

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({ onLog: () => undefined })
})
afterEach(() => {
  gateway.provider.reply = undefined
  gateway.provider.requests.length = 0
})
afterAll(() => gateway.close())

const errorEvent = (provider: Provider) =>
  provider === 'openai'
    ? 'data: {"error":{"message":"busy","type":"server_error","param":null,"code":null}}\n\n'
    : 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
const END = { openai: '[DONE]', anthropic: 'message_stop' }

describe.each(PROVIDERS)('%s', (provider) => {
  test('a stream without its end event is charged as reported, and is never silently short', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const sent = tell(gateway, (usual) => without(usual, END[provider]))

    const text = await (await post(gateway, provider, key, bodyFor(provider, USAGE_TOO))).text()

    expect(text.startsWith(sent())).toBe(true)
    expect(await charged(gateway, id)).toMatchObject({ usage_source: 'reported', output_tokens: 10, overrun: false })
  })

  test('a stream that ends after half its answer makes the SDK throw and is charged its hold', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    tell(gateway, (usual) => afterSteps(usual, 5))
    expect(await failure(streamWithSdk(gateway, provider, key))).toSatisfy(isApiError)
    expect(await chargedHold(gateway, id, provider, STREAM)).toMatchObject({ error_class: 'upstream_cut' })
  })

  test('an error event inside a stream reaches the SDK, which throws; the call is charged its hold', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const sent = tell(gateway, (usual) => afterSteps(usual, 5, errorEvent(provider)))
    const raw = await gateway.admin.user()

    expect(await failure(streamWithSdk(gateway, provider, key))).toSatisfy(isApiError)
    const answer = await post(gateway, provider, raw.key, bodyFor(provider, USAGE_TOO))

    expect(await answer.text()).toBe(sent())
    const { error_class } = await chargedHold(gateway, id, provider, STREAM)
    expect(error_class).toBe(provider === 'openai' ? 'upstream_error' : 'upstream_overloaded')
  })

  test('a stream that is cut makes the SDK throw and is charged its hold', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    tell(gateway, (usual) => afterSteps(usual, 5, CUT))
    expect(await failure(streamWithSdk(gateway, provider, key))).toSatisfy(isApiError)
    expect(await chargedHold(gateway, id, provider, STREAM)).toMatchObject({ error_class: 'upstream_cut', status: 200 })
  })

  test('a stream cut at any byte is never a silent short answer', { timeout: 60_000 }, async () => {
    const { key } = await gateway.admin.user()
    const usual = await whole(provider, key)
    const cuts = Array.from({ length: usual.length }, (_, at) => at)
    let at = -1
    const silent: number[] = []
    gateway.provider.reply = ({ body }) => {
      const cut = Number(/user_at_(\d+)/.exec(body.toString())?.[1])
      const headers = { 'content-type': 'text/event-stream' }
      return { headers, steps: [usual.subarray(0, cut), CUT] }
    }
    const work = async () => {
      for (at++; at < cuts.length; at++) {
        const cut = at
        const marked = { max_tokens: 2, ...(provider === 'openai' ? { user: `user_at_${cut}` } : mark(cut)) }
        const read = await streamWithSdk(gateway, provider, key, marked).catch(() => null)
        if (read !== null && read.text !== 'Hello from') silent.push(cut)
      }
    }
    await Promise.all(Array.from({ length: 16 }, work))
    expect(silent).toEqual([])
  })

  test('a JSON answer that is cut makes the SDK throw, once, and is charged its hold', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    tell(gateway, (usual) => ({ ...usual, steps: [String(usual.steps[0]).slice(0, 100), CUT] }))
    const { attempts, error } = await jsonWithSdk(gateway, provider, key)
    expect(error).toBeInstanceOf(Error)
    expect(attempts).toHaveLength(1)
    expect(await chargedHold(gateway, id, provider, {})).toMatchObject({ error_class: 'upstream_cut' })
  })

  test('a connection cut before the answer is a 502, raised once, and charged its hold: it may have been billed', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    gateway.provider.reply = ({ method }, usual) => (method === 'POST' ? { steps: [CUT] } : usual())
    const { attempts, error } = await jsonWithSdk(gateway, provider, key)
    expect(error).toSatisfy(isApiError)
    expect(error).toMatchObject({ status: 502 })
    expect(attempts).toHaveLength(1)
    expect(await chargedHold(gateway, id, provider, {})).toMatchObject({
      error_class: 'upstream_unreachable',
      status: 502,
    })
  })

  test.each([
    ['garbage', 'this is {not JSON', {}],
    ['an empty body', '', {}],
    ['JSON that is no answer', '[1, 2, 3]', {}],
    ['usage that is no number', '{"usage":{"prompt_tokens":"many","completion_tokens":-1},"choices":[]}', {}],
  ])('a 200 with %s passes as it is and is charged its hold', async (_, text, more) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const sent = tell(gateway, () => ({ headers: { 'content-type': 'application/json' }, steps: [text] }))
    const answer = await post(gateway, provider, key, bodyFor(provider, more))
    expect(await answer.text()).toBe(sent())
    const event = await charged(gateway, id)
    expect(event).toMatchObject({ outcome: 'settled', overrun: false })
    expect(event.usage_source).not.toBe('reported')
    expect(event.input_tokens).toBe(JSON.stringify(bodyFor(provider, more)).length)
  })

  test('garbage inside a stream passes as it is, and unread usage is charged no less than was seen', async () => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const sent = tell(gateway, (usual) => ({
      ...without(usual, '"usage":{'),
      steps: ['event: content_block_delta\ndata: {broken\n\n', ...without(usual, '"usage":{').steps],
    }))
    const answer = await post(gateway, provider, key, bodyFor(provider, USAGE_TOO))
    expect((await answer.text()).startsWith(sent())).toBe(true)
    await chargedHold(gateway, id, provider, USAGE_TOO)
  })

  test('a provider that bills more than its bound is counted in full and marked as an overrun', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 2_000 } }])
    tell(gateway, (usual) => ({
      ...usual,
      steps: usual.steps.map((step) => String(step).replace(/"(completion_tokens|output_tokens)":10/, '"$1":5000')),
    }))
    await (await post(gateway, provider, key, bodyFor(provider, {}))).text()

    expect(await charged(gateway, id)).toMatchObject({ usage_source: 'reported', output_tokens: 5_000, overrun: true })
    const next = await post(gateway, provider, key, bodyFor(provider, {}))
    expect(next.status).toBe(provider === 'openai' ? 429 : 402)
  })

  test.each([
    ['mid-stream', STREAM, 3],
    ['before the first byte', STREAM, 0],
    ['before the first byte of a JSON answer', {}, 0],
  ])('a client gone %s: the answer is read to its end and charged as reported', async (_, more, sentBefore) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const { promise: clientGone, resolve: goOn } = Promise.withResolvers<void>()
    tell(gateway, (usual) => ({
      ...usual,
      steps: [...usual.steps.slice(0, sentBefore), { until: clientGone }, ...usual.steps.slice(sentBefore)],
    }))
    const client = new AbortController()
    const call = post(gateway, provider, key, bodyFor(provider, more), { signal: client.signal })
    if (sentBefore > 0) await (await call).body?.getReader().read()
    const asked = await eventually(
      async () => gateway.provider.requests.length,
      (count) => count === 1,
    )
    expect(asked).toBe(1)
    client.abort()
    await call.catch(() => undefined)
    goOn()

    expect(await gateway.provider.requests[0]?.outcome).toBe('sent')
    expect(await charged(gateway, id)).toMatchObject({
      outcome: 'settled',
      usage_source: 'reported',
      output_tokens: 10,
      overrun: false,
    })
  })
})

test('an OpenAI stream without usage is bounded by what was seen', async () => {
  const { id, key } = await gateway.admin.user(GENEROUS)
  gateway.provider.reply = (_, usual) => without(usual(), '"usage":{')
  const body = bodyOf('openai', { max_tokens: 5_000, ...STREAM })
  const { text } = await streamWithSdk(gateway, 'openai', key, body)
  const event = await charged(gateway, id)
  expect(event).toMatchObject({ usage_source: 'estimated', outcome: 'settled', overrun: false, error_class: null })
  expect(event.input_tokens).toBe(JSON.stringify(body).length)
  expect(event.output_tokens).toBeGreaterThanOrEqual(text.length)
  expect(event.output_tokens).toBeLessThan(text.length + 50)
})

const mark = (cut: number) => ({ metadata: { user_id: `user_at_${cut}` } })

/** The bytes of a short stream. */
async function whole(provider: Provider, key: string): Promise<Buffer> {
  gateway.provider.reply = undefined
  const more = provider === 'openai' ? USAGE_TOO : STREAM
  const answer = await post(gateway, provider, key, bodyOf(provider, { ...more, max_tokens: 2 }))
  return Buffer.from(await answer.arrayBuffer())
}
