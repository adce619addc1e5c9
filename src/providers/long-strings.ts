// Shortens the long strings of an answer (images and documents as base64) before it is parsed: usage stands after
// megabytes of them. Works on the bytes of JSON, alone or inside server-sent events, in any chunking. Pure.

import { BACKSLASH, CR, LF, QUOTE } from './bytes.ts'

/** No string that tells of usage is longer. */
const MAX_STRING_BYTES = 262_144

export interface LongStrings {
  /** What is left of the chunk. */
  push(chunk: Uint8Array): Uint8Array
  /** True once anything was left out: strings counted after that are too short. */
  readonly shortened: boolean
}

export function shortenStrings(): LongStrings {
  let inString = false
  let isEscaped = false
  /** Bytes of this string so far. */
  let length = 0
  let shortened = false

  return {
    push(chunk) {
      // Most chunks end with a line, and are too short to hold such a string.
      if (chunk.at(-1) === LF && length + chunk.length <= MAX_STRING_BYTES - 6) {
        inString = isEscaped = false
        length = 0
        return chunk
      }
      const kept = new Uint8Array(chunk.length)
      let size = 0
      for (const byte of chunk) {
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
          if (length > MAX_STRING_BYTES || (isEscaped && length > MAX_STRING_BYTES - 6)) {
            length = MAX_STRING_BYTES
            shortened = true
            continue
          }
        }
        kept[size++] = byte
      }
      return kept.subarray(0, size)
    },
    get shortened() {
      return shortened
    },
  }
}
