// What a fault is tried on: one kind of call as its official client makes it, and how that client, its provider and its
// events speak of what went wrong. Data and small helpers; the tables are in fault-subjects-*.ts.

import { json, type Script, type Step } from '../../src/local/fake-script.ts'
import { createFrameReader, encodeFrame } from '../../src/providers/eventstream.ts'
import { type Attempt, bytesOf } from './client-calls.ts'
import type { Gateway } from './gateway.ts'

/** One call of a client. */
export interface Asking {
  at: Gateway
  key: string
  /** Goes out in the body, so that the provider knows what to play. */
  text: string
  max_tokens: number
  /** Remembers what each attempt was answered. */
  fetch: typeof fetch
  /** Where each attempt is remembered. `fetch` does so; clients that take no `fetch` do it themselves. */
  attempts: Attempt[]
  signal: AbortSignal
  /** To be called when something of a stream has come. */
  onPiece: () => void
}

export type Charge = 'nothing' | 'hold' | 'reported' | 'estimated'

/** Why Tollgate has an error of its own: before an answer, or within a stream. */
export type Why = 'unreachable' | 'timeout' | 'ended' | 'withdrawn'

/** How an API looks when something goes wrong, whole or streamed. */
export interface Api {
  /** The error of its SDK. */
  isTyped(error: unknown): boolean
  /** The HTTP status of an error that came before any answer. */
  statusOf(error: unknown): number | undefined
  /** What its SDK calls Tollgate's own errors, where it has a class for each. */
  names?: Readonly<Record<Why, string>>
  /** Statuses of Tollgate's own errors after a call went out. */
  unreachable: number
  timeout: number
  /** JSON of any length reaches the client whole or not at all, because AWS's client retries when a body breaks off. */
  is_kept_whole: boolean
  /** The provider's own refusal. */
  refusal(status: number, headers: Record<string, string>): Script
  /** How often its SDK tries at this status, where no header stops it. */
  tries(status: number): number
}

export interface Subject extends Api {
  name: string
  /** Makes the call and reads its answer to the end: what it said. Throws what the client throws. */
  call(asking: Asking): Promise<string>
  /** What a whole answer without usage is charged. */
  unread: Charge
  /** Where prices are by the call: the price is known once the provider has the call, whatever its answer says. */
  is_per_call?: true
  stream: Streaming | null
}

export interface Streaming {
  /** The provider's own error in a stream. It says "busy". */
  errorEvent: Step
  error_class: string
  /** Something that cannot be read, in place of one event. */
  garbage(event: Step): Step
  /** What a stream is charged that had garbage inside, and goes on to tell its usage. */
  garbageCharged: Charge
  /** A stream without its very last event: does its client miss anything, and what is charged? */
  withoutLast: { isShort: boolean; charged: Charge }
  /** Marks the event that only Tollgate asked for. */
  unasked?: string
  /** The script with what `change` makes of each event's JSON. */
  retell(script: Script, change: (json: string) => string): Script
}

export const statusIn = (error: unknown) =>
  error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : undefined

/** Google's and OpenAI's envelope of errors. */
export const refusalWithError = (status: number, headers: Record<string, string>) =>
  json({ error: { code: status, message: 'No.', status: 'SOME_STATUS', type: 'some_error' } }, status, headers)

export const retellText: Streaming['retell'] = (script, change) => ({
  ...script,
  steps: script.steps.map((step) => (typeof step === 'string' ? change(step) : step)),
})

/** JSON in AWS's frames, and in what InvokeModel keeps inside of them. */
export const retellFrames: Streaming['retell'] = (script, change) => {
  const steps: Step[] = []
  const frames = createFrameReader(({ headers, body }) => {
    const event = JSON.parse(new TextDecoder().decode(body))
    if (typeof event.bytes === 'string') event.bytes = btoa(change(atob(event.bytes)))
    steps.push(encodeFrame(headers, new TextEncoder().encode(change(JSON.stringify(event)))))
  })
  frames.push(bytesOf(script))
  return { ...script, steps }
}

/** The frame with one bit flipped, so that its checksum does not match. */
export function corruptFrame(frame: Step): Step {
  if (!(frame instanceof Uint8Array)) return frame
  const corrupt = frame.slice()
  const at = Math.floor(corrupt.length / 2)
  corrupt.set([(corrupt[at] ?? 0) ^ 1], at)
  return corrupt
}
