// Finds the objects of a JSON array that grows, as Gemini streams, in any chunking. What marks them is ASCII, so nothing
// is decoded to find them. Pure, and never throws.

import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  concatBytes,
  indexOfAny,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  setOfBytes,
} from './bytes.ts'
import type { StreamFilter } from './dialect.ts'
import { MAX_FRAME_BYTES, passWholeFrames } from './whole-frames.ts'

/** All other bytes change nothing. */
const MARKS = setOfBytes(OPEN_BRACE, OPEN_BRACKET, CLOSE_BRACE, CLOSE_BRACKET, QUOTE)
const MARKS_IN_STRING = setOfBytes(BACKSLASH, QUOTE)

interface ArrayScan {
  /** A `Scan` for which whatever follows the array belongs to the last frame. `onEnd` is called with each object's end. */
  scan(chunk: Uint8Array, onEnd?: (at: number) => void): number
  /** True once the array has closed. */
  readonly closed: boolean
  /** True while an object is not whole yet. */
  readonly inFrame: boolean
}

/** A frame is an object at the top, or in an array at the top. */
function scanArray(): ArrayScan {
  let depth = 0
  let inString = false
  let escaped = false
  let closed = false
  const scan: ArrayScan['scan'] = (chunk, onEnd) => {
    let end = 0
    for (let at = 0; at < chunk.length; at++) {
      if (!escaped) at = indexOfAny(chunk, inString ? MARKS_IN_STRING : MARKS, at)
      const byte = chunk[at]
      if (inString) {
        if (escaped) escaped = false
        else if (byte === BACKSLASH) escaped = true
        else if (byte === QUOTE) inString = false
      } else if (byte === QUOTE) inString = true
      else if (byte === OPEN_BRACE || (byte === OPEN_BRACKET && depth > 0)) depth++
      else if (depth > 0 && (byte === CLOSE_BRACE || byte === CLOSE_BRACKET)) {
        depth--
        if (depth > 0) continue
        end = at + 1
        onEnd?.(end)
      } else if (byte === CLOSE_BRACKET) closed = true
    }
    return closed ? chunk.length : end
  }
  return {
    scan,
    get closed() {
      return closed
    },
    get inFrame() {
      return depth > 0
    },
  }
}

export interface ArrayReader {
  push(bytes: Uint8Array): void
  readonly closed: boolean
  /** True once a frame was too long to be kept, and while one is not whole yet. */
  readonly broken: boolean
}

/** Calls back with each object of the array, as it came. */
export function createArrayReader(onFrame: (json: string) => void): ArrayReader {
  const array = scanArray()
  const decoder = new TextDecoder()
  let kept: Uint8Array[] = []
  let length = 0
  let broken = false
  return {
    push(chunk) {
      let from = 0
      array.scan(chunk, (end) => {
        const frame = concatBytes([...kept, chunk.subarray(from, end)])
        // Without the bracket or comma before it.
        if (!broken) onFrame(decoder.decode(frame.subarray(frame.indexOf(OPEN_BRACE))))
        kept = []
        length = 0
        from = end
      })
      length += chunk.length - from
      broken ||= length > MAX_FRAME_BYTES
      if (!broken) kept.push(chunk.slice(from))
    },
    get closed() {
      return array.closed
    },
    get broken() {
      return broken || array.inFrame
    },
  }
}

export function passWholeObjects(): StreamFilter {
  return passWholeFrames(scanArray().scan)
}
