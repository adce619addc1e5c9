import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concatBytes } from '../../../src/providers/bytes.ts'
import {
  createFrameReader,
  exceptionFrame,
  type Frame,
  jsonFrame,
  wholeFrames,
} from '../../../src/providers/eventstream.ts'

const FRAMES = ['a', 'bb', ''].map((text) => jsonFrame({ ':message-type': 'event', ':event-type': 'chunk' }, { text }))
const STREAM = concatBytes(FRAMES)

function readingOf(...chunks: Uint8Array[]) {
  const frames: Frame[] = []
  const reader = createFrameReader((frame) => frames.push(frame))
  for (const chunk of chunks) reader.push(chunk)
  return {
    texts: frames.map(({ body }) => new TextDecoder().decode(body)),
    broken: reader.broken,
    pending: reader.pending,
  }
}

const WHOLE = { texts: ['{"text":"a"}', '{"text":"bb"}', '{"text":""}'], broken: false, pending: 0 }

describe('frames', () => {
  test('read alike at every chunk boundary, and byte by byte', () => {
    for (let at = 0; at <= STREAM.length; at++)
      expect(readingOf(STREAM.subarray(0, at), STREAM.subarray(at))).toEqual(WHOLE)
    expect(readingOf(...[...STREAM].map((byte) => new Uint8Array([byte])))).toEqual(WHOLE)
  })

  test('that are cut are pending; that are damaged break the reader, without an exception', () => {
    expect(readingOf(STREAM.subarray(0, -1))).toMatchObject({ texts: WHOLE.texts.slice(0, 2), broken: false })
    const damaged = STREAM.slice()
    damaged[20] = 255
    expect(readingOf(damaged)).toMatchObject({ texts: [], broken: true })
    expect(readingOf(new TextEncoder().encode('{"message":"no frame"}'))).toMatchObject({ texts: [], broken: true })
    expect(readingOf(new Uint8Array(16))).toMatchObject({ broken: true })
  })

  test('of anything at all throw nothing', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => void readingOf(...chunks)))
  })

  test('of an exception name it as AWS does', () => {
    const seen: Frame[] = []
    createFrameReader((frame) => seen.push(frame)).push(exceptionFrame('throttlingException', 'No.'))
    expect(seen[0]?.headers).toMatchObject({ ':message-type': 'exception', ':exception-type': 'throttlingException' })
    expect(new TextDecoder().decode(seen[0]?.body)).toBe('{"message":"No."}')
  })
})

describe('the filter', () => {
  const filtered = (...chunks: Uint8Array[]) => {
    const filter = wholeFrames()
    return concatBytes([...chunks.map((chunk) => filter.push(chunk)), filter.end()])
  }

  test('passes whole frames as they came, whatever the chunks, and holds back one that is cut', () => {
    const [first = STREAM] = FRAMES
    for (let at = 0; at <= STREAM.length; at++) {
      expect(filtered(STREAM.subarray(0, at), STREAM.subarray(at))).toEqual(STREAM)
      const ends = [0, first.length, first.length + (FRAMES[1]?.length ?? 0), STREAM.length]
      expect(filtered(STREAM.subarray(0, at))).toEqual(
        STREAM.subarray(
          0,
          ends.findLast((end) => end <= at),
        ),
      )
    }
  })

  test('leaves what is no frame to the client', () => {
    const text = new TextEncoder().encode('no frames here, at all')
    expect(filtered(...FRAMES, text, text)).toEqual(concatBytes([STREAM, text, text]))
  })
})
