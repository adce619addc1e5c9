// Puts words into the fake provider's mouth: its answers as they are, but for the usage that they tell.

import type { Script } from '../../src/local/fake-script.ts'
import { isObject } from '../../src/providers/answer.ts'
import { createFrameReader, jsonFrame } from '../../src/providers/eventstream.ts'

/** The names under which providers tell usage. What is null there stays null. */
const PLACES = ['usage', 'usageMetadata']

/** @param at the name to add where the answer has none of them. */
export function saying(script: Script, usage: object, at?: string): Script {
  const change = (value: unknown) => {
    const said = withUsage(value, usage)
    return at !== undefined && isObject(said) && !(at in said) ? { ...said, [at]: usage } : said
  }
  return { ...script, steps: script.steps.map((step) => changed(step, change)) }
}

function changed(step: Script['steps'][number], change: (value: unknown) => unknown): Script['steps'][number] {
  if (step instanceof Uint8Array) return isFrame(step) ? changedFrame(step, change) : step
  if (typeof step !== 'string') return step
  // JSON, a line of JSON, an element of an array that grows, or events.
  return step.replace(/^((?:data: )|\[|,\r\n)?(\{.*\})(\]?\r?\n?)$/gm, (_, before = '', json, after) =>
    [before, JSON.stringify(change(JSON.parse(json))), after].join(''),
  )
}

function withUsage(value: unknown, usage: object): unknown {
  if (Array.isArray(value)) return value.map((one) => withUsage(one, usage))
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      PLACES.includes(name) && isObject(one) ? usage : withUsage(one, usage),
    ]),
  )
}

/** AWS's frames begin with their length. */
const isFrame = (bytes: Uint8Array) =>
  bytes.length >= 16 && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) === bytes.length

function changedFrame(bytes: Uint8Array, change: (value: unknown) => unknown): Uint8Array {
  let frame = bytes
  createFrameReader(({ headers, body }) => {
    const value = JSON.parse(new TextDecoder().decode(body))
    frame = jsonFrame(
      headers,
      typeof value.bytes === 'string' ? { ...value, bytes: inside(value.bytes, change) } : (change(value) as object),
    )
  }).push(bytes)
  return frame
}

/** InvokeModel's chunks hold JSON as base64. */
const inside = (base64: string, change: (value: unknown) => unknown) =>
  Buffer.from(JSON.stringify(change(JSON.parse(Buffer.from(base64, 'base64').toString())))).toString('base64')
