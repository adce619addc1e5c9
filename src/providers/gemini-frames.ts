// Finds whole frames in Gemini's streams, in any chunking: the objects of a JSON array that grows, and events. What
// marks them is ASCII, so bytes are looked at and nothing is decoded. Pure, and never throws.

import { parseJsonOrUndefined } from './answer.ts'
import { concatBytes } from './bytes.ts'
import type { StreamFilter } from './dialect.ts'

/** One frame may hold an image; what is longer is not kept. */
const MAX_FRAME_BYTES = 24 * 1024 * 1024

const LF = 0x0a
const CR = 0x0d
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** Where the last frame of these bytes ends; 0 where none does. What is after the whole stream's end belongs to it. */
type Scan = (chunk: Uint8Array, onEnd?: (at: number) => void) => number

interface ArrayScan {
  scan: Scan
  /** True once the array has closed. */
  readonly closed: boolean
}

/** A frame is an object at the top, or in an array at the top. */
function scanArray(): ArrayScan {
  let depth = 0
  let inString = false
  let escaped = false
  let closed = false
  const scan: Scan = (chunk, onEnd) => {
    let end = 0
    for (let at = 0; at < chunk.length; at++) {
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
      if (closed) end = at + 1
    }
    return end
  }
  return {
    scan,
    get closed() {
      return closed
    },
  }
}

/** An event ends with an empty line: LF, CR or CRLF. */
function scanEvents(): Scan {
  let lineLength = 0
  let afterCr = false
  let afterEnd = false
  return (chunk) => {
    let end = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]
      if (byte === LF && afterCr) {
        afterCr = false
        if (afterEnd) end = at + 1
      } else if (byte === LF || byte === CR) {
        afterEnd = lineLength === 0
        if (afterEnd) end = at + 1
        lineLength = 0
        afterCr = byte === CR
      } else {
        lineLength++
        afterCr = afterEnd = false
      }
    }
    return end
  }
}

export interface ArrayReader {
  push(bytes: Uint8Array): void
  readonly closed: boolean
  /** True once a frame was too long to be kept. */
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
        // The bracket or the comma before it is left away.
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
      return broken
    },
  }
}

/** Lets whole frames pass alone: what comes after a stream that was cut inside one can then be read. */
function passWholeFrames(scan: Scan, isWhole: (rest: Uint8Array) => boolean): StreamFilter {
  let kept: Uint8Array[] = []
  let length = 0
  const release = (...more: Uint8Array[]) => {
    const all = concatBytes([...kept, ...more])
    kept = []
    length = 0
    return all
  }
  return {
    push(chunk) {
      const end = scan(chunk)
      if (end === 0 && length + chunk.length <= MAX_FRAME_BYTES) {
        kept.push(chunk.slice())
        length += chunk.length
        return new Uint8Array()
      }
      const cut = end === 0 ? chunk.length : end
      const out = release(chunk.subarray(0, cut))
      if (cut < chunk.length) {
        kept.push(chunk.slice(cut))
        length = chunk.length - cut
      }
      return out
    },
    end() {
      const rest = release()
      return isWhole(rest) ? rest : new Uint8Array()
    },
  }
}

export function passWholeEvents(): StreamFilter {
  // The last event may lack its empty line.
  return passWholeFrames(scanEvents(), (rest) => {
    const text = new TextDecoder().decode(rest).trim()
    return text.startsWith('data:') && parseJsonOrUndefined(text.slice(5)) !== undefined
  })
}

export function passWholeObjects(): StreamFilter {
  return passWholeFrames(scanArray().scan, () => false)
}
