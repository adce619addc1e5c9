// Bodies of every shape that an operation takes, with the worst that its provider may bill for each: a token for every
// byte, and for every byte that normalizing the text makes; the whole of what bounds the answer; the dearest caches.

import fc from 'fast-check'
import type { JsonObject } from '../../src/providers/dialect.ts'

export interface AnyCall {
  model: string
  body: JsonObject
  /** Parts of a form: a value of null is a file. Left out: the body is JSON. */
  form?: Record<string, string | null>
  /** The JSON is written with escapes: shorter, where they expand. */
  escaped?: boolean
  query?: string
  /** What the fake says in place of its own, where that is not the worst yet. */
  says?: (tokens: number) => object
}

/** Odd text: ligatures that normalizing makes 18 times longer, half surrogates, control characters, words the fake obeys. */
const odd = fc.constantFrom(
  '\ufdfa',
  'ﬃ',
  '\u{1f469}\u200d\u{1f680}',
  '\ud800',
  '\u0000',
  '"\\',
  'search',
  'tool',
  '㎯',
)
export const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.array(fc.oneof(odd, fc.string({ maxLength: 5 })), { maxLength: 40 }).map((parts) => parts.join(' ')),
)
export const optional = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined })
export const count = (max: number) => fc.integer({ min: 1, max })
export const base64 = fc.base64String({ minLength: 4, maxLength: 400 })
/** Also what is not set at all: `JSON.stringify` leaves it out, and so must the body. */
export const record = <T extends object>(fields: { [name in keyof T]: fc.Arbitrary<T[name]> }) =>
  fc.record(fields).map((one) => Object.fromEntries(Object.entries(one).filter(([, value]) => value !== undefined)))
/** Each fits a window of 2,048 tokens, all of them together do not. */
export const longTexts = fc
  .array(fc.integer({ min: 1_000, max: 2_000 }), { minLength: 3, maxLength: 20 })
  .map((lengths) => lengths.map((length) => 'x'.repeat(length)))
export const many = fc.array(text, { minLength: 1, maxLength: 20 })

/** What a provider writes around tools that are declared. */
export const PREAMBLE = 400
