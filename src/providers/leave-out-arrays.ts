// Leaves the arrays of one name out of an answer before it is read: vectors and log probabilities are a hundred times as
// long as all else, and usage stands after them. Works on the bytes of JSON, alone or inside server-sent events, in any
// chunking. Pure, and never throws.

import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  CR,
  cutsOf,
  indexOfAny,
  LF,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  setOfBytes,
} from './bytes.ts'

const SPACE = 0x20
/** All other bytes change nothing, except in a string that may be the name, and between the name and its array. */
const MARKS = setOfBytes(LF, CR, QUOTE, BACKSLASH, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE)

/**
 * Returns a function from each chunk to what is left of it: the arrays are empty.
 * @param in_events true for events, each with its JSON in one line: an array that is cut off ends with its line.
 */
export function leaveOutArrays(of: string, in_events = false): (chunk: Uint8Array) => Uint8Array {
  const name = new TextEncoder().encode(of)
  let inString = false
  let isEscaped = false
  /** How many bytes of the name this string has matched so far; -1 for another string. */
  let matched = -1
  /** True while nothing but a colon and blanks has come since the name. */
  let isNamed = false
  /** How many brackets are open in the array that is left out; 0 outside of one. */
  let depth = 0

  /** False for a byte that is left out. */
  const keeps = (byte: number): boolean => {
    if (in_events && (byte === LF || byte === CR)) {
      inString = isEscaped = isNamed = false
      depth = 0
    } else if (inString) {
      if (byte === QUOTE && !isEscaped) {
        inString = false
        isNamed = matched === name.length
      } else matched = matched >= 0 && byte === name[matched] ? matched + 1 : -1
      isEscaped = byte === BACKSLASH && !isEscaped
    } else if (byte === QUOTE) {
      inString = true
      matched = 0
    } else if (depth > 0) {
      if (byte === OPEN_BRACKET || byte === OPEN_BRACE) depth += 1
      if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) depth -= 1
      if (depth === 0) isNamed = false
    } else if (isNamed && byte === OPEN_BRACKET) {
      depth = 1
      return true
    } else if (byte !== COLON && byte > SPACE) isNamed = false
    return depth === 0
  }
  const onlyMarksCount = () => (inString ? matched < 0 && !isEscaped : depth > 0 || !isNamed)

  return (chunk) => {
    const cuts = cutsOf(chunk)
    for (let at = 0; at < chunk.length; ) {
      const from = at
      if (onlyMarksCount()) at = indexOfAny(chunk, MARKS, at)
      const isKept = at > from ? depth === 0 : keeps(chunk[at++] as number)
      if (!isKept) cuts.leaveOut(from, at)
    }
    return cuts.rest()
  }
}
