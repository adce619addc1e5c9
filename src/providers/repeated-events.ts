// Most events of a stream repeat the one before them with another piece of text. Where all else is the same to the letter,
// that text is counted without parsing the event, which is most of what metering costs. Pure, and never throws.

import { utf8Length } from './text-bound.ts'

export interface Repeats {
  /** Bytes of strings in the event's delta, where all else is as in the event last learned; null: it must be parsed. */
  bytesOf(json: string): number | null
  /**
   * @param json an event that was just parsed, in which only the object named `delta` adds to what was seen.
   * @param bytes of the strings in that object.
   */
  learn(json: string, bytes: number): void
}

/** A flat object that ends in a string, in JSON without escapes: there every quote begins or ends a string. */
const DELTA = /"delta": ?\{(?:"[^"]*": ?(?:"[^"]*"|\w+), ?)*"[^"]*": ?"([^"]*)"\}/

/** After this many events in a row that were learned in vain, the stream is taken to be one without repeats. */
const MAX_IN_VAIN = 8

export function recognizeRepeats(): Repeats {
  let known: { before: string; after: string; other_bytes: number } | null = null
  let in_vain = 0
  return {
    bytesOf(json) {
      if (known === null) return null
      const { before, after, other_bytes } = known
      const event = withoutPadding(json)
      const end = event.length - after.length
      const isLikeIt = end >= before.length && event.slice(0, before.length) === before && event.slice(end) === after
      const text = event.slice(before.length, end)
      if (isLikeIt && isPlain(text)) {
        in_vain = 0
        return other_bytes + utf8Length(text)
      }
      // After a different event, even a repeat of an earlier one may say something new.
      known = null
      in_vain += 1
      return null
    },
    learn(json, bytes) {
      if (in_vain >= MAX_IN_VAIN || json.includes('\\')) return
      const isOnly = json.indexOf('"delta"') === json.lastIndexOf('"delta"')
      const found = isOnly ? DELTA.exec(json) : null
      if (!found) return
      const [delta, text = ''] = found
      const end = found.index + delta.length - '"}'.length
      known = {
        before: json.slice(0, end - text.length),
        after: withoutPadding(json).slice(end),
        other_bytes: bytes - utf8Length(text),
      }
    },
  }
}

/** Without the noise at the end of OpenAI's events, which hides their length; what is left of those ends in a quote. */
function withoutPadding(json: string): string {
  const at = json.search(/,"obfuscation":"\w*"\}$/)
  return at === -1 ? json : json.slice(0, at + ',"obfuscation":"'.length)
}

/** True for text that stands in JSON as it is. */
const isPlain = (text: string) => JSON.stringify(text).length === text.length + 2
