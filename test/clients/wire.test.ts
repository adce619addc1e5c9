// The answer's bytes on their way to the client: however they are cut, coded and read, they arrive exactly and at once.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { deflateSync, inflateSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { events, json, type Script } from '../../src/local/fake-script.ts'
import {
  allEvents,
  answerWith,
  bodyOf,
  bytesOf,
  GENEROUS,
  lastRequest,
  onlyEvent,
  type Provider,
  post,
  type User,
} from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { inBrotli, inGzip, inPieces, withCrlf, without } from '../support/script-changes.ts'

const MEGABYTE = 1_000_000

let gateway: Gateway
let user: User
beforeAll(async () => {
  gateway = await startGateway()
  user = await gateway.admin.user()
})
afterEach(() => {
  gateway.provider.reply = undefined
  gateway.provider.requests.length = 0
})
afterAll(() => gateway.close())

/** What the client must get: all but the usage chunk where only Tollgate asked for it. */
const wanted = (script: Script, dropsUsage: boolean) =>
  bytesOf(dropsUsage ? without(script, '"usage":{') : script).toString()

describe.each([
  ['openai', 'the client asked for usage', { stream_options: { include_usage: true } }, false],
  ['openai', 'only Tollgate asked for usage', {}, true],
  ['anthropic', 'as it is', {}, false],
] as const)('%s stream, %s', (provider, _, more, dropsUsage) => {
  const body = bodyOf(provider, { stream: true, ...more })

  test.each([
    ['LF', (script: Script) => script],
    ['CRLF', withCrlf],
  ])('with %s and cut into pieces of any size arrives exactly, and its usage is read', async (_, lineEnds) => {
    const { id, key } = await gateway.admin.user(GENEROUS)
    const sizes = [1, 2, 3, 5, 64, 1_000, MEGABYTE]
    for (const size of sizes) {
      let sent = ''
      gateway.provider.reply = (_, usual) => {
        const script = lineEnds(usual())
        sent = wanted(script, dropsUsage)
        return inPieces(script, size)
      }
      const answer = await post(gateway, provider, key, body)
      expect(await answer.text(), `in pieces of ${size}`).toBe(sent)
    }
    const events = await allEvents(gateway, id, sizes.length)
    const usages = events.map(({ usage_source, output_tokens, error_class }) => [
      usage_source,
      output_tokens,
      error_class,
    ])
    expect(usages).toEqual(sizes.map(() => ['reported', 10, null]))
  })

  test('the first chunk is with the client before the provider sends the second', async () => {
    const { id, key } = await gateway.admin.user()
    const { promise: clientHasFirst, resolve: release } = Promise.withResolvers<void>()
    const { last } = answerWith(gateway, (usual) => ({
      ...usual,
      steps: [...usual.steps.slice(0, 1), { until: clientHasFirst }, ...usual.steps.slice(1)],
    }))

    const answer = await post(gateway, provider, key, body)
    const reader = answer.body?.getReader()
    const first = await reader?.read()
    release()
    let text = new TextDecoder().decode(first?.value)
    expect(text).toBe(last().steps[0])
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read())
      text += new TextDecoder().decode(next.value)

    expect(text).toBe(wanted(last(), dropsUsage))
    const { latency_ms, time_to_first_byte_ms } = await onlyEvent(gateway, id)
    expect(time_to_first_byte_ms).toBeLessThanOrEqual(latency_ms ?? 0)
  })

  test('several megabytes arrive exactly, at a reader that is slow too', async () => {
    const { id, key } = await gateway.admin.user()
    const { last } = answerWith(gateway, (usual) => {
      const at = usual.steps.findIndex((step) => typeof step === 'string' && step.includes('Hello'))
      const big = String(usual.steps[at]).replace('Hello', 'é日😀'.repeat(10_000))
      return { ...usual, steps: usual.steps.toSpliced(at, 1, ...Array.from({ length: 40 }, () => big)) }
    })

    const answer = await post(gateway, provider, key, body)
    const chunks: Uint8Array[] = []
    for await (const chunk of answer.body ?? []) {
      chunks.push(chunk)
      await sleep(1)
    }

    const got = Buffer.concat(chunks)
    expect(got.length).toBeGreaterThan(3 * MEGABYTE)
    expect(got.equals(Buffer.from(wanted(last(), dropsUsage)))).toBe(true)
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', output_tokens: 10 })
  })
})

