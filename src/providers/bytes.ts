// Joins, filters and decodes bytes, and names those that mark JSON and events. Pure.

export const LF = 0x0a
export const CR = 0x0d
export const QUOTE = 0x22
export const COMMA = 0x2c
export const COLON = 0x3a
export const OPEN_BRACKET = 0x5b
export const BACKSLASH = 0x5c
export const CLOSE_BRACKET = 0x5d
export const OPEN_BRACE = 0x7b
export const CLOSE_BRACE = 0x7d

export function concatBytes(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** A set of bytes, as a table. */
export function setOfBytes(...members: number[]): Uint8Array {
  const table = new Uint8Array(256)
  for (const member of members) table[member] = 1
  return table
}

export const LINE_ENDS = setOfBytes(LF, CR)

/** Where the first byte of the set is, from `from` on; the length of the bytes where there is none. */
export function indexOfAny(bytes: Uint8Array, set: Uint8Array, from: number): number {
  let at = from
  while (at < bytes.length && set[bytes[at] as number] === 0) at += 1
  return at
}

export interface Cuts {
  /** To be called from front to back. */
  leaveOut(from: number, to: number): void
  /** What is left; the very same bytes where nothing was left out. */
  rest(): Uint8Array
}

export function cutsOf(bytes: Uint8Array): Cuts {
  const kept: Uint8Array[] = []
  let since = 0
  return {
    leaveOut(from, to) {
      if (from > since) kept.push(bytes.subarray(since, from))
      since = to
    },
    rest: () => (since === 0 ? bytes : concatBytes([...kept, bytes.subarray(since)])),
  }
}

/**
 * Text in pieces; without a chunk, its end. A byte order mark at the start is left out, as by `TextDecoder`. workerd's leaves out
 * one at the start of a later chunk, too, unless it keeps them all.
 */
export function utf8Decoder(): (chunk?: Uint8Array) => string {
  const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true })
  let isStart = true
  return (chunk) => {
    const text = decoder.decode(chunk, { stream: chunk !== undefined })
    if (!isStart || text === '') return text
    isStart = false
    return text.startsWith('\ufeff') ? text.slice(1) : text
  }
}
