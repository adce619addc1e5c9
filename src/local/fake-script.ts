// What the fake provider sends, as data: a script of bytes, pauses and accidents. Playing a script is the only I/O here.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

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

/** Null for a step that is no bytes. */
export function bytesOf(step: Step): Uint8Array | null {
  if (typeof step === 'string') return new TextEncoder().encode(step)
  return step instanceof Uint8Array ? step : null
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