test('an event with megabytes of an image is the whole answer’s, whose end has no error', async () => {
  const { id, key } = await gateway.admin.user()
  const inlineData = { mimeType: 'image/png', data: 'A'.repeat(6 * MEGABYTE) }
  const image = { content: { role: 'model', parts: [{ inlineData }] }, finishReason: 'STOP', index: 0 }
  const usageMetadata = { promptTokenCount: 5, candidatesTokenCount: 1_290, totalTokenCount: 1_295 }
  const sent = `data: ${JSON.stringify({ candidates: [image], usageMetadata })}\n\n`
  gateway.provider.reply = () => events([sent])
  const answer = await fetch(`${gateway.url}/gemini/v1beta/models/gemini-3-pro-image:streamGenerateContent?alt=sse`, {
    method: 'POST',
    headers: { 'x-goog-api-key': key, 'content-type': 'application/json' },
    body: JSON.stringify({ contents: [{ parts: [{ text: 'Draw a cat.' }] }] }),
  })
  expect((await answer.text()) === sent).toBe(true)
  expect(await onlyEvent(gateway, id)).toMatchObject({
    usage_source: 'reported',
    output_tokens: 1_290,
    error_class: null,
  })
})

describe.each(['openai', 'anthropic'] satisfies Provider[])('%s', (provider) => {
  test('a compressed answer, although none was asked for, is read and passed as plain text', async () => {
    for (const [stream, compressed] of [
      [false, inGzip],
      [true, inGzip],
      [true, inBrotli],
    ] as const) {
      const { id, key } = await gateway.admin.user()
      let plain = ''
      answerWith(gateway, (usual) => {
        plain = wanted(usual, provider === 'openai' && stream)
        return compressed(usual)
      })
      const answer = await post(gateway, provider, key, bodyOf(provider, { stream }))
      expect(await answer.text()).toBe(plain)
      expect(answer.headers.get('content-encoding')).toBeNull()
      expect(new Headers(lastRequest(gateway).headers).get('accept-encoding')).toBe('identity')
      expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', output_tokens: 10 })
    }
  })

  test('an empty answer that is said to be compressed, of which fetch makes an error, is empty', async () => {
    for (const [status, type] of [
      [200, 'application/json'],
      [200, 'text/plain'],
      [401, 'application/json'],
      [503, 'text/plain'],
    ] as const) {
      const { id, key } = await gateway.admin.user()
      const headers = { 'content-type': type, 'content-encoding': 'gzip', 'content-length': '0' }
      gateway.provider.reply = () => ({ status, headers, steps: [] })
      const answer = await post(gateway, provider, key, bodyOf(provider))
      expect([answer.status, await answer.text()]).toEqual([status, ''])
      expect(answer.headers.get('content-encoding')).toBeNull()
      const outcome = status === 200 ? 'settled' : 'released'
      expect(await onlyEvent(gateway, id)).toMatchObject({ status, outcome })
    }
  })

  test('a stream of which no byte is announced ends in an error: an empty one might be taken for whole', async () => {
    const { key } = await gateway.admin.user()
    const headers = { 'content-type': 'text/event-stream', 'content-length': '0' }
    gateway.provider.reply = () => ({ status: 200, headers, steps: [] })
    const answer = await post(gateway, provider, key, { ...bodyOf(provider), stream: true })
    expect(await answer.text()).toMatch(/data: .*"error"/)
  })

  test('an answer in a compression that nobody here undoes says which, and is charged as unread', async () => {
    for (const stream of [false, true]) {
      const { id, key } = await gateway.admin.user()
      const { last } = answerWith(gateway, (usual) => ({
        ...usual,
        headers: { ...usual.headers, 'content-encoding': 'deflate' },
        steps: [deflateSync(bytesOf(usual))],
      }))
      const answer = await post(gateway, provider, key, bodyOf(provider, { stream }))
      expect(answer.headers.get('content-encoding')).toBe('deflate')
      // `fetch` decompresses it.
      expect(await answer.text()).toBe(inflateSync(bytesOf(last())).toString())
      expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'hold', output_tokens: 10 })
    }
  })

  test('an answer is read, although it says that it is in an encoding which is none', async () => {
    // Servers say `none` so that a proxy does not hold a stream back to compress it.
    for (const [encoding, stream] of [
      ['none', true],
      ['none', false],
      ['Identity', true],
    ] as const) {
      const { id, key } = await gateway.admin.user()
      answerWith(gateway, (usual) => ({ ...usual, headers: { ...usual.headers, 'content-encoding': encoding } }))
      const answer = await post(gateway, provider, key, bodyOf(provider, { stream }))
      expect(answer.headers.get('content-encoding')).toBeNull()
      await answer.text()
      expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', output_tokens: 10 })
    }
  })

  test('a JSON answer of several megabytes is exact and metered', async () => {
    const { id, key } = await gateway.admin.user()
    const { last } = answerWith(gateway, (usual) => ({
      ...usual,
      steps: [String(usual.steps[0]).replace('Hello', 'é日😀'.repeat(MEGABYTE / 2))],
    }))
    const answer = await post(gateway, provider, key, bodyOf(provider))
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytesOf(last()))).toBe(true)
    expect(await onlyEvent(gateway, id)).toMatchObject({ usage_source: 'reported', output_tokens: 10 })
  })

  test('a redirect is passed on, not followed: the credential stays with the host that was configured', async () => {
    gateway.provider.reply = () => json({}, 307, { location: 'http://127.0.0.1:1/elsewhere' })
    const answer = await fetch(`${gateway.url}/${provider}/v1/models`, {
      headers: { authorization: `Bearer ${user.key}`, 'anthropic-version': '2023-06-01' },
      redirect: 'manual',
    })
    expect(answer.status).toBe(307)
    expect(gateway.provider.requests).toHaveLength(1)
  })

  test('a redirect takes no Tollgate key to another host, whichever header it came in', async () => {
    const reached: string[] = []
    const elsewhere = createServer(({ rawHeaders }, response) => {
      reached.push(rawHeaders.join())
      response.end()
    })
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void elsewhere.close())
    const { port } = elsewhere.address() as AddressInfo
    gateway.provider.reply = () => json({}, 307, { location: `http://127.0.0.1:${port}/` })
    const follow = (headers: Record<string, string>) => fetch(`${gateway.url}/${provider}/v1/models`, { headers })
    const bearer = { authorization: `Bearer ${user.key}` }
    await follow(bearer)
    expect(reached).toHaveLength(1)
    const answers = await Promise.all([
      follow({ 'x-tollgate-key': user.key }),
      follow({ 'x-tollgate-key': user.key, authorization: 'Bearer sk-own' }),
      follow({ ...bearer, 'x-api-key': user.key }),
      follow({ ...bearer, 'x-goog-api-key': `Bearer ${user.key}` }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([307, 307, 307, 307])
    expect(reached.join()).not.toContain(user.key)
  })

  test('a provider that switches protocols unasked has given no answer that could be passed on', async () => {
    const { id, key } = await gateway.admin.user()
    gateway.provider.reply = () => ({ status: 101, headers: { connection: 'upgrade', upgrade: 'x' }, steps: [] })
    const answer = await post(gateway, provider, key, bodyOf(provider))
    expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([502, 'false'])
    expect(await answer.text()).toBe('')
    expect(await onlyEvent(gateway, id)).toMatchObject({ status: 101, outcome: 'settled' })
  })
})
