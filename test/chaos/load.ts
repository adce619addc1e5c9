// Clients that call without a pause until they are told to stop (JSON and streams, OpenAI and Anthropic in turn), and that
// write down what became of each call.

import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../support/gateway.ts'
import { answerIdIn, bodyOf, endsInError, isWhole, type Kind, kindOf, markerOf, nameOf } from './request.ts'

export interface User {
  id: string
  key: string
}

/** A call as its client knows it. */
export interface Call {
  /** Sent with the call, so that the call can be found even if no answer came. */
  marker: string
  user_id: string
  /** Such as `openai stream`. */
  kind: string
  /** From the answer's head; null where Tollgate sent none. */
  request_id: string | null
  status: number | null
  /** True where the connection did not break before the answer's end. */
  is_over: boolean
  /** The provider's own id of the answer that came, as far as it came. */
  answer_id: string | null
  /** The beginning and the end of what was no whole answer. */
  said: string | null
  took_ms: number
}

/** Calls, by what the client saw. */
export interface Seen {
  /** A 200 and every byte of what belongs to it. */
  answered: Call[]
  /** A 200 whose stream ended in the provider's own error event. */
  ended_badly: Call[]
  /** An answer whose connection broke before its end. */
  broken_off: Call[]
  /** A 200 that is not whole although its connection closed normally, which must not happen. */
  cut_short: Call[]
  /** Refused by a cap, or as no longer allowed. */
  refused: Call[]
  /** Any other answer of Tollgate's: the provider or the ledger could not be reached. */
  failed: Call[]
  /** No answer of Tollgate's at all. */
  unanswered: Call[]
  latencies_ms: number[]
}

type Fate = Exclude<keyof Seen, 'latencies_ms'>

export interface Load {
  users: User[]
  seen: Seen
  /** Waits until so many more calls have had a whole 200. */
  more(calls: number, within_ms?: number): Promise<void>
  stop(): Promise<Seen>
}

export type Send = (path: string, init: RequestInit) => Promise<Response>

interface LoadOptions {
  /** Clients of each user. */
  clients?: number
  headers?: () => Record<string, string>
  /** After each call of a client. */
  pause_ms?: number
}

/** Keeps refused clients from taking the processor from others, and unanswered ones from taking it from what restarts. */
const PAUSE_MS: Partial<Record<Fate, number>> = {
  refused: 20,
  failed: 20,
  broken_off: 20,
  cut_short: 20,
  unanswered: 100,
}
const REFUSALS = new Set([401, 402, 403, 429])

/** Sends to a gateway whose URL may change. */
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
      const fate = await callOnce(send, user, calls++, headers(), seen)
      const pause = Math.max(pause_ms, PAUSE_MS[fate] ?? 0)
      if (pause > 0) await sleep(pause)
    }
  }
  const running = Promise.all(users.flatMap((user) => Array.from({ length: clients }, () => client(user))))
  return {
    users,
    seen,
    async more(count, within_ms = 60_000) {
      const enough = seen.answered.length + count
      await eventually(
        async () => seen.answered.length,
        (many) => many >= enough,
        within_ms,
      )
    },
    async stop() {
      isOver = true
      await running
      return seen
    },
  }
}

/** Counts the calls of all loads of this process, so that no two have the same marker. */
let made = 0

/** One call of the kind that the number says, sorted into `seen`. */
export async function callOnce(
  send: Send,
  user: User,
  number: number,
  headers: Record<string, string>,
  seen: Seen,
): Promise<Fate> {
  const kind = kindOf(number)
  const marker = markerOf(made++)
  const { path, body } = bodyOf(kind, marker, user.id)
  const started = performance.now()
  const answer = await send(path, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${user.key}`,
      'content-type': 'application/json',
      'anthropic-version': '2023-06-01',
      'x-tollgate-job-id': marker,
      ...headers,
    },
    body,
  }).catch(() => null)
  const { text, is_over } = answer ? await read(answer) : { text: '', is_over: false }
  // A proxy in front of the worker may answer in its place while it is down.
  const request_id = answer?.headers.get('x-tollgate-request-id') ?? null
  const status = answer?.status ?? null
  const fate = fateOf(kind, request_id === null ? null : status, text, is_over)
  const took_ms = performance.now() - started
  const said = fate === 'answered' ? null : `${text.slice(0, 200)} ... ${text.slice(-200)}`
  seen[fate].push({
    marker,
    user_id: user.id,
    kind: nameOf(kind),
    request_id,
    status,
    is_over,
    answer_id: answerIdIn(text),
    said,
    took_ms,
  })
  if (fate === 'answered') seen.latencies_ms.push(took_ms)
  return fate
}

/** Looks first at what the client has, then at how the connection ended: an answer is whole once all of its bytes are here. */
function fateOf(kind: Kind, status: number | null, text: string, isOver: boolean): Fate {
  if (status === null) return 'unanswered'
  if (REFUSALS.has(status)) return 'refused'
  if (status === 200 && isWhole(kind, text)) return 'answered'
  if (!isOver) return 'broken_off'
  if (status !== 200) return 'failed'
  return endsInError(kind, text) ? 'ended_badly' : 'cut_short'
}

/** What came, and whether it came to its end. */
async function read({ body }: Response): Promise<{ text: string; is_over: boolean }> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const bytes of body ?? []) text += decoder.decode(bytes, { stream: true })
    return { text, is_over: true }
  } catch {
    return { text, is_over: false }
  }
}

export const nothingSeen = (): Seen => ({
  answered: [],
  ended_badly: [],
  broken_off: [],
  cut_short: [],
  refused: [],
  failed: [],
  unanswered: [],
  latencies_ms: [],
})

export const merged = (one: Seen, other: Seen): Seen => ({
  answered: [...one.answered, ...other.answered],
  ended_badly: [...one.ended_badly, ...other.ended_badly],
  broken_off: [...one.broken_off, ...other.broken_off],
  cut_short: [...one.cut_short, ...other.cut_short],
  refused: [...one.refused, ...other.refused],
  failed: [...one.failed, ...other.failed],
  unanswered: [...one.unanswered, ...other.unanswered],
  latencies_ms: [...one.latencies_ms, ...other.latencies_ms],
})
