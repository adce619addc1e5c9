// Clients that call without a pause until they are told to stop, JSON and streams, OpenAI and Anthropic in turn, and
// that write down what became of each call.

import { eventually } from '../support/gateway.ts'

export interface User {
  id: string
  key: string
}

/** Request ids of calls, by what the client saw. */
export interface Seen {
  /** A 200, read to its end. */
  answered: string[]
  /** A 200 that broke off. */
  begun: string[]
  /** Refused by a cap, or as no longer allowed. */
  refused: string[]
  /** Any other answer: the provider or the ledger could not be reached. */
  failed: string[]
  /** No answer at all. */
  unanswered: number
  latencies_ms: number[]
}

export interface Load {
  users: User[]
  seen: Seen
  /** Waits for so many more calls with a 200. */
  more(calls: number, within_ms?: number): Promise<void>
  stop(): Promise<Seen>
}

export type Send = (path: string, init: RequestInit) => Promise<Response>

export interface LoadOptions {
  /** Clients of each user. */
  clients?: number
  headers?: () => Record<string, string>
  /** After each call of a client. */
  pause_ms?: number
}

/** So that a refused client does not keep the processor from the others. */
const PAUSE_MS = 20
const REFUSALS = new Set([401, 402, 403, 429])

/** To a gateway whose URL may change. */
export const sendTo =
  (gateway: { url: string }): Send =>
  (path, init) =>
    fetch(gateway.url + path, init)

export function startLoad(
  send: Send,
  users: User[],
  { clients = 2, headers = () => ({}), pause_ms = 0 }: LoadOptions = {},
): Load {
  const seen = nothingSeen()
  let isOver = false
  let calls = 0

  const client = async (user: User) => {
    while (!isOver) {
      const isCalm = await callOnce(send, user, calls++, headers(), seen)
      const pause = isCalm ? pause_ms : Math.max(pause_ms, PAUSE_MS)
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }
  const running = Promise.all(users.flatMap((user) => Array.from({ length: clients }, () => client(user))))
  return {
    users,
    seen,
    async more(count, within_ms = 30_000) {
      const enough = seen.answered.length + count
      const reached = await eventually(
        async () => seen.answered.length,
        (many) => many >= enough,
        within_ms,
      )
      if (reached < enough)
        throw new Error(`${count - (enough - reached)} of ${count} calls answered in ${within_ms} ms`)
    },
    async stop() {
      isOver = true
      await running
      return seen
    },
  }
}

/** One call, sorted into `seen`. False where the next should wait a little. */
export async function callOnce(
  send: Send,
  user: User,
  number: number,
  headers: Record<string, string>,
  seen: Seen,
): Promise<boolean> {
  const { path, init } = request(user, number, headers)
  const started = performance.now()
  const answer = await send(path, init).catch(() => null)
  if (!answer) {
    seen.unanswered += 1
    return false
  }
  const id = answer.headers.get('x-tollgate-request-id') ?? ''
  const text = await answer.text().catch(() => null)
  if (answer.status !== 200) {
    ;(REFUSALS.has(answer.status) ? seen.refused : seen.failed).push(id)
    return false
  }
  ;(text === null ? seen.begun : seen.answered).push(id)
  seen.latencies_ms.push(performance.now() - started)
  return text !== null
}

/** The provider sees whose call it is. */
function request({ id, key }: User, number: number, headers: Record<string, string>) {
  const stream = number % 2 === 0
  const isOpenai = number % 4 < 2
  const messages = [{ role: 'user', content: `call ${number}` }]
  const body = isOpenai
    ? { model: 'gpt-4o-mini', max_completion_tokens: 12, messages, stream, user: id }
    : { model: 'claude-haiku-4-5-20251001', max_tokens: 12, messages, stream, metadata: { user_id: id } }
  return {
    path: isOpenai ? '/openai/v1/chat/completions' : '/anthropic/v1/messages',
    init: {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'anthropic-version': '2023-06-01',
        ...headers,
      },
      body: JSON.stringify(body),
    },
  }
}

/** As `Seen`, of nothing yet. */
export const nothingSeen = (): Seen => ({
  answered: [],
  begun: [],
  refused: [],
  failed: [],
  unanswered: 0,
  latencies_ms: [],
})
