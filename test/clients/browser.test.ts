// Scripts of web pages as clients: what the browser asks first, and what it lets them read.

import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CUT } from '../../src/local/fake-script.ts'
import { bodyOf } from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

const PAGE = 'https://app.example.com'
const PATH = '/openai/v1/chat/completions'
const ALLOWED = 'access-control-allow-origin'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({ vars: { CORS_ORIGINS: `${PAGE}, https://admin.example.com` } })
})
afterAll(() => gateway.close())

function preflight(origin: string, method = 'POST', path = PATH) {
  const asks = { 'access-control-request-method': method, 'access-control-request-headers': 'authorization,x-any' }
  return fetch(gateway.url + path, { method: 'OPTIONS', headers: { origin, ...asks } })
}

test('the preflight of a page that may call is answered without a key, and reaches no provider', async () => {
  for (const [method, path] of [
    ['POST', PATH],
    ['DELETE', '/admin/users/x'],
  ] as const) {
    const answer = await preflight(PAGE, method, path)
    expect([answer.status, answer.headers.get(ALLOWED)]).toEqual([204, PAGE])
    expect(answer.headers.get('access-control-allow-methods')?.split(',')).toContain(method)
    expect(answer.headers.get('access-control-allow-headers')).toBe('authorization,x-any')
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
  }
  expect(gateway.provider.requests).toHaveLength(0)
})

test('any other page gets no leave', async () => {
  for (const origin of [
    'https://evil.example',
    'https://app.example.com.evil.example',
    'http://app.example.com',
    'null',
  ])
    expect((await preflight(origin)).headers.get(ALLOWED)).toBeNull()
})

test('a page reads streams, refusals and their headers', async () => {
  const { key } = await gateway.admin.user([{ cap_type: 'hourly', limits: { requests: 1 } }])
  const answers: Response[] = []
  const client = new OpenAI({
    apiKey: key,
    baseURL: `${gateway.url}/openai/v1`,
    dangerouslyAllowBrowser: true,
    defaultHeaders: { origin: PAGE },
    fetch: async (...args) => {
      const answer = await fetch(...args)
      answers.push(answer)
      return answer
    },
  })
  const seen: string[] = []
  for await (const chunk of await client.chat.completions.create({ ...bodyOf('openai'), stream: true }))
    seen.push(chunk.choices[0]?.delta.content ?? '')
  expect(seen.join('')).not.toBe('')
  await expect(client.chat.completions.create(bodyOf('openai'))).rejects.toThrow(OpenAI.RateLimitError)
  const none = await fetch(gateway.url + PATH, { method: 'POST', headers: { origin: PAGE } })

  expect([...answers, none].map(({ status }) => status)).toEqual([200, 429, 401])
  for (const { headers } of [...answers, none]) {
    expect(headers.get(ALLOWED)).toBe(PAGE)
    expect(headers.get('access-control-expose-headers')).toBe('*')
    expect(headers.get('vary')).toMatch(/\bOrigin\b/)
  }
})

test('a page reads why a batch has no answer, and how full the cap is', async () => {
  const { key } = await gateway.admin.user([{ cap_type: 'hourly', limits: { requests: 1 } }])
  gateway.provider.reply = () => ({
    headers: { 'content-type': 'application/json' },
    steps: ['{"id":"msgbatch_1"', CUT],
  })
  const headers = { origin: PAGE, 'x-api-key': key, 'anthropic-version': '2023-06-01' }
  const answer = await fetch(`${gateway.url}/anthropic/v1/messages/batches/msgbatch_1`, { headers })
  expect([answer.status, answer.headers.get(ALLOWED)]).toEqual([502, PAGE])
  expect(answer.headers.get('access-control-expose-headers')).toBe('*')
  expect(answer.headers.get('ratelimit')).toMatch(/^"hourly-requests";r=0;/)
  expect(answer.headers.get('request-id')).toBe(answer.headers.get('x-tollgate-request-id'))
})
