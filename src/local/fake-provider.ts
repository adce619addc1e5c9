// A provider for trying and testing without a bill: every API that Tollgate knows on 127.0.0.1, faithful to the wire.
// It records what reaches it, and a test may script any answer. It demands a credential of its own (or a caller's,
// `sk-own...` and the like), which proves that the gateway replaced the Tollgate key.

import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { answerAnthropic } from './fake-anthropic.ts'
import { answerBedrock } from './fake-bedrock.ts'
import { answerGemini, isGemini } from './fake-gemini.ts'
import { answerOpenAI } from './fake-openai.ts'
import { answerPerCall, isPerCall } from './fake-per-call.ts'
import { json, type Outcome, play, type Script } from './fake-script.ts'

export { ANTHROPIC_CREDENTIAL } from './fake-anthropic.ts'
export { AWS_KEYS, BEDROCK_CREDENTIAL } from './fake-bedrock.ts'
export { GOOGLE_CREDENTIAL } from './fake-gemini.ts'
export { OPENAI_CREDENTIAL } from './fake-openai.ts'
export { THINGS_CREDENTIAL } from './fake-per-call.ts'

export interface RecordedRequest {
  method: string
  /** With the query string. */
  path: string
  /** As they came: names in the client's spelling, repeats included. */
  headers: [name: string, value: string][]
  body: Buffer
  /** Settles when the answer has ended. */
  outcome: Promise<Outcome>
}

/** An answer to a request; undefined for the usual one, which `usual` makes. */
export type Reply = (request: RecordedRequest, usual: () => Script) => Script | undefined

export interface FakeProvider {
  /** Base URL of all APIs: `/v1/...` follows. */
  url: string
  requests: RecordedRequest[]
  /** May be replaced at any time. */
  reply: Reply | undefined
  close(): Promise<void>
}

/** Enough for a developer's session; tests clear `requests` themselves. */
const REMEMBERED_REQUESTS = 10_000

/** Listens on 127.0.0.1 only; without a `port`, on any free one. */
export async function startFakeProvider(options: { port?: number; reply?: Reply } = {}): Promise<FakeProvider> {
  const requests: RecordedRequest[] = []
  // By default Node closes a connection after seconds of idleness, maybe just as the worker uses it again.
  const server = createServer({ keepAliveTimeout: 0 }, async (request, response) => {
    const body = await buffer(request).catch(() => null)
    if (!body) return
    const { promise, resolve } = Promise.withResolvers<Outcome>()
    const headers = pairs(request.rawHeaders)
    const recorded = { method: request.method ?? '', path: request.url ?? '', headers, body, outcome: promise }
    requests.push(recorded)
    if (requests.length > REMEMBERED_REQUESTS) requests.shift()
    const usual = () => usualAnswer(request, body)
    resolve(await play(provider.reply?.(recorded, usual) ?? usual(), request, response))
  })
  await once(server.listen(options.port ?? 0, '127.0.0.1'), 'listening')
  const provider: FakeProvider = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    reply: options.reply,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return provider
}

/** An exception is answered with a 500: it must not end the process, in which all of `npm start` runs. */
function usualAnswer(request: IncomingMessage, body: Buffer): Script {
  try {
    return answerAsProvider(request, body)
  } catch (error) {
    console.error('The fake provider has failed:', error)
    return json({ error: { type: 'server_error', message: 'The fake provider has failed.' } }, 500)
  }
}

/** Several providers have `/v1/models`: headers tell whose is meant. */
function answerAsProvider({ method = '', url = '', headers }: IncomingMessage, body: Buffer): Script {
  const asked = new URL(`http://fake${url}`)
  const { pathname } = asked
  if (pathname.startsWith('/model/')) return answerBedrock(method, url, headers, body)
  if (isGemini(asked, headers)) return answerGemini(method, asked, headers, body)
  if (isPerCall(pathname)) return answerPerCall(method, asked, headers)
  const anthropic = pathname.startsWith('/v1/messages') || headers['anthropic-version'] || headers['x-api-key']
  return anthropic
    ? answerAnthropic(method, pathname, headers, body)
    : answerOpenAI(method, url, headers.authorization, body, headers['content-type'])
}

function pairs(rawHeaders: string[]): [string, string][] {
  return Array.from({ length: rawHeaders.length / 2 }, (_, index) => [
    rawHeaders[index * 2] ?? '',
    rawHeaders[index * 2 + 1] ?? '',
  ])
}
