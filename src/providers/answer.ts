// What every dialect's meter shares: reading untrusted JSON and counting tokens and bytes. Pure, and never throws.

import { utf8Length, visit } from './text-bound.ts'

/** More tokens than any model takes: a count above it is an error, not usage. Keeps money exact, too. */
const MAX_TOKENS = 1_000_000_000

/** A JSON answer longer than this is not kept for parsing: its usage is unknown. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

const MAX_NAME_LENGTH = 200

export function isObject(value: unknown): value is { [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A provider's name for something; longer ones are cut: what ends up in an event has a size. */
export function stringOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value.slice(0, MAX_NAME_LENGTH) : null
}

/** Undefined where the text is not JSON. */
export function parseJsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A count of tokens: absent and null are 0; NaN, which no comparison accepts, where it is anything but a count. */
export function tokenCount(value: unknown): number {
  if (value === undefined || value === null) return 0
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_TOKENS
    ? value
    : Number.NaN
}

/** True where every number of a usage is a count. */
export function isWhole(usage: object): boolean {
  return Object.values(usage).every((count) => Number.isSafeInteger(count))
}

/** UTF-8 bytes of every string inside: an upper bound of the tokens that it took to write them. */
export function bytesOfStrings(value: unknown): number {
  let bytes = 0
  visit(value, (one) => {
    if (typeof one === 'string') bytes += utf8Length(one)
  })
  return bytes
}

/** The provider's own word for an error as one of our stable classes. */
export function errorClass(error: unknown): string {
  const { type, code } = isObject(error) ? error : {}
  const words = `${stringOrNull(type)} ${stringOrNull(code)}`
  if (/rate_limit|quota/.test(words)) return 'upstream_rate_limited'
  if (words.includes('overloaded')) return 'upstream_overloaded'
  return 'upstream_error'
}

export interface AnswerBuffer {
  push(bytes: Uint8Array): void
  /** The JSON of the whole answer; undefined where it is cut, not JSON, or too long to keep. */
  end(): unknown
}

export function bufferAnswer(): AnswerBuffer {
  let text = ''
  let bytes = 0
  const decoder = new TextDecoder()
  return {
    push(chunk) {
      bytes += chunk.length
      if (bytes <= MAX_ANSWER_BYTES) text += decoder.decode(chunk, { stream: true })
      else text = ''
    },
    end() {
      return bytes > MAX_ANSWER_BYTES ? undefined : parseJsonOrUndefined(text + decoder.decode())
    },
  }
}
