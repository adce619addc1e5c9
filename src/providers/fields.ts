// Reads fields of a request body: absent and null are the same, anything of the wrong kind is a 400 that names it. And
// writes the granted output bound into one. Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import { isObject } from './answer.ts'
import type { Edit, JsonObject } from './dialect.ts'

export function invalidField(field: string, must: string): GatewayError {
  return { code: 'invalid_request', message: `${field} must be ${must}.`, field }
}

/** 1e400 is Infinity once parsed, and refused like strings, fractions, zero and negative numbers. */
export function readPositiveInteger(
  body: JsonObject,
  name: string,
  { path = name, most = Number.MAX_SAFE_INTEGER } = {},
): number | null | GatewayError {
  const value = readCount(body, name)
  if (value === 0 || isRefusal(value)) return invalidField(path, 'a positive integer')
  return value !== null && value > most ? invalidField(path, `at most ${most}`) : value
}

export function readCount(body: JsonObject, name: string): number | null | GatewayError {
  const value = body[name] ?? null
  if (value === null || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)) return value
  return invalidField(name, 'an integer of at least 0')
}

export function readBoolean(body: JsonObject, name: string, path = name): boolean | GatewayError {
  const value = body[name] ?? false
  return typeof value === 'boolean' ? value : invalidField(path, 'a boolean')
}

/** The text, or '' for anything else. Not `String(value)`, which throws for `{"toString":1}`. */
export const textOrNone = (value: unknown): string => (typeof value === 'string' ? value : '')

export function readModel(body: JsonObject): string | GatewayError {
  const { model } = body
  return typeof model === 'string' && model.length >= 1 && model.length <= 200
    ? model
    : invalidField('model', 'a string of 1 to 200 characters')
}

export function readArray(body: JsonObject, name: string): unknown[] | GatewayError {
  const value = body[name] ?? []
  return Array.isArray(value) ? value : invalidField(name, 'an array')
}

/** The first field outside the list that asks for something, and so for something of unknown cost. */
export function unknownField(body: JsonObject, known: ReadonlySet<string>): string | null {
  for (const [name, value] of Object.entries(body)) {
    const asksNothing = value === null || (Array.isArray(value) && value.length === 0)
    if (!known.has(name) && !asksNothing) return name || '""'
  }
  return null
}

/** True for an object that has no field but this one. */
export function hasOnly(value: unknown, name: string): boolean {
  return isObject(value) && Object.keys(value).every((key) => key === name)
}

/** The edit that writes the granted bound where the client's own is larger or absent. */
export function editBound(body: JsonObject, field: string, granted_output_tokens: number | null): Edit[] {
  const own = body[field]
  if (granted_output_tokens === null || (typeof own === 'number' && own <= granted_output_tokens)) return []
  return [{ field, value: granted_output_tokens }]
}

/** These edits of an object's fields as one edit of the top-level field that holds the object. */
export function editInside(field: string, object: JsonObject, edits: Edit[]): Edit[] {
  const changed = Object.fromEntries(edits.map(({ field, value }) => [field, value]))
  return edits.length === 0 ? [] : [{ field, value: { ...object, ...changed } }]
}
