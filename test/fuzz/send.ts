// One request over a kept connection, as node:http writes it: it lets nearly everything pass.

import { Agent, request } from 'node:http'
import type { FuzzRequest } from './requests.ts'

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

/** `cut`: the connection ended as the request had it. `hang`: no whole answer in time. `broken`: it ended by itself. */
export type Sent = Answer | { lost: 'cut' | 'hang' | 'broken'; why: string }

export const LONGEST_MS = 5_000

export const newAgent = () => new Agent({ keepAlive: true, maxSockets: 64 })

/** A kept connection may be closed while the next request is on its way: that one is sent again, over a new one. */
export async function send(base: string, agent: Agent, request: FuzzRequest): Promise<Sent> {
  const sent = await sendOver(base, agent, request)
  return 'lost' in sent && sent.lost === 'broken' ? sendOver(base, false, request) : sent
}

function sendOver(
  base: string,
  agent: Agent | false,
  { method, path, headers, body, framing }: FuzzRequest,
): Promise<Sent> {
  const { promise, resolve } = Promise.withResolvers<Sent>()
  const { hostname, port } = new URL(base)
  const bytes = body === null ? null : Buffer.from(body)
  const outgoing = request({ agent, hostname, port, method, path })
  for (const [name, value] of headers) outgoing.appendHeader(name, Buffer.from(value).toString('latin1'))
  const late = setTimeout(() => {
    resolve({ lost: 'hang', why: `nothing whole after ${LONGEST_MS} ms` })
    outgoing.destroy()
  }, LONGEST_MS)
  outgoing.on('error', ({ message }) => resolve({ lost: framing === 'cut' ? 'cut' : 'broken', why: message }))
  outgoing.on('response', (incoming) => {
    const parts: Buffer[] = []
    incoming.on('data', (part) => parts.push(part))
    incoming.on('error', ({ message }) => resolve({ lost: framing === 'cut' ? 'cut' : 'broken', why: message }))
    incoming.on('end', () =>
      resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text: Buffer.concat(parts).toString() }),
    )
  })
  if (bytes === null) outgoing.end()
  else if (framing === 'cut') {
    outgoing.setHeader('content-length', bytes.length + 7)
    // One half goes away, the other half closes its side alone and still hears an answer.
    const leave = () => (bytes.length % 2 ? outgoing.destroy(new Error('cut on purpose')) : outgoing.socket?.end())
    outgoing.write(bytes, () => setImmediate(leave))
  } else if (framing === 'chunked') {
    // Said explicitly: of a GET, node would write the bytes without any frame.
    outgoing.setHeader('transfer-encoding', 'chunked')
    const size = Math.ceil(bytes.length / 3) + 1
    for (let at = 0; at < bytes.length; at += size) outgoing.write(bytes.subarray(at, at + size))
    outgoing.end()
  } else {
    outgoing.setHeader('content-length', bytes.length)
    outgoing.end(bytes)
  }
  return promise.finally(() => clearTimeout(late))
}
