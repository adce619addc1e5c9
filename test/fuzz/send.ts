// Sends one request over a kept connection with node:http, which lets nearly everything pass.

import { Agent, request } from 'node:http'
import type { Socket } from 'node:net'
import type { FuzzRequest } from './requests.ts'

export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

/**
 * `cut`: the connection ended as the request's framing says. `hang`: no whole answer in time. `broken`: the connection ended by
 * itself. `raced`: it ended before a byte of an answer, and had been kept from an earlier request with a body, or was still
 * taking a long one; or in the middle of an answer to a GET with a long body, which nobody reads: the close for the rest of
 * that body overtakes the answer.
 */
export type Sent = Answer | { lost: 'cut' | 'hang' | 'broken' | 'raced'; why: string }

/** Prices are published with up to 7.7 s of waits between writes that race (src/admin/prices-publish.ts). */
const LONGEST_MS = 15_000

export const newAgent = () => new Agent({ keepAlive: true, maxSockets: 64 })

/** workerd takes no more than this of a body that nobody reads. */
const GRACE_BYTES = 65_536

/**
 * workerd closes a connection some milliseconds after it has answered a request whose body nobody read (of a GET, say), and
 * does not announce it: the next request may be on its way, or the rest of a body that was too long for anyone, whose
 * sender then does not hear why. Such a request, and no other, is sent once more, over a connection of its own, where the
 * same end is a fault. `onRace` hears of it.
 */
export async function send(base: string, agent: Agent, request: FuzzRequest, onRace: (why: string) => void) {
  const sent = await sendOver(base, agent, request)
  if (!('lost' in sent) || sent.lost !== 'raced') return sent
  onRace(sent.why)
  return sendOver(base, false, request)
}

/** What a connection was last used for. */
const lastUse = new WeakMap<Socket, { what: string; had_body: boolean; ended_at: number }>()

function sendOver(
  base: string,
  agent: Agent | false,
  { method, path, headers, body, encoding, framing }: FuzzRequest,
): Promise<Sent> {
  const { promise, resolve } = Promise.withResolvers<Sent>()
  const { hostname, port } = new URL(base)
  const bytes = body === null ? null : Buffer.from(body, encoding)
  const setHost = !headers.some(([name]) => name === 'host')
  const outgoing = request({ agent, hostname, port, method, path, setHost })
  for (const [name, value] of headers) outgoing.appendHeader(name, Buffer.from(value).toString('latin1'))
  const late = setTimeout(() => {
    resolve({ lost: 'hang', why: `nothing whole after ${LONGEST_MS} ms` })
    outgoing.destroy()
  }, LONGEST_MS)
  let used: Socket | null = null
  let read_before = 0
  outgoing.on('socket', (socket) => {
    used = socket
    read_before = socket.bytesRead
  })
  const onError = ({ message }: Error) => {
    if (framing === 'cut') return resolve({ lost: 'cut', why: message })
    const last = used && lastUse.get(used)
    const isLong = bytes !== null && bytes.length > GRACE_BYTES
    const isUnread = isLong && (method === 'GET' || method === 'HEAD')
    const isUnanswered = used?.bytesRead === read_before
    const raced = isUnread || (isUnanswered && (isLong || (outgoing.reusedSocket && last?.had_body === true)))
    const after = last ? ` ${Math.round(performance.now() - last.ended_at)} ms after ${last.what}` : ''
    resolve({ lost: raced ? 'raced' : 'broken', why: message + after })
  }
  outgoing.on('error', onError)
  outgoing.on('response', (incoming) => {
    const parts: Buffer[] = []
    incoming.on('data', (part) => parts.push(part))
    incoming.on('error', onError)
    incoming.on('end', () => {
      const status = incoming.statusCode ?? 0
      const what = `${status} to ${method} with ${bytes ? `${bytes.length} bytes, ${framing}` : 'no body'}`
      if (used) lastUse.set(used, { what, had_body: bytes !== null, ended_at: performance.now() })
      resolve({ status, headers: incoming.headers, text: Buffer.concat(parts).toString() })
    })
  })
  if (bytes === null) outgoing.end()
  else if (framing === 'cut') {
    outgoing.setHeader('content-length', bytes.length + 7)
    // Half of them go away; the other half close only their own side, and still hear an answer.
    const leave = () => (bytes.length % 2 ? outgoing.destroy(new Error('cut on purpose')) : outgoing.socket?.end())
    outgoing.write(bytes, () => setImmediate(leave))
  } else if (framing === 'chunked') {
    // Set explicitly: for a GET, node would write the bytes without any framing.
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
