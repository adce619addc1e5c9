// A value that a JSON schema of the OpenAPI document allows, as far as the document says. Pure.

import fc from 'fast-check'
import type { Json } from './json.ts'

export interface JsonSchema {
  $ref?: string
  type?: string | string[]
  enum?: Json[]
  const?: Json
  example?: Json
  default?: Json
  format?: string
  pattern?: string
  minimum?: number
  minItems?: number
  items?: JsonSchema
  properties?: Record<string, JsonSchema>
  required?: string[]
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  allOf?: JsonSchema[]
}

const FORMATS: Record<string, string> = {
  uuid: '019aa5d5-0000-7000-8000-000000000000',
  email: 'a@b.example',
  'date-time': '2030-01-01T00:00:00Z',
}

/** @param whole false: only what is required. */
export function sampleOf(schema: JsonSchema, shared: Record<string, JsonSchema>, whole: boolean): Json {
  const named = schema.$ref?.split('/').at(-1)
  if (named) return sampleOf(shared[named] ?? {}, shared, whole)
  if (schema.example !== undefined) return schema.example
  if (schema.const !== undefined) return schema.const
  if (schema.enum?.[0] !== undefined) return schema.enum[0]
  const choice = schema.anyOf?.[0] ?? schema.oneOf?.[0]
  if (choice) return sampleOf(choice, shared, whole)
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => sampleOf(part, shared, whole)))
  const type = [schema.type ?? 'null'].flat()[0]
  if (type === 'object') {
    const { properties = {}, required = [] } = schema
    const wanted = Object.entries(properties).filter(([name]) => whole || required.includes(name))
    return Object.fromEntries(wanted.map(([name, value]) => [name, sampleOf(value, shared, whole)]))
  }
  if (type === 'array') return schema.items ? [sampleOf(schema.items, shared, whole)] : []
  if (type === 'string') return textOf(schema)
  if (type === 'boolean') return true
  return type === 'integer' || type === 'number' ? Math.max(1, schema.minimum ?? 1) : null
}

function textOf({ format, pattern, default: usual }: JsonSchema): string {
  if (typeof usual === 'string') return usual
  if (format && FORMATS[format]) return FORMATS[format]
  if (!pattern) return 'text'
  return fc.sample(fc.stringMatching(new RegExp(pattern)), { seed: 1, numRuns: 1 })[0] ?? 'text'
}
