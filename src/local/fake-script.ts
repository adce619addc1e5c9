// What the fake provider sends, as data: a script of bytes, pauses and accidents, and ways to change one. Playing a
// script is the only I/O here.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'

/** One step of an answer. Status and headers go out with the first bytes, or with SEND_HEADERS. */
export type Step =
  | string
  | Uint8Array
  | { delay_ms: number }
  /** Goes on when the promise settles. */
  | { until: Promise<unknown> }
  | { act: 'send_headers' | 'cut' | 'hang' }

export const SEND_HEADERS: Step = { act: 'send_headers' }
/** Destroys the connection. As the first step: no answer at all. */
export const CUT: Step = { act: 'cut' }
/** Sends nothing more until the client goes away. As the first step: never answers. */
export const HANG: Step = { act: 'hang' }

export interface Script {
  status?: number
  headers?: Record<string, string>
  steps: Step[]
}

/** How an answer ended, seen from the provider. */
export type Outcome = 'sent' | 'cut' | 'client_gone'

export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Script {
  return { status, headers: { 'content-type': 'application/json', ...headers }, steps: [JSON.stringify(value)] }
}

/** An SSE answer. */
export function events(steps: string[]): Script {
  return { headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' }, steps }
}

function bytesOf(step: Step): Uint8Array | null {
  if (typeof step === 'string') return new TextEncoder().encode(step)
  return step instanceof Uint8Array ? step : null
}

const mapBytes = (script: Script, map: (bytes: Uint8Array) => Step[]): Script => ({
  ...script,
  steps: script.steps.flatMap((step) => {
    const bytes = bytesOf(step)
    return bytes ? map(bytes) : [step]
  }),
})

/** The same bytes in pieces of at most `size` (1: every byte on its own), each in a write of its own. */
export function inPieces(script: Script, size: number): Script {
  return mapBytes(script, (bytes) =>
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => bytes.slice(index * size, (index + 1) * size)),
  )
}

/** Line ends as CRLF. */
export function withCrlf(script: Script): Script {
  return mapBytes(script, (bytes) => [new TextDecoder().decode(bytes).replaceAll('\n', '\r\n')])
}

/** An SSE answer without the events whose text contains `mark` (`[DONE]`, `"usage":{`). */
export function without(script: Script, mark: string): Script {
  return mapBytes(script, (bytes) => (new TextDecoder().decode(bytes).includes(mark) ? [] : [bytes]))
}

/** The first `count` steps, then others: an error event, a cut, a pause. */
export function afterSteps(script: Script, count: number, ...steps: Step[]): Script {
  return { ...script, steps: [...script.steps.slice(0, count), ...steps] }
}

/** The connection breaks after `count` bytes of the body. */
export function cutAfterBytes(script: Script, count: number): Script {
  const pieces = inPieces(script, 1).steps
  let sent = 0
  const end = pieces.findIndex((step) => bytesOf(step) !== null && ++sent > count)
  return { ...script, steps: [...(end < 0 ? pieces : pieces.slice(0, end)), CUT] }
}

/** The body compressed as one piece, as providers do for clients that accept it. */
export function inGzip(script: Script): Script {
  const body = Buffer.concat(script.steps.map((step) => bytesOf(step) ?? new Uint8Array()))
  return { ...script, headers: { ...script.headers, 'content-encoding': 'gzip' }, steps: [gzipSync(body)] }
}

/** Sends a script. Ends early where the client goes away. */
export async function play(script: Script, request: IncomingMessage, response: ServerResponse): Promise<Outcome> {
  const gone = new AbortController()
  const clientGone = new Promise<void>((resolve) => {
    response.once('close', () => {
      gone.abort()
      resolve()
    })
  })
  response.writeHead(script.status ?? 200, script.headers)
  for (const step of script.steps) {
    if (gone.signal.aborted) return 'client_gone'
    const bytes = bytesOf(step)
    if (bytes) {
      // Listened for at once, because it may come during the turn below.
      const drained = response.write(bytes) || new Promise((resolve) => response.once('drain', resolve))
      // A turn of the event loop between writes, so that each leaves on its own.
      await new Promise((resolve) => setImmediate(resolve))
      if (drained !== true) await Promise.race([drained, clientGone])
    } else if (typeof step === 'object' && 'act' in step) {
      if (step.act === 'send_headers') response.flushHeaders()
      if (step.act === 'hang') await clientGone
      if (step.act === 'cut') {
        request.socket.destroy()
        return 'cut'
      }
    } else if (typeof step === 'object' && 'until' in step) {
      await Promise.race([step.until.catch(() => undefined), clientGone])
    } else if (typeof step === 'object' && 'delay_ms' in step) {
      await sleep(step.delay_ms, undefined, { signal: gone.signal }).catch(() => undefined)
    }
  }
  if (gone.signal.aborted) return 'client_gone'
  response.end()
  await clientGone
  return response.writableFinished ? 'sent' : 'client_gone'
}
