// Takes out of a client's SSE stream the one chunk that only Tollgate asked for (`choices: []` with a `usage`), and
// nothing else: all other bytes pass as they came, each event as soon as its blank line is there. Pure.

import { isObject, parseJsonOrUndefined } from './answer.ts'
import { CR, concatBytes, indexOfAny, LF, LINE_ENDS } from './bytes.ts'
import type { StreamFilter } from './dialect.ts'

/** An event larger than this is not a usage chunk; it passes without being held. */
const MAX_HELD_BYTES = 1_048_576

export function createUsageChunkFilter(): StreamFilter {
  let held: Uint8Array[] = []
  let heldBytes = 0
  let tooLarge = false
  let lineIsEmpty = true
  let lastWasCr = false
  /** A blank line that ended in CR may go on with the LF of CRLF, which shares the fate of its event. */
  let fateOfLf: 'pass' | 'drop' | null = null

  /** The event that this piece completes, or nothing where it is dropped. */
  const endEvent = (piece: Uint8Array): Uint8Array[] => {
    const event = [...held, piece]
    const drop = !tooLarge && heldBytes + piece.length <= MAX_HELD_BYTES && isUsageChunk(concatBytes(event))
    held = []
    heldBytes = 0
    tooLarge = false
    fateOfLf = drop ? 'drop' : 'pass'
    return drop ? [] : event
  }

  return {
    push(chunk) {
      if (heldBytes === 0 && !tooLarge && lineIsEmpty && !lastWasCr && isWholeAndPlain(chunk)) return chunk
      const passed: Uint8Array[] = []
      let start = 0
      for (let at = 0; at < chunk.length; at++) {
        const lineEnd = indexOfAny(chunk, LINE_ENDS, at)
        if (lineEnd > at) {
          lastWasCr = lineIsEmpty = false
          fateOfLf = null
          at = lineEnd
        }
        if (at === chunk.length) break
        const byte = chunk[at]
        const completesCrLf = lastWasCr && byte === LF
        lastWasCr = byte === CR
        if (completesCrLf) {
          if (fateOfLf === 'pass') passed.push(chunk.subarray(at, at + 1))
          if (fateOfLf !== null) start = at + 1
          fateOfLf = null
          continue
        }
        fateOfLf = null
        if (lineIsEmpty) {
          passed.push(...endEvent(chunk.subarray(start, at + 1)))
          start = at + 1
        } else {
          lineIsEmpty = true
        }
      }

      const rest = chunk.subarray(start)
      heldBytes += rest.length
      if (heldBytes > MAX_HELD_BYTES) tooLarge = true
      if (tooLarge) {
        passed.push(...held, rest)
        held = []
        heldBytes = 0
      } else if (rest.length > 0) {
        // A copy: the caller may reuse its buffer.
        held.push(rest.slice())
      }
      return concatBytes(passed)
    },
    end() {
      return concatBytes(held.length > 0 ? endEvent(new Uint8Array()) : [])
    },
  }
}

const decoder = new TextDecoder()

/** All other chunks say `"usage":null` where usage was asked for: they need no parsing. */
const USAGE = /"usage"\s*:\s*\{/

/** Most chunks are: one whole event or more, and none with usage. */
function isWholeAndPlain(chunk: Uint8Array): boolean {
  return chunk.at(-1) === LF && chunk.at(-2) === LF && !USAGE.test(decoder.decode(chunk))
}

function isUsageChunk(event: Uint8Array): boolean {
  const text = decoder.decode(event)
  if (!USAGE.test(text)) return false
  const data = text
    .split(/\r\n|\n|\r/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice('data:'.length))
    .join('\n')
  const chunk = parseJsonOrUndefined(data)
  return isObject(chunk) && Array.isArray(chunk.choices) && chunk.choices.length === 0 && isObject(chunk.usage)
}
