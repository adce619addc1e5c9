// Requests to a provider, through a `fetch` as Cloudflare has it.

import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { sendUpstream } from '../../../src/gateway/upstream-answer.ts'
import { upstreamRequest } from '../../../src/gateway/upstream-request.ts'
import { perCallDialect, perCallServiceSchema } from '../../../src/providers/per-call.ts'

afterEach(() => vi.unstubAllGlobals())

const maps = perCallDialect(
  perCallServiceSchema.parse({
    provider: 'maps',
    base_url: 'https://maps.example',
    credential_header: 'x-maps-key',
    routes: [{ name: 'tile', method: 'GET', path: '/tiles/:tile', usd_per_request: 0.01 }],
  }),
)

/** Keeps answers to static files, without an `Authorization`, under their URL alone: https://developers.cloudflare.com/cache/concepts/default-cache-behavior/ */
function behindCloudflaresCache(provider: (headers: Headers) => Response) {
  const kept = new Map<string, Response>()
  vi.stubGlobal('fetch', async (url: string, { method, headers, cache }: RequestInit & { headers: Headers }) => {
    if (method !== 'GET' || cache === 'no-store' || headers.has('authorization') || !url.endsWith('.png'))
      return provider(headers)
    const answer = kept.get(url) ?? provider(headers)
    if (answer.ok) kept.set(url, answer.clone())
    return answer
  })
}

test('what a provider answered to one credential is not given to another', async () => {
  behindCloudflaresCache(
    (headers) => new Response('tile', { status: headers.get('x-maps-key') === 'good' ? 200 : 401 }),
  )
  const statusFor = async (credential: string) => {
    const { url, init } = upstreamRequest(maps, {
      base_url: 'https://maps.example',
      target: '/tiles/7.png',
      method: 'GET',
      body: null,
      headers: [],
      credential,
    })
    const { answering, silence } = sendUpstream({ url, init }, { first_byte_ms: 60_000, idle_ms: 60_000 })
    onTestFinished(silence.stop)
    return answering.then((answer) => 'status' in answer && answer.status)
  }
  expect(await statusFor('good')).toBe(200)
  expect(await statusFor('made-up')).toBe(401)
})
