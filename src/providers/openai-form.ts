// Fields of OpenAI's multipart forms, where every value is text or a file. Spelling counts, and so does sending a field
// once: what is read here must be what OpenAI reads. Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import { bytesOfStrings, isObject } from './answer.ts'
import type { JsonObject } from './dialect.ts'
import { invalidField } from './fields.ts'
import { tokensOfText } from './text-bound.ts'

/** Null where it was not sent, or is empty. */
export function readText(form: JsonObject, name: string): string | null | GatewayError {
  const value = form[name] ?? null
  if (value === null || value === '') return null
  return typeof value === 'string' ? value : invalidField(name, 'text, sent once')
}

export function readFormBoolean(form: JsonObject, name: string): boolean | GatewayError {
  const text = readText(form, name)
  if (isRefusal(text)) return text
  return text === null || text === 'true' || text === 'false' ? text === 'true' : invalidField(name, 'true or false')
}

export function readFormCount(form: JsonObject, name: string): number | null | GatewayError {
  const text = readText(form, name)
  if (text === null || isRefusal(text)) return text
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : invalidField(name, 'a positive integer')
}

/** Files of a form, whatever their fields are called. */
export function countFiles(form: JsonObject): number {
  return Object.values(form).flat().filter(isObject).length
}

/** The first field that is not in the list. `image[]` and `image` are two. */
export function unknownFormField(form: JsonObject, known: ReadonlySet<string>): string | null {
  const unknown = Object.keys(form).find((name) => !known.has(name))
  return unknown === undefined ? null : unknown || '""'
}

/** An upper bound of the tokens of all its texts. */
export function tokensOfForm(form: JsonObject): number {
  return tokensOfText(form, bytesOfStrings(form))
}
