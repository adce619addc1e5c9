// Leaves the numbers of vectors out of an answer before it is parsed: its usage stands after megabytes of them. Works on the
// bytes of JSON, in any chunking. Pure, and never throws.

import { BACKSLASH, CLOSE_BRACKET, keepBytes, OPEN_BRACKET, QUOTE } from './bytes.ts'

const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const SPACE = 0x20

export interface LeftOutNumbers {
  /** What is left of the chunk: an array that begins with a number is empty. */
  push(chunk: Uint8Array): Uint8Array
}

export function leaveOutNumbers(): LeftOutNumbers {
  let inString = false
  let isEscaped = false
  /** Nothing but blanks since the array began. */
  let begins = false
  let inNumbers = false

  /** False for a byte that is left out. */
  const keeps = (byte: number): boolean => {
    if (inString) {
      if (byte === QUOTE && !isEscaped) inString = false
      isEscaped = byte === BACKSLASH && !isEscaped
    } else if (inNumbers) {
      inNumbers = byte !== CLOSE_BRACKET
      return !inNumbers
    } else if (begins && (byte === MINUS || (byte >= ZERO && byte <= NINE))) {
      inNumbers = true
      begins = false
      return false
    } else if (byte > SPACE) {
      inString = byte === QUOTE
      begins = byte === OPEN_BRACKET
    }
    return true
  }

  return { push: (chunk) => keepBytes(chunk, keeps) }
}
