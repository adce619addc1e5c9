// What the fake model says, and the small things that all fake dialects need. One piece is one token.

import { randomBytes } from 'node:crypto'
import { isObject, objectOrEmpty, parseJsonOrUndefined } from '../providers/answer.ts'

export type Body = Record<string, unknown>

const SENTENCE = 'Hello from the fake provider : every word of this sentence counts as one token .'

export interface Said {
  /** Text, or the argument JSON of a tool call, in pieces of one token. */
  pieces: string[]
  truncated: boolean
  /** The name of the tool that is called; null for text. */
  tool: string | null
}

export interface Tool {
  name: string
  schema: unknown
}

/** Whether the model may call a tool, must not, must, or must call one of these. */
export type Choice = 'auto' | 'none' | 'required' | string[]

export interface Asked {
  /** A model that may call a tool calls it where this contains the word "tool". */
  userText?: string
  tools?: Tool[]
  choice?: Choice
  /** The text is JSON of this schema; undefined for plain text. */
  schema?: unknown
  /** The output bound in tokens; anything but a number is none. */
  bound: unknown
}

/** The tools in a request's field: where in each its name is, and where beside the name its schema. */
export function toolsIn(tools: unknown, declared_at: string[], schema_at: string[]): Tool[] {
  return (Array.isArray(tools) ? tools : []).flatMap((tool) => {
    const declared = at(tool, ...declared_at)
    const name = at(declared, 'name')
    return typeof name === 'string' ? [{ name, schema: at(declared, ...schema_at) }] : []
  })
}

export function say({ userText = '', tools = [], choice = 'auto', schema, bound }: Asked): Said {
  const tool = choose(tools, choice, userText)
  const value = tool ? objectOrEmpty(valueFor(tool.schema)) : isObject(schema) ? valueFor(schema) : undefined
  const full = (value === undefined ? SENTENCE.match(/\s*\S+/g) : JSON.stringify(value).match(/.{1,4}/gsu)) ?? []
  const pieces = full.slice(0, typeof bound === 'number' ? bound : undefined)
  return { pieces, truncated: pieces.length < full.length, tool: tool?.name ?? null }
}

function choose(tools: Tool[], choice: Choice, userText: string): Tool | undefined {
  if (choice === 'none') return undefined
  if (choice === 'auto') return /\btool\b/i.test(userText) ? tools[0] : undefined
  return choice === 'required' ? tools[0] : tools.find(({ name }) => choice.includes(name))
}

/** The last message's text, if it is the user's. Empty after a tool's result, so that the model does not call the tool again. */
export function lastUserText(messages: unknown): string {
  const last = Array.isArray(messages) ? messages.at(-1) : null
  if (!isObject(last) || last.role !== 'user') return ''
  if (typeof last.content === 'string') return last.content
  const parts = Array.isArray(last.content) ? last.content : []
  return parts.map((part) => (isObject(part) && typeof part.text === 'string' ? part.text : '')).join(' ')
}

/** The schema where any JSON object will do. */
export const ANY_OBJECT = { type: 'object', properties: { city: { type: 'string' } } }

/** The schema in `response_format`, `text.format` or `output_config.format`; undefined where it asks for text. */
export function schemaOf(format: unknown): unknown {
  if (at(format, 'type') === 'json_object') return ANY_OBJECT
  return at(format, 'json_schema', 'schema') ?? at(format, 'schema')
}

const FORMATS = new Map<unknown, string>([
  ['date-time', '2026-11-21T00:00:00Z'],
  ['date', '2026-11-21'],
  ['email', 'ada@example.com'],
  ['uri', 'https://example.com/'],
  ['uuid', '00000000-0000-4000-8000-000000000000'],
])
const MOST_ITEMS = 10

/**
 * A value that fits a schema, whose types are lower case (JSON Schema) or upper case (Gemini); null where none is found.
 * @param open references that are being followed: a schema that contains itself would have no end
 */
function valueFor(schema: unknown, root = schema, open: string[] = []): unknown {
  if (!isObject(schema)) return null
  const { $ref } = schema
  if (typeof $ref === 'string')
    return open.includes($ref) ? null : valueFor(at(root, ...$ref.split('/').slice(1)), root, [...open, $ref])
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0] ?? null
  const properties = objectOrEmpty(schema.properties)
  const type = [schema.type].flat()[0] ?? ('properties' in schema ? 'object' : null)
  switch (String(type).toLowerCase()) {
    case 'object':
      return Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, valueFor(one, root, open)]))
    case 'array': {
      const item = valueFor(schema.items, root, open)
      // One item even without `minItems`, which clients leave out of what they send to some providers.
      const length = Math.min(Number(schema.minItems ?? (item === null ? 0 : 1)), MOST_ITEMS)
      return Array.from({ length }, () => item)
    }
    case 'string':
      return FORMATS.get(schema.format) ?? 'Paris'
    case 'integer':
      return within(schema, 3)
    case 'number':
      return within(schema, 1.5)
    case 'boolean':
      return true
    default: {
      const branches = [schema.anyOf, schema.oneOf, schema.allOf].find(Array.isArray)
      return valueFor(branches?.[0], root, open)
    }
  }
}

const within = ({ minimum = -Infinity, maximum = Infinity }: Body, value: number) =>
  Math.min(Math.max(value, Number(minimum)), Number(maximum))

/** No provider reads an image as text: of one in base64, however large, only so many bytes count. */
const IMAGE_BYTES = 6_000
const IMAGE = /"(data|bytes)":\s*"[^"]*|data:image\/[^"]*/g

/** What a prompt counts as: a token for every four bytes of its body, at least one. */
export function promptTokens(body: Buffer): number {
  const { length } = body.toString('latin1').replace(IMAGE, (image) => image.slice(0, IMAGE_BYTES))
  return Math.max(1, Math.ceil(length / 4))
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

export function randomId(prefix: string, length: number): string {
  return prefix + Array.from(randomBytes(length), (byte) => LETTERS[byte % LETTERS.length]).join('')
}

/** What is below a path of names; undefined where the path ends early. */
export function at(value: unknown, ...path: string[]): unknown {
  return path.reduce((within, name) => (isObject(within) ? within[name] : undefined), value)
}

/** Null for anything but a JSON object. */
export function parseBody(text: Buffer | string): Body | null {
  const value = parseJsonOrUndefined(text.toString())
  return isObject(value) ? value : null
}
