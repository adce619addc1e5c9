// Shortens the long strings of an answer (images and documents as base64) before it is parsed: usage stands after
// megabytes of them. Works on the bytes of JSON, alone or inside server-sent events, in any chunking. Pure.

import { BACKSLASH, CR, cutsOf, indexOfAny, LF, QUOTE, setOfBytes } from './bytes.ts'

/** No string that usage is read from is longer. */
const MAX_STRING_BYTES = 262_144
/** The longest escape: `\u00fc`. */
const ESCAPE_BYTES = 6

const NOTHING = new Uint8Array()
/** All other bytes of a string only make it longer. */
const MARKS = setOfBytes(QUOTE, BACKSLASH, LF, CR)

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
  /** The last line of a chunk, read only once more bytes come, which most often they do not. */
  let unread = NOTHING

  /** How many are kept of so many bytes in a row that are not `MARKS`. */
  const keptOfRun = (bytes: number): number => {
    if (!inString) return bytes
    const kept = Math.min(bytes, most - length)
    length += kept
    shortened ||= kept < bytes
    return kept
  }

  /** 1, or 0 for a byte that is left out. */
  const keptOf = (byte: number): number => {
    const wasEscaped = isEscaped
    isEscaped = false
    // A JSON string holds no line end, so a stray quote does no harm beyond its line.
    if (!inString || byte === LF || byte === CR) {
      inString = byte === QUOTE
      length = 0
    } else if (byte === QUOTE && !wasEscaped) {
      inString = false
    } else {
      isEscaped = byte === BACKSLASH && !wasEscaped
      // Near the limit a backslash is left out with all after it, so that no escape is cut in two.
      if (isEscaped && length >= most - ESCAPE_BYTES) length = most
      return keptOfRun(1)
    }
    return 1
  }

  const cut = (chunk: Uint8Array): Uint8Array => {
    const cuts = cutsOf(chunk)
    for (let at = 0; at < chunk.length; ) {
      const from = at
      if (!isEscaped) at = indexOfAny(chunk, MARKS, at)
      const kept = at > from ? keptOfRun(at - from) : keptOf(chunk[at++] as number)
      if (from + kept < at) cuts.leaveOut(from + kept, at)
    }
    return cuts.rest()
  }

  return {
    push(chunk) {
      cut(unread)
      unread = NOTHING
      if (length + chunk.length <= most - ESCAPE_BYTES) {
        // No string can get too long in this chunk: only the state after its last line matters, and most chunks end with one.
        const line = chunk.at(-1) === LF ? chunk.length : chunk.lastIndexOf(LF) + 1
        if (line > 0) {
          inString = isEscaped = false
          length = 0
        }
        // A copy: the chunk goes on to the client, and its bytes may go with it.
        if (line < chunk.length) unread = chunk.slice(line)
        return chunk
      }
      return cut(chunk)
    },
    get shortened() {
      return shortened
    },
  }
}
