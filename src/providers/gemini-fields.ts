// Names of fields as Google's APIs read them: JSON of a protocol buffer may spell each in lowerCamelCase or as in the proto
// file (`max_output_tokens`). No spelling must escape a bound: both are read as the same field, and a field that is there in
// both is refused. https://protobuf.dev/programming-guides/json/ Pure.

import type { GatewayError } from '../errors.ts'
import { isObject } from './answer.ts'
import type { JsonObject } from './dialect.ts'
import { invalidField } from './fields.ts'

/** What has been found in a body so far. */
export interface Reading {
  /** The model in the path. */
  model: string
  /** The first fault of the client. */
  refusal: GatewayError | null
  /** As in `Bound`. */
  open_input: string | null
  unbounded: string | null
  audio_input: boolean
  /** Tokens beyond (or, below zero, short of) the bytes of the body. */
  added_tokens: number
}

export const startReading = (model = ''): Reading => ({
  model,
  refusal: null,
  open_input: null,
  unbounded: null,
  audio_input: false,
  added_tokens: 0,
})

/** No field of Google's has a longer name. To convert one of megabytes takes seconds, and more memory than a Worker has. */
const MAX_NAME_LENGTH = 100

/** `max_output_tokens` is `maxOutputTokens`; a name that is neither spelling of anything stays as it is. */
function camelCase(name: string): string {
  if (name.length > MAX_NAME_LENGTH) return name
  const camel = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
  const snake = camel.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  return name === snake ? camel : name
}

/** The fields of a message in camelCase, without those that are null. */
export function fieldsOf(message: JsonObject, path: string, reading: Reading): JsonObject {
  const names = new Set<string>()
  const fields: [string, unknown][] = []
  for (const [spelling, value] of Object.entries(message)) {
    const name = camelCase(spelling)
    if (names.has(name)) {
      const field = `${path}${name}`
      reading.refusal ??= { code: 'invalid_request', message: `${field} is given in two spellings.`, field }
    }
    names.add(name)
    if (value !== null) fields.push([name, value])
  }
  return Object.fromEntries(fields)
}

/** A field's name as this message spells it. */
export function spellingOf(message: JsonObject, name: string): string {
  return Object.keys(message).find((spelling) => camelCase(spelling) === name) ?? name
}

/** The first field outside the list, and so of unknown cost. */
export function unknownIn(fields: JsonObject, known: ReadonlySet<string>, path: string): string | null {
  const name = Object.keys(fields).find((one) => !known.has(one))
  return name === undefined ? null : `${path}${name || '""'}`
}

/** Google takes a single value where a list belongs. */
export function listOf(value: unknown): unknown[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : [value]
}

/** The fields of an object; anything else is refused. */
export function messageAt(value: unknown, path: string, reading: Reading): JsonObject {
  if (value === undefined || value === null) return {}
  if (isObject(value)) return fieldsOf(value, `${path}.`, reading)
  reading.refusal ??= invalidField(path, 'an object')
  return {}
}
