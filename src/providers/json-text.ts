// Walks JSON as text, for what `JSON.parse` does not tell: where members are, which names occur twice, and, before anything
// is parsed, how much there is. Iterative: depth costs no stack. Pure.

import { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './bytes.ts'

/** Deeper bodies overflow the stacks of recursive parsers further on (serde_json stops at 128). */
export const MAX_DEPTH = 500

/** Small values grow fifteenfold when they are parsed: a whole body of `[],` would fill the memory that all callers share. */
export const MAX_VALUES = 500_000
/** JSON.parse keeps each different name apart: 240,000 of them take more than all of that memory. */
export const MAX_NAMES = 100_000

/** Where a member's value is, end excluded. */
export interface Span {
  start: number
  end: number
}

/** Counts what opens or separates values outside strings, and different names. The text need not be JSON. */
export function hasFewValues(text: string): boolean {
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

/**
 * The top-level members of an object that JSON.parse has accepted, by characters, in the order of the text, and how many
 * names it has on all levels; or the member that is nested too deep.
 */
export function findMembers(text: string): { members: Map<string, Span>; names: number } | { too_deep: string } {
  const members = new Map<string, Span>()
  const names = { count: 0 }
  let at = skipSpace(text, skipSpace(text, 0) + 1)
  while (text.charCodeAt(at) !== CLOSE_BRACE) {
    const keyEnd = skipString(text, at)
    // JSON.parse decodes escapes: "max\u005ftokens" is max_tokens.
    const key: string = JSON.parse(text.slice(at, keyEnd))
    names.count += 1
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const end = skipValue(text, start, names)
    if (end === null) return { too_deep: key }
    members.set(key, { start, end })
    at = skipSpace(text, end)
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1)
  }
  return { members, names: names.count }
}

const isSpace = (code: number) => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

function skipSpace(text: string, from: number): number {
  let at = from
  while (isSpace(text.charCodeAt(at))) at++
  return at
}

/**
 * The place after the string that opens at `from`, or the text's end where nothing closes it. Jumps from quote to quote
 * and looks at each backslash once.
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

/** The names of all objects in valid JSON. */
export function namesIn(text: string): string[] {
  const names: string[] = []
  for (let at = text.indexOf('"'); at !== -1; ) {
    const end = skipString(text, at)
    if (text.charCodeAt(skipSpace(text, end)) === COLON) names.push(JSON.parse(text.slice(at, end)))
    at = text.indexOf('"', end)
  }
  return names
}

/** The path of the first name that an object has twice in valid JSON: `messages[0].role`. Empty where none has. */
export function repeatedName(text: string): string {
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
    .replace(/^\./, '')
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
