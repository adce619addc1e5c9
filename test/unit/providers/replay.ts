// Replays a recorded answer through a meter in every chunking that cuts it once, and byte by byte.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AnswerHead, Asked, JsonObject, Metered, Operation } from '../../../src/providers/dialect.ts'

export const askedWith = (body: JsonObject, more: Partial<Asked> = {}): Asked => ({
  body,
  bytes: JSON.stringify(body).length,
  params: {},
  query: new URLSearchParams(),
  headers: new Headers(),
  ...more,
})

export const headOf = (format: AnswerHead['format'], headers: HeadersInit = {}): AnswerHead => ({
  status: 200,
  format,
  headers: new Headers(headers),
})

export const vector = (name: string): Uint8Array => readFileSync(join(import.meta.dirname, 'vectors', `${name}.txt`))

export function meterOnce(
  operation: Operation,
  body: JsonObject,
  stream: boolean,
  ...chunks: (Uint8Array | string)[]
): Metered {
  const meter = operation.meter(askedWith(body))(headOf(stream ? 'sse' : 'json'))
  for (const chunk of chunks) meter.push(typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk)
  return meter.end()
}

export const readings = (operation: Operation, body: JsonObject, stream: boolean, bytes: Uint8Array): Metered[] =>
  readingsOf((...chunks) => meterOnce(operation, body, stream, ...chunks), bytes)

/** What each chunking read, once for every different reading. */
export function readingsOf(read: (...chunks: Uint8Array[]) => Metered, bytes: Uint8Array): Metered[] {
  const seen = new Map<string, Metered>()
  const note = (metered: Metered) => seen.set(JSON.stringify(metered), metered)
  for (let at = 0; at <= bytes.length; at++) note(read(bytes.subarray(0, at), bytes.subarray(at)))
  note(read(...[...bytes].map((byte) => new Uint8Array([byte]))))
  return [...seen.values()]
}
