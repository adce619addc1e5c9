// Ways to change a script of the fake provider's. Pure.

import { brotliCompressSync, gzipSync } from 'node:zlib'
import { bytesOf, CUT, type Script, type Step } from '../../src/local/fake-script.ts'

const mapBytes = (script: Script, map: (bytes: Uint8Array) => Step[]): Script => ({
  ...script,
  steps: script.steps.flatMap((step) => {
    const bytes = bytesOf(step)
    return bytes ? map(bytes) : [step]
  }),
})

/** The same bytes in pieces of at most `size` (1: every byte on its own), each in a write of its own. */
export function inPieces(script: Script, size: number): Script {
  return mapBytes(script, (bytes) =>
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => bytes.slice(index * size, (index + 1) * size)),
  )
}

/** Line ends as CRLF. */
export function withCrlf(script: Script): Script {
  return mapBytes(script, (bytes) => [new TextDecoder().decode(bytes).replaceAll('\n', '\r\n')])
}

/** An SSE answer without the events whose text contains `mark` (`[DONE]`, `"usage":{`). */
export function without(script: Script, mark: string): Script {
  return mapBytes(script, (bytes) => (new TextDecoder().decode(bytes).includes(mark) ? [] : [bytes]))
}

/** The first `count` steps, then others: an error event, a cut, a pause. */
export function afterSteps(script: Script, count: number, ...steps: Step[]): Script {
  return { ...script, steps: [...script.steps.slice(0, count), ...steps] }
}

/** The connection breaks after `count` bytes of the body. */
export function cutAfterBytes(script: Script, count: number): Script {
  const pieces = inPieces(script, 1).steps
  let sent = 0
  const end = pieces.findIndex((step) => bytesOf(step) !== null && ++sent > count)
  return { ...script, steps: [...(end < 0 ? pieces : pieces.slice(0, end)), CUT] }
}

/** The body compressed as one piece, as providers do for clients that accept it. */
export const inGzip = (script: Script) => compressed(script, 'gzip', gzipSync)
export const inBrotli = (script: Script) => compressed(script, 'br', brotliCompressSync)

function compressed(script: Script, encoding: string, compress: (body: Uint8Array) => Uint8Array): Script {
  const body = Buffer.concat(script.steps.map((step) => bytesOf(step) ?? new Uint8Array()))
  return { ...script, headers: { ...script.headers, 'content-encoding': encoding }, steps: [compress(body)] }
}
