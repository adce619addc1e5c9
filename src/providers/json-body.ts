// A JSON body that can be edited without touching what was not asked for: top-level members are found by their place in
// the body, so that big integers, key order, escapes and whitespace reach the provider as the client sent them. Pure.

import type { GatewayError } from '../errors.ts'
import { isObject, parseJsonOrUndefined } from './answer.ts'
import { CLOSE_BRACE, concatBytes } from './bytes.ts'
import type { Edit, JsonObject } from './dialect.ts'
import {
  findMembers,
  hasFewValues,
  MAX_DEPTH,
  MAX_NAMES,
  MAX_VALUES,
  namesIn,
  repeatedName,
  type Span,
} from './json-text.ts'
import { visit } from './text-bound.ts'

/** An error repeats at most this much of a field's path, which may be megabytes long. */
const MAX_PATH_LENGTH = 200

/** A parsed body. Its text is not kept, because it takes once or twice the memory of its bytes. */
export interface JsonBody {
  bytes: Uint8Array
  value: JsonObject
  /** In the order of the text. Spans count its characters, not bytes: see `spansInBytes`. */
  members: ReadonlyMap<string, Span>
  /** True where every character is one byte. */
  is_ascii: boolean
}

/** Parses a body strictly: UTF-8 without a byte order mark, one JSON object, no name twice in one object. */
export function parseJsonBody(bytes: Uint8Array): JsonBody | GatewayError {
  const text = decodeUtf8(bytes)
  if (text === null) return invalid('The request body is not valid UTF-8.')
  if (!hasFewValues(text)) {
    return invalid(`The request body must have at most ${MAX_VALUES} values, and ${MAX_NAMES} different names.`)
  }
  // Undefined also where it is too deep for the engine's stack.
  const value = parseJsonOrUndefined(text)
  if (value === undefined) return invalid('The request body is not valid JSON.')
  if (!isObject(value)) return invalid('The request body must be a JSON object.')
  const found = findMembers(text)
  if ('too_deep' in found) {
    return invalid(
      `The request body is nested more than ${MAX_DEPTH} levels deep.`,
      found.too_deep.slice(0, MAX_PATH_LENGTH),
    )
  }
  // `{"generationConfig":{"maxOutputTokens":99999,"maxOutputTokens":1}}`: JSON.parse has kept one of them, and parsers
  // disagree on which. A bound checked here must be the one that the provider reads.
  const read = readNames(value)
  if (found.names !== read.count) {
    const path = repeatedName(text).slice(0, MAX_PATH_LENGTH)
    return invalid(`The field ${JSON.stringify(path)} occurs more than once.`, path)
  }
  // Some versions of V8 (13.6, 15.0) can misread a name with an escape where an earlier object, even of another body, had a name
  // with a backslash that this one, as text, begins with: after `{"q":1,"b\\":1}` they read `{"q":1,"b\u0043":1}` as the same
  // object.
  const misread = read.has_backslash ? findMisread(text, value)?.slice(0, MAX_PATH_LENGTH) : undefined
  if (misread !== undefined) return invalid(`The field ${JSON.stringify(misread)} cannot be read.`, misread)
  return { bytes, value, members: found.members, is_ascii: text.length === bytes.length }
}

/** Sets top-level members; every other byte stays. Without edits the very same bytes come back. */
export function applyEdits(body: JsonBody, edits: Edit[]): Uint8Array {
  const latest = new Map(edits.map((edit) => [edit.field, JSON.stringify(edit.value)]))
  if (latest.size === 0) return body.bytes

  const spans = spansInBytes(body, (name) => latest.has(name))
  const patches: (Span & { text: string })[] = []
  let added = ''
  for (const [field, text] of latest) {
    const span = spans.get(field)
    if (span) patches.push({ ...span, text })
    else added += `,${JSON.stringify(field)}:${text}`
  }
  const end = body.bytes.lastIndexOf(CLOSE_BRACE)
  if (added) patches.push({ start: end, end, text: body.members.size === 0 ? added.slice(1) : added })
  patches.sort((a, b) => a.start - b.start)

  const encoder = new TextEncoder()
  const parts: Uint8Array[] = []
  let from = 0
  for (const patch of patches) {
    parts.push(body.bytes.subarray(from, patch.start), encoder.encode(patch.text))
    from = patch.end
  }
  parts.push(body.bytes.subarray(from))
  return concatBytes(parts)
}

/** Where members are in the bytes. Not done while parsing: it may take longer than parsing, and most calls do not need it. */
export function spansInBytes(
  { bytes, members, is_ascii }: JsonBody,
  isAsked = (_name: string) => true,
): Map<string, Span> {
  const byteAt = is_ascii ? (place: number) => place : byteOffsets(bytes)
  const spans = new Map<string, Span>()
  for (const [name, { start, end }] of members) {
    if (isAsked(name)) spans.set(name, { start: byteAt(start), end: byteAt(end) })
  }
  return spans
}

/** Where characters begin in UTF-8; to be called in ascending order. */
function byteOffsets(bytes: Uint8Array): (place: number) => number {
  let character = 0
  let at = 0
  return (place) => {
    while (character < place) {
      const first = bytes[at] ?? 0
      at += first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
      // Four bytes are a pair of surrogates in the text.
      character += first < 0xf0 ? 1 : 2
    }
    return at
  }
}

/** How many names all objects inside have, each as often as `JSON.parse` kept it, and whether one has a backslash. */
function readNames(value: unknown): { count: number; has_backslash: boolean } {
  const read = { count: 0, has_backslash: false }
  visit(value, (_, name) => {
    if (name === null) return
    read.count += 1
    read.has_backslash ||= name.includes('\\')
  })
  return read
}

/** A name that the text has more often than the value that `JSON.parse` made of it. */
function findMisread(text: string, value: JsonObject): string | undefined {
  const left = new Map<string, number>()
  visit(value, (_, name) => {
    if (name !== null) left.set(name, (left.get(name) ?? 0) + 1)
  })
  return namesIn(text).find((name) => {
    const times = left.get(name) ?? 0
    left.set(name, times - 1)
    return times === 0
  })
}

function invalid(message: string, field?: string): GatewayError {
  return field === undefined ? { code: 'invalid_request', message } : { code: 'invalid_request', message, field }
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    // ignoreBOM keeps the mark in the text, where JSON.parse refuses it: providers do the same.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}
