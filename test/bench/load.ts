// A load generator of little weight: bare keep-alive sockets, one call at a time on each, every answer checked.

import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'

export interface Load {
  url: URL
  /** Whole HTTP/1.1 requests, sent in turn. */
  requests: Buffer[]
  /** Text that only a whole answer contains. */
  mark: string
  concurrency: number
  /** No call starts later than this. */
  duration_ms: number
  most_calls: number
}

export interface Measured {
  calls: number
  calls_per_second: number
  p50_ms: number
  p99_ms: number
  /** Time until the first SSE event was whole; null where answers have none. */
  first_p50_ms: number | null
  first_p99_ms: number | null
}

interface Answer {
  text: string
  /** By `performance.now()`; null where the answer has no events. */
  first_event_at: number | null
}

const END_OF_EVENT = '\n\n'

export function httpRequest(url: URL, path: string, headers: Record<string, string>, body: string): Buffer {
  const fields = {
    host: url.host,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`)
}

/** Waits for every call that it started. @throws at the first answer that is not a whole 200. */
export async function run({ url, requests, mark, concurrency, duration_ms, most_calls }: Load): Promise<Measured> {
  const sockets = await Promise.all(Array.from({ length: concurrency }, () => connect(url)))
  const latencies: number[] = []
  const firsts: number[] = []
  let started = 0
  const start = performance.now()
  const caller = async (socket: Socket) => {
    for (;;) {
      const sent = performance.now()
      const request = requests[started % requests.length]
      if (!request || started >= most_calls || sent - start > duration_ms) return
      started += 1
      const { text, first_event_at } = await exchange(socket, request)
      latencies.push(performance.now() - sent)
      if (first_event_at !== null) firsts.push(first_event_at - sent)
      if (!text.startsWith('HTTP/1.1 200 ') || !text.includes(mark)) throw new Error(`not a whole 200: ${text}`)
    }
  }
  try {
    await Promise.all(sockets.map(caller))
  } finally {
    for (const socket of sockets) socket.destroy()
  }
  const calls_per_second = (latencies.length * 1000) / (performance.now() - start)
  return {
    calls: latencies.length,
    calls_per_second,
    p50_ms: quantile(latencies, 0.5) ?? Number.NaN,
    p99_ms: quantile(latencies, 0.99) ?? Number.NaN,
    first_p50_ms: quantile(firsts, 0.5),
    first_p99_ms: quantile(firsts, 0.99),
  }
}

function quantile(values: number[], share: number): number | null {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? null
}

async function connect({ hostname, port }: URL): Promise<Socket> {
  const socket = createConnection({ host: hostname, port: Number(port), noDelay: true }).setEncoding('latin1')
  await once(socket, 'connect')
  return socket
}

function exchange(socket: Socket, request: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let text = ''
    let first_event_at: number | null = null
    const done = (settle: () => void) => {
      socket.off('data', onData).off('error', onEnd).off('close', onEnd)
      settle()
    }
    const onData = (part: string) => {
      text += part
      // `\n\n` ends an event and nothing else here: heads use CRLF, and the bench's JSON has no empty lines.
      if (first_event_at === null && text.includes(END_OF_EVENT)) first_event_at = performance.now()
      if (isComplete(text)) done(() => resolve({ text, first_event_at }))
    }
    const onEnd = () => done(() => reject(new Error(`the connection ended within an answer: ${text}`)))
    socket.on('data', onData).on('error', onEnd).on('close', onEnd)
    socket.write(request)
  })
}

/** The bodies have no CRLF of their own, so that a chunked one ends at the first `0` chunk. */
function isComplete(answer: string): boolean {
  const headEnd = answer.indexOf('\r\n\r\n')
  if (headEnd === -1) return false
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(answer.slice(0, headEnd + 2))?.[1]
  return length === undefined ? answer.endsWith('\r\n0\r\n\r\n') : answer.length >= headEnd + 4 + Number(length)
}
