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
  /** True once anything was left out: the bytes of strings counted from then on are too few. */
  readonly shortened: boolean
}

/** @param most bytes that are kept of a string. */
export function shortenStrings(most: number = MAX_STRING_BYTES): LongStrings {
  let inString = false
  let isEscaped = false
  /** Bytes of this string so far. */
  let length = 0
  let shortened = false
  /** The last line of a chunk, read only once more bytes come: for most answers they never do. */
  let unread = NOTHING

  /** False for a byte that is left out. */
  const keeps = (byte: number): boolean => {
    const wasEscaped = isEscaped
    isEscaped = false
    // No string of JSON has a line's end in it: a stray quote does no harm beyond its line.
    if (!inString || byte === LF || byte === CR) {
      inString = byte === QUOTE
      length = 0
    } else if (byte === QUOTE && !wasEscaped) {
      inString = false
    } else {
      isEscaped = byte === BACKSLASH && !wasEscaped
      length += 1
      // A backslash near the limit goes with all after it, so that no escape is cut in two.
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
        // No string gets too long in here: it only matters where the last line leaves off, and most chunks end with a line.
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
