// Recorded-shape streams of Bedrock, kept as readable lines and framed here.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createBedrock } from '../../../src/providers/bedrock.ts'
import { concatBytes } from '../../../src/providers/bytes.ts'
import type { AnswerHead, Asked, JsonObject, Metered, Operation } from '../../../src/providers/dialect.ts'
import { encodeFrame, jsonFrame } from '../../../src/providers/eventstream.ts'
import { askedWith, headOf, readingsOf } from './replay.ts'

export const bedrock = createBedrock({ region: 'us-east-1' })

export function operationOf(name: string): Operation {
  const found = bedrock.operations.find((operation) => operation.name === name)
  if (!found) throw new Error(`there is no ${name}`)
  return found
}

const linesOf = (name: string) =>
  readFileSync(join(import.meta.dirname, 'vectors', `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')

/** Frames as they were recorded. */
export function framesOf(name: string): Uint8Array[] {
  return linesOf(name).map((line) => {
    const { headers, body } = JSON.parse(line)
    return encodeFrame(headers, new TextEncoder().encode(JSON.stringify(body)))
  })
}

export const chunkFrame = (text: string) =>
  jsonFrame(
    { ':event-type': 'chunk', ':message-type': 'event' },
    { bytes: Buffer.from(text).toString('base64'), p: 'abcdefgh' },
  )

/** What InvokeModel streams: each line in a chunk. */
export const chunksOf = (name: string): Uint8Array[] => linesOf(name).map(chunkFrame)

export const askedOf = (model: string, body: JsonObject, more: Partial<Asked> = {}) =>
  askedWith(body, { params: { model }, ...more })

export function meterOnce(operation: Operation, asked: Asked, head: AnswerHead, ...chunks: Uint8Array[]): Metered {
  const meter = operation.meter(asked)(head)
  for (const chunk of chunks) meter.push(chunk)
  return meter.end()
}

export function readings(operation: Operation, asked: Asked, frames: Uint8Array[]): Metered[] {
  const head = headOf('eventstream')
  return readingsOf((...chunks) => meterOnce(operation, asked, head, ...chunks), concatBytes(frames))
}
