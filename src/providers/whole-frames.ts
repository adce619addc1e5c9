// Passes a stream on in whole frames only, in any chunking: events, or what another scan finds. What marks them is ASCII,
// so nothing is decoded. Pure, and never throws.

import { CR, concatBytes, indexOfAny, LF, LINE_ENDS } from './bytes.ts'
import type { StreamFilter } from './dialect.ts'

/** One frame may hold an image; what is longer is not kept. */
export const MAX_FRAME_BYTES = 24 * 1024 * 1024

/** Where the last frame of these bytes ends; 0 where none does. */
export type Scan = (chunk: Uint8Array) => number

/** An event ends with an empty line: LF, CR or CRLF. */
function scanEvents(): Scan {
  let isLineEmpty = true
  let afterCr = false
  let afterEnd = false
  return (chunk) => {
    let end = 0
    if (chunk.at(-1) === LF && chunk.at(-2) === LF) {
      // Most chunks end with an event: nothing before that matters.
      isLineEmpty = true
      afterCr = false
      afterEnd = true
      return chunk.length
    }
    for (let at = 0; at < chunk.length; at++) {
      const lineEnd = indexOfAny(chunk, LINE_ENDS, at)
      if (lineEnd > at) isLineEmpty = afterCr = afterEnd = false
      at = lineEnd
      const byte = chunk[at]
      if (byte === LF && afterCr) {
        afterCr = false
        if (afterEnd) end = at + 1
      } else if (byte === LF || byte === CR) {
        afterEnd = isLineEmpty
        if (afterEnd) end = at + 1
        isLineEmpty = true
        afterCr = byte === CR
      }
    }
    return end
  }
}

/** Lets only whole frames pass, so that an error can be read even after a stream that was cut inside a frame. */
export function passWholeFrames(scan: Scan): StreamFilter {
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
    end: release,
  }
}

export function passWholeEvents(): StreamFilter {
  return passWholeFrames(scanEvents())
}
