// Calls as plain HTTP, and a provider that holds its answers back until the test says so: what is in flight is the
// test's to choose.

import type { FakeProvider } from '../../src/local/fake-provider.ts'
import { eventually, type Gateway } from './gateway.ts'

export interface CallOptions {
  /** Fields that are added to the body, or replace its own. */
  body?: Record<string, unknown>
  headers?: Record<string, string>
}

const HELLO = [{ role: 'user', content: 'Hello' }]
const CHAT = { model: 'gpt-4o-mini', messages: HELLO, max_completion_tokens: 16 }
const MESSAGE = { model: 'claude-haiku-4-5-20251001', messages: HELLO, max_tokens: 16 }

/** An OpenAI chat completion that asks for at most 16 tokens. */
export function chat(gateway: Pick<Gateway, 'url'>, key: string, { body, headers }: CallOptions = {}) {
  return fetch(`${gateway.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ ...CHAT, ...body }),
  })
}

/** An Anthropic message of at most 16 tokens. */
export function message(gateway: Pick<Gateway, 'url'>, key: string, { body, headers }: CallOptions = {}) {
  return fetch(`${gateway.url}/anthropic/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': key, 'anthropic-version': '2023-06-01', 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ ...MESSAGE, ...body }),
  })
}

export interface Answered {
  status: number
  headers: Headers
  body: string
  request_id: string
}

/** The whole answer. */
export async function read(call: Promise<Response>): Promise<Answered> {
  const response = await call
  const { status, headers } = response
  return { status, headers, body: await response.text(), request_id: headers.get('x-tollgate-request-id') ?? '' }
}

/** From now on the provider takes requests, but holds its answers back (streams: after the first event) until `open`. */
export function holdAnswers(provider: FakeProvider): { open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const before = provider.reply
  provider.reply = (request, usual) => {
    const script = before?.(request, usual) ?? usual()
    const sent = script.headers?.['content-type']?.startsWith('text/event-stream') ? 1 : 0
    return { ...script, steps: [...script.steps.slice(0, sent), { until: promise }, ...script.steps.slice(sent)] }
  }
  return {
    open() {
      provider.reply = before
      resolve()
    },
  }
}

interface Race {
  admitted: Answered[]
  refused: Answered[]
}

/** Starts all calls at once; no answer ends before each call is either with the provider or refused. */
export async function race({ provider }: Gateway, calls: (() => Promise<Response>)[]): Promise<Race> {
  const forwardedBefore = provider.requests.length
  const gate = holdAnswers(provider)
  let refused = 0
  const answers = calls.map(async (call) => {
    const response = call()
    const { status } = await response
    if (status !== 200) refused += 1
    return read(response)
  })
  const decided = async () => provider.requests.length - forwardedBefore + refused
  await eventually(decided, (count) => count >= calls.length)
  gate.open()
  const answered = await Promise.all(answers)
  return {
    admitted: answered.filter(({ status }) => status === 200),
    refused: answered.filter(({ status }) => status !== 200),
  }
}

export const idsOf = (answers: Answered[]): string[] => answers.map(({ request_id }) => request_id)

/** What `one` returns for each of `count` indexes. */
export const times = <T>(count: number, one: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => one(index))
