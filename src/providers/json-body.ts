// A JSON body that can be edited without touching what was not asked for: top-level members are found by their place in
// the body, so that big integers, key order, escapes and whitespace reach the provider as the client sent them. Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import { isObject, parseJsonOrUndefined } from './answer.ts'
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  concatBytes,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './bytes.ts'
import type { Edit, JsonObject } from './dialect.ts'
import { visit } from './text-bound.ts'

/** Deeper bodies overflow the stacks of recursive parsers further on (serde_json stops at 128). */
const MAX_DEPTH = 500

/** Small values grow fifteenfold when they are parsed: 20 MiB of `[],` would fill the memory that all callers share. */
const MAX_VALUES = 500_000
/** Each name that no other object has is kept and looked up by itself: 240,000 are more than all of that memory. */
const MAX_NAMES = 100_000

/** What an error repeats of the path of a field. */
const MAX_PATH_LENGTH = 200

/** Where a member's value is, end excluded. */
interface Span {
  start: number
  end: number
}

interface Member extends Span {
  /** How many names the text has inside. */
  names: number
}

/** Without its text, which takes once or twice the memory of its bytes. */
export interface JsonBody {
  bytes: Uint8Array
  value: JsonObject
  /** In the order of the text, by its characters: see `spansInBytes`. */
  members: ReadonlyMap<string, Span>
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
  const members = findMembers(text)
  if (isRefusal(members)) return members
  // `{"generationConfig":{"maxOutputTokens":99999,"maxOutputTokens":1}}`: JSON.parse has kept one of them.
  for (const [field, { names }] of members) {
    if (names === countNames(value[field])) continue
    const path = repeatedName(text).slice(0, MAX_PATH_LENGTH)
    return invalid(`The field ${JSON.stringify(path)} occurs more than once.`, path)
  }
  return { bytes, value, members }
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

/** Where members are in the bytes. To find that takes longer than to parse them, and most calls ask for none. */
export function spansInBytes({ bytes, members }: JsonBody, isAsked = (_name: string) => true): Map<string, Span> {
  const spans = new Map<string, Span>()
  let character = 0
  let at = 0
  const byteAt = (place: number) => {
    while (character < place) {
      const first = bytes[at] ?? 0
      at += first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
      // What has four bytes is a pair of surrogates in the text.
      character += first < 0xf0 ? 1 : 2
    }
    return at
  }
  for (const [name, { start, end }] of members) {
    if (isAsked(name)) spans.set(name, { start: byteAt(start), end: byteAt(end) })
  }
  return spans
}

/** Counts what opens or parts values, outside strings. The text may still be anything. */
function hasFewValues(text: string): boolean {
  if (text.length <= MAX_VALUES) return true
  let values = 0
  const names = new Set<string>()
  for (let at = 0; at < text.length && names.size <= MAX_NAMES; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      const end = skipString(text, at)
      if (text.charCodeAt(skipSpace(text, end)) === COLON) names.add(text.slice(at, end))
      at = end - 1
    } else if (code === COMMA || code === OPEN_BRACKET || code === OPEN_BRACE) values += 1
  }
  return values <= MAX_VALUES && names.size <= MAX_NAMES
}

/** Of all objects inside. */
function countNames(value: unknown): number {
  let names = 0
  visit(value, (_, name) => {
    if (name !== null) names += 1
  })
  return names
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

/** The top-level members of an object that JSON.parse has accepted, by characters. Iterative: depth costs no stack. */
function findMembers(text: string): Map<string, Member> | GatewayError {
  const members = new Map<string, Member>()
  let at = skipSpace(text, skipSpace(text, 0) + 1)
  while (text.charCodeAt(at) !== CLOSE_BRACE) {
    const keyEnd = skipString(text, at)
    // JSON.parse decodes escapes: "max\u005ftokens" is max_tokens.
    const key: string = JSON.parse(text.slice(at, keyEnd))
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const names = { count: 0 }
    const end = skipValue(text, start, names)
    if (end === null) return invalid(`The request body is nested more than ${MAX_DEPTH} levels deep.`, key)
    // Parsers disagree on which of two wins: a bound checked here must be the one that the provider reads.
    if (members.has(key)) return invalid(`The field ${JSON.stringify(key)} occurs more than once.`, key)
    members.set(key, { start, end, names: names.count })
    at = skipSpace(text, end)
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1)
  }
  return members
}

const isSpace = (code: number) => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

function skipSpace(text: string, from: number): number {
  let at = from
  while (isSpace(text.charCodeAt(at))) at++
  return at
}

/**
 * The place after the string that opens at `from`, or the text's end where nothing closes it. Jumps from quote to quote,
 * each backslash is looked at once.
 */
function skipString(text: string, from: number): number {
  let quote = from
  for (;;) {
    quote = text.indexOf('"', quote + 1)
    if (quote === -1) return text.length
    let backslashes = 0
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return quote + 1
  }
}

/** The path of the first name that an object of valid JSON has twice: `messages[0].role`. */
function repeatedName(text: string): string {
  const open: { names: Set<string> | null; here: string | number }[] = []
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    const top = open.at(-1)
    if (code === OPEN_BRACE) open.push({ names: new Set(), here: '' })
    else if (code === OPEN_BRACKET) open.push({ names: null, here: 0 })
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) open.pop()
    else if (code === COMMA && typeof top?.here === 'number') top.here += 1
    else if (code === QUOTE) {
      const end = skipString(text, at)
      if (top?.names && text.charCodeAt(skipSpace(text, end)) === COLON) {
        const name: string = JSON.parse(text.slice(at, end))
        top.here = name
        if (top.names.has(name)) break
        top.names.add(name)
      }
      at = end - 1
    }
  }
  return open
    .map(({ here }) => (typeof here === 'number' ? `[${here}]` : `.${here}`))
    .join('')
    .slice(1)
}

/** The place after the value at `from`; null where it is nested too deep. Counts the names inside. */
function skipValue(text: string, from: number, names: { count: number }): number | null {
  let depth = 0
  let at = from
  do {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = skipString(text, at)
      continue
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (++depth > MAX_DEPTH) return null
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth--
    } else if (code === COLON) {
      names.count += 1
    } else if (depth === 0) {
      // A number or a literal: up to whatever ends it.
      while (at < text.length && !endsScalar(text.charCodeAt(at))) at++
      return at
    }
    at++
  } while (depth > 0)
  return at
}

const endsScalar = (code: number) => code === COMMA || code === CLOSE_BRACE || isSpace(code)
