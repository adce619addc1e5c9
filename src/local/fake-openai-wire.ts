// What the fake OpenAI's APIs share: its error envelope, its forms, and what it remembers.

import { json, type Script } from './fake-script.ts'
import { at, type Choice } from './fake-text.ts'

/** OpenAI's error envelope. */
export function refusal(status: number, message: string, fault: { param?: string; code?: string } = {}): Script {
  const { param = null, code = null } = fault
  return json({ error: { message, type: 'invalid_request_error', param, code } }, status)
}

export const missing = (param: string): Script =>
  refusal(400, `Missing required parameter: '${param}'.`, { param, code: 'missing_required_parameter' })

export const unparsed = (): Script => refusal(400, 'We could not parse the JSON body of your request.')

/** OpenAI's limit of `n`, in chat and legacy completions. */
export const MOST_CHOICES = 128

/** The refusal of an `n` that is not a whole number from 1 to `most`; null for a good one, or none. */
export function tooMany(n: unknown, most: number): Script | null {
  if (n === undefined || n === null) return null
  const isBelow = !(Number.isInteger(n) && Number(n) >= 1)
  if (!isBelow && Number(n) <= most) return null
  const [fault, code] = isBelow
    ? ['below minimum', 'integer_below_min_value']
    : ['above maximum', 'integer_above_max_value']
  return refusal(400, `Invalid 'n': integer ${fault} value.`, { param: 'n', code })
}

/** Chat completions have the tool's name within `function`, responses do not. */
export function choiceOf(tool_choice: unknown): Choice {
  if (tool_choice === 'none' || tool_choice === 'required') return tool_choice
  const name = at(tool_choice, 'function', 'name') ?? at(tool_choice, 'name')
  return typeof name === 'string' ? [name] : 'auto'
}

export interface FakeFile {
  filename: string
  bytes: Buffer
}

/** Texts and files of a multipart form; null where the body is not one. Reads just what SDKs send. */
export function parseForm(bytes: Buffer, content_type: string): Map<string, string | FakeFile> | null {
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)/i.exec(content_type)?.[1]
  if (!boundary) return null
  const form = new Map<string, string | FakeFile>()
  // Latin-1 keeps every byte a character.
  for (const part of bytes.toString('latin1').split(`--${boundary}`).slice(1, -1)) {
    const [raw = '', ...rest] = part.replace(/^\r\n/, '').split('\r\n\r\n')
    const head = Buffer.from(raw, 'latin1').toString()
    const content = Buffer.from(rest.join('\r\n\r\n').replace(/\r\n$/, ''), 'latin1')
    const name = /name="([^"]*)"/.exec(head)?.[1] ?? ''
    const filename = /filename="([^"]*)"/.exec(head)?.[1]
    // Files of a list (`image[]`) have the same name.
    const key = form.has(name) ? `${name} ${form.size}` : name
    form.set(key, filename === undefined ? content.toString() : { filename, bytes: content })
  }
  return form
}

/** The files of a form. */
export const filesOf = (form: Map<string, string | FakeFile>): FakeFile[] =>
  [...form.values()].filter((value) => typeof value !== 'string')

const REMEMBERED = 1_000

/** A map that forgets its oldest entries. */
export function memory<T>(): Map<string, T> {
  return new (class extends Map<string, T> {
    override set(id: string, value: T): this {
      const oldest = this.keys().next().value
      if (this.size >= REMEMBERED && oldest !== undefined && !this.has(id)) this.delete(oldest)
      return super.set(id, value)
    }
  })()
}
