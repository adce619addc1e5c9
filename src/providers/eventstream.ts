// AWS's binary event stream: frames found by their length prefix, decoded with AWS's own codec. Pure, and never throws:
// what it cannot read makes it `broken`. https://smithy.io/2.0/aws/amazon-eventstream.html

import { EventStreamCodec } from '@smithy/eventstream-codec'
import { concatBytes } from './bytes.ts'
import type { StreamFilter } from './dialect.ts'

export interface Frame {
  /** The headers that are strings; AWS sends no others here. */
  headers: { readonly [name: string]: string }
  body: Uint8Array
}

/** Length, length of the headers, checksum of both, checksum of all. */
const LEAST_FRAME_BYTES = 16
/** AWS's own limit. */
const MAX_FRAME_BYTES = 24 * 1024 * 1024

const codec = new EventStreamCodec(
  (bytes) => (typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes)),
  (text) => new TextEncoder().encode(text),
)

export function encodeFrame(headers: Frame['headers'], body: Uint8Array): Uint8Array {
  const typed = Object.entries(headers).map(([name, value]) => [name, { type: 'string' as const, value }] as const)
  return codec.encode({ headers: Object.fromEntries(typed), body })
}

export function jsonFrame(headers: Frame['headers'], value: object): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify(value))
  return encodeFrame({ ':content-type': 'application/json', ...headers }, body)
}

/** A modeled error, which AWS's SDKs throw typed. */
export function exceptionFrame(exception_type: string, message: string): Uint8Array {
  return jsonFrame({ ':message-type': 'exception', ':exception-type': exception_type }, { message })
}

export interface FrameReader {
  push(bytes: Uint8Array): void
  /** True once something was no frame; nothing after it is read. */
  readonly broken: boolean
  /** Bytes of a frame that is not whole yet. */
  readonly pending: number
}

export function createFrameReader(onFrame: (frame: Frame) => void): FrameReader {
  const splitter = createSplitter()
  let broken = false
  return {
    push(bytes) {
      if (broken) return
      for (const whole of splitter.push(bytes)) {
        const frame = decodeFrame(whole)
        if (!frame) {
          broken = true
          return
        }
        onFrame(frame)
      }
      broken = splitter.broken
    },
    get broken() {
      return broken
    },
    get pending() {
      return splitter.pending
    },
  }
}

/** Passes whole frames only, so that an error frame may follow a stream that was cut inside of one. */
export function wholeFrames(): StreamFilter {
  const splitter = createSplitter()
  return {
    push(chunk) {
      // What is no frame is the client's to judge: it passes as it came.
      if (splitter.broken) return chunk
      const whole = splitter.push(chunk)
      return concatBytes(splitter.broken ? [...whole, splitter.rest()] : whole)
    },
    end: () => new Uint8Array(),
  }
}

function decodeFrame(bytes: Uint8Array): Frame | null {
  try {
    const { headers, body } = codec.decode(bytes)
    const strings = Object.entries(headers).flatMap(([name, { value }]) =>
      typeof value === 'string' ? [[name, value] as const] : [],
    )
    return { headers: Object.fromEntries(strings), body }
  } catch {
    return null
  }
}

/** Cuts a stream into frames without looking inside; a frame is copied once, whatever the chunks. */
function createSplitter() {
  let held: Uint8Array[] = []
  let heldBytes = 0
  let wanted = 0
  let broken = false
  const lengthAt = (bytes: Uint8Array, at: number) => new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0)
  const joined = () => {
    const whole = concatBytes(held)
    held = []
    heldBytes = 0
    return whole
  }
  return {
    push(chunk: Uint8Array): Uint8Array[] {
      held.push(chunk.slice())
      heldBytes += chunk.length
      if (heldBytes < Math.max(4, wanted)) return []
      const bytes = joined()
      const frames: Uint8Array[] = []
      let at = 0
      wanted = 0
      while (bytes.length - at >= 4) {
        wanted = lengthAt(bytes, at)
        broken ||= wanted < LEAST_FRAME_BYTES || wanted > MAX_FRAME_BYTES
        if (broken || bytes.length - at < wanted) break
        frames.push(bytes.slice(at, at + wanted))
        at += wanted
        wanted = 0
      }
      if (at < bytes.length) held.push(bytes.subarray(at))
      heldBytes = bytes.length - at
      return frames
    },
    rest: joined,
    get broken() {
      return broken
    },
    get pending() {
      return heldBytes
    },
  }
}
