// Shortens the long strings of an answer (images and documents as base64) before it is parsed: usage stands after
// megabytes of them. Works on the bytes of JSON, alone or inside server-sent events, in any chunking. Pure.

import { BACKSLASH, CR, keepBytes, LF, QUOTE } from './bytes.ts'

/** No string that tells of usage is longer. */
const MAX_STRING_BYTES = 262_144
/** `\u00fc` */
const ESCAPE_BYTES = 6

const NOTHING = new Uint8Array()

export interface LongStrings {
  /** What is left of the chunk. */
  push(chunk: Uint8Array): Uint8Array
  /** True once anything was left out: strings counted after that are too short. */
  readonly shortened: boolean
}

/** @param most bytes that are kept of a string. */
export function shortenStrings(most: number = MAX_STRING_BYTES): LongStrings {
  let inString = false
  let isEscaped = false
  /** Bytes of this string so far. */
  let length = 0
  let shortened = false
  /** The last line so far, where no string was too long: looked at once more comes, which of most answers it never does. */
  let unread = NOTHING

  /** False for a byte that is left out. */
  const keeps = (byte: number): boolean => {
    const wasEscaped = isEscaped
    isEscaped = false
    // No string of JSON goes over a line's end: there a stray quote is forgiven.
    if (!inString || byte === LF || byte === CR) {
      inString = byte === QUOTE
      length = 0
    } else if (byte === QUOTE && !wasEscaped) {
      inString = false
    } else {
      isEscaped = byte === BACKSLASH && !wasEscaped
      length += 1
      // What is left ends where no escape can be cut in two: a backslash and all after it goes.
      if (length > most || (isEscaped && length > most - ESCAPE_BYTES)) {
        length = most
        shortened = true
        return false
      }
    }
    return true
  }

  return {
    push(chunk) {
      for (const byte of unread) keeps(byte)
      unread = NOTHING
      if (length + chunk.length <= most - ESCAPE_BYTES) {
        // No string can end up too long in here: only where its last line leaves off matters, and most chunks end with one.
        const line = chunk.at(-1) === LF ? chunk.length : chunk.lastIndexOf(LF) + 1
        if (line > 0) {
          inString = isEscaped = false
          length = 0
        }
        // A copy: the chunk goes on to the client, and its bytes may go with it.
        if (line < chunk.length) unread = chunk.slice(line)
        return chunk
      }
      return keepBytes(chunk, keeps)
    },
    get shortened() {
      return shortened
    },
  }
}
