// What the fake model says, and the small things that both fake dialects need. One piece is one token.

import { randomBytes } from 'node:crypto'

export type Body = Record<string, unknown>

const SENTENCE = 'Hello from the fake provider : every word of this sentence counts as one token .'

export interface Said {
  /** Text, or the argument JSON of a tool call, in pieces of one token. */
  pieces: string[]
  truncated: boolean
  /** The name of the tool that is called; null for text. */
  tool: string | null
}

/** @param bound the request's output bound in tokens; null for none. */
export function say(tools: { name: string; schema: unknown }[], lastUserText: string, bound: number | null): Said {
  const tool = /\btool\b/i.test(lastUserText) ? tools[0] : undefined
  const full = tool ? JSON.stringify(argumentsFor(tool.schema)).match(/.{1,4}/gsu) : SENTENCE.match(/\s*\S+/g)
  const pieces = (full ?? []).slice(0, bound ?? undefined)
  return { pieces, truncated: pieces.length < (full ?? []).length, tool: tool?.name ?? null }
}

/** The text of the last message whose role is `user`, in either dialect. */
export function lastUserText(messages: unknown): string {
  const last = Array.isArray(messages)
    ? messages.findLast((message) => isBody(message) && message.role === 'user')
    : null
  if (!isBody(last)) return ''
  if (typeof last.content === 'string') return last.content
  const parts = Array.isArray(last.content) ? last.content : []
  return parts.map((part) => (isBody(part) && typeof part.text === 'string' ? part.text : '')).join(' ')
}

function argumentsFor(schema: unknown): Body {
  const properties = isBody(schema) && isBody(schema.properties) ? schema.properties : {}
  return Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, valueFor(property)]))
}

function valueFor(property: unknown): unknown {
  if (!isBody(property)) return null
  if (Array.isArray(property.enum)) return property.enum[0]
  if (property.type === 'object') return argumentsFor(property)
  return { string: 'Paris', integer: 3, number: 1.5, boolean: true, array: [] }[String(property.type)] ?? null
}

/** An upper bound of nothing real: a quarter of the body's bytes, at least one. */
export function promptTokens(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / 4))
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

export function randomId(prefix: string, length: number): string {
  return prefix + Array.from(randomBytes(length), (byte) => LETTERS[byte % LETTERS.length]).join('')
}

export function isBody(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Null for what is no JSON object. */
export function parseBody(text: Buffer | string): Body | null {
  try {
    const value: unknown = JSON.parse(text.toString())
    return isBody(value) ? value : null
  } catch {
    return null
  }
}
