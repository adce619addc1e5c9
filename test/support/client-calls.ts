// Calls as clients make them, and what became of them: SDKs whose attempts are counted, events, statuses.

import Anthropic from '@anthropic-ai/sdk'
import type { z } from '@hono/zod-openapi'
import OpenAI from 'openai'
import { expect } from 'vitest'
import type { Script } from '../../src/local/fake-script.ts'
import type { eventSchema } from '../../src/rest/events.ts'
import type { capStatusSchema } from '../../src/rest/status.ts'
import { eventually, type Gateway } from './gateway.ts'

export type UsageEventView = z.output<typeof eventSchema>
export type CapStatusView = z.output<typeof capStatusSchema>

export interface User {
  id: string
  key: string
}

/** One HTTP request that a client made. */
export interface Attempt {
  url: string
  body: string
  answer: Response | null
}

/** A `fetch` that remembers each request, so that the retries of SDKs show. */
export function countingFetch(): { fetch: typeof fetch; attempts: Attempt[] } {
  const attempts: Attempt[] = []
  return {
    attempts,
    fetch: async (input: unknown, init?: { body?: unknown }) => {
      const attempt: Attempt = {
        url: String(input),
        body: typeof init?.body === 'string' ? init.body : '',
        answer: null,
      }
      attempts.push(attempt)
      attempt.answer = await fetch(input as string, init as RequestInit)
      return attempt.answer
    },
  }
}

/** OpenAI's client with its base URL at this path: `/groq/v1`. */
export function openaiAt(gateway: Gateway, path: string, apiKey: string, options: object = {}) {
  const { fetch, attempts } = countingFetch()
  return { attempts, client: new OpenAI({ baseURL: gateway.url + path, apiKey, fetch, ...options }) }
}

export const openaiOf = (gateway: Gateway, apiKey: string, options?: object) =>
  openaiAt(gateway, '/openai/v1', apiKey, options)

export function anthropicOf(gateway: Gateway, apiKey: string, options: object = {}) {
  const { fetch, attempts } = countingFetch()
  return { attempts, client: new Anthropic({ baseURL: `${gateway.url}/anthropic`, apiKey, fetch, ...options }) }
}

export type Provider = 'openai' | 'anthropic'

/** What each provider's raw calls need. */
export const WIRE = {
  openai: { path: '/openai/v1/chat/completions', headers: {}, model: 'gpt-4o-mini' },
  anthropic: {
    path: '/anthropic/v1/messages',
    headers: { 'anthropic-version': '2023-06-01' },
    model: 'claude-haiku-4-5-20251001',
  },
} as const satisfies Record<Provider, object>

/** A small body that both dialects take. */
export const bodyOf = (provider: Provider, more: object = {}) => ({
  model: WIRE[provider].model,
  max_tokens: 10,
  messages: [{ role: 'user' as const, content: 'hello' }],
  ...more,
})

export interface RawCall {
  headers?: Record<string, string>
  signal?: AbortSignal
  path?: string
  method?: string
}

/** A call without an SDK: `body` is sent as it is. */
export function post(gateway: Gateway, provider: Provider, key: string, body: unknown, more: RawCall = {}) {
  const { path, headers } = WIRE[provider]
  return fetch(gateway.url + (more.path ?? path), {
    method: more.method ?? 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers, ...more.headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    ...(more.signal && { signal: more.signal }),
  })
}

export async function eventsOf(gateway: Gateway, userId: string): Promise<UsageEventView[]> {
  const page = await gateway.admin.call<{ data: UsageEventView[] }>('GET', `/admin/usage/events?user_id=${userId}`)
  return page.data
}

/** The events of a user that has made so many calls, once they are in Postgres. */
export async function allEvents(gateway: Gateway, userId: string, count: number): Promise<UsageEventView[]> {
  const events = await eventually(
    () => eventsOf(gateway, userId),
    ({ length }) => length >= count,
  )
  expect(events).toHaveLength(count)
  return events
}

/** The one event of a user that has made one call, once it is in Postgres. */
export async function onlyEvent(gateway: Gateway, userId: string): Promise<UsageEventView> {
  const [event] = await allEvents(gateway, userId, 1)
  return event ?? expect.unreachable('no event')
}

/** The output tokens that a clamped call was granted, as its answer says. */
export function grantedIn({ headers }: Response): number {
  const said = /^output_tokens=(\d+)$/.exec(headers.get('tollgate-clamped') ?? '')?.[1]
  return Number(said ?? expect.unreachable('the call was not clamped'))
}

/** The user's first cap as the ledger enforces it. */
export async function capOf(gateway: Gateway, userId: string): Promise<CapStatusView> {
  const { data } = await gateway.admin.call<{ data: CapStatusView[] }>('GET', `/admin/users/${userId}/caps/status`)
  return data[0] ?? expect.unreachable('the user has no cap')
}

/** Caps that every call fits under, so that the ledger holds and shows all dimensions. */
export const GENEROUS = [{ cap_type: 'total', limits: { requests: 1e6, tokens: 1e9, cost_usd: 1_000 } }]
export const NOTHING_USED = { requests: 0, tokens: 0, cost_cents: 0, cost_usd: 0 }

/** All that a stream brings. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of stream) all.push(one)
  return all
}

/** The JSON of every `data:` line but `[DONE]`. */
export const eventsIn = (text: string) =>
  text.split('\n').flatMap((line) => (line.startsWith('data: {') ? [JSON.parse(line.slice(6))] : []))

/** What a call fails with. */
export async function failure(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  return expect.unreachable('the call succeeded')
}

/** The bytes of an answer that a script sends. */
export function bytesOf(script: Script): Buffer {
  const parts = script.steps.map((step) =>
    typeof step === 'string' || step instanceof Uint8Array ? Buffer.from(step) : Buffer.alloc(0),
  )
  return Buffer.concat(parts)
}

/** Answers with what `change` makes of the usual answer, and shows what was sent. */
export function answerWith(gateway: Gateway, change: (usual: Script) => Script = (usual) => usual) {
  const sent: Script[] = []
  gateway.provider.reply = (_, usual) => {
    const script = change(usual())
    sent.push(script)
    return script
  }
  return { sent, last: () => sent.at(-1) ?? expect.unreachable('the provider was not asked') }
}

export function lastRequest(gateway: Gateway) {
  return gateway.provider.requests.at(-1) ?? expect.unreachable('nothing reached the provider')
}
