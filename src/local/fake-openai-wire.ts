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

const WINDOWS: [RegExp, number][] = [
  [/^gpt-4o/, 128_000],
  [/^gpt-4\.1/, 1_047_576],
]

/** Of a prompt that does not fit into the model's context window; null where it does. */
export function tooLong(model: unknown, tokens: number, param: string): Script | null {
  const window = WINDOWS.find(([name]) => name.test(String(model)))?.[1] ?? 400_000
  if (tokens <= window) return null
  const message = `This model's maximum context length is ${window} tokens. However, your ${param} resulted in ${tokens} tokens. Please reduce the length of the ${param}.`
  return refusal(400, message, { param, code: 'context_length_exceeded' })
}

/** Of chat completions, which have the name within `function`, and of responses. */
export function choiceOf(tool_choice: unknown): Choice {
  if (tool_choice === 'none' || tool_choice === 'required') return tool_choice
  const name = at(tool_choice, 'function', 'name') ?? at(tool_choice, 'name')
  return typeof name === 'string' ? [name] : 'auto'
}

export interface FakeFile {
  filename: string
  bytes: Buffer
}

/** Texts and files of a multipart form; null where it is none. Enough for what SDKs send. */
export function parseForm(bytes: Buffer, content_type: string): Map<string, string | FakeFile> | null {
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)/i.exec(content_type)?.[1]
  if (!boundary) return null
  const form = new Map<string, string | FakeFile>()
  // Latin-1 keeps every byte a character.
  for (const part of bytes.toString('latin1').split(`--${boundary}`).slice(1, -1)) {
    const [head = '', ...rest] = part.replace(/^\r\n/, '').split('\r\n\r\n')
    const content = Buffer.from(rest.join('\r\n\r\n').replace(/\r\n$/, ''), 'latin1')
    const name = /name="([^"]*)"/.exec(head)?.[1] ?? ''
    const filename = /filename="([^"]*)"/.exec(head)?.[1]
    form.set(name, filename === undefined ? content.toString() : { filename, bytes: content })
  }
  return form
}

/** The files of a form. */
export const filesOf = (form: Map<string, string | FakeFile>): FakeFile[] =>
  [...form.values()].filter((value) => typeof value !== 'string')

const REMEMBERED = 1_000

/** Forgets the oldest. */
export function memory<T>(): Map<string, T> {
  return new (class extends Map<string, T> {
    override set(id: string, value: T): this {
      const oldest = this.keys().next().value
      if (this.size >= REMEMBERED && oldest !== undefined && !this.has(id)) this.delete(oldest)
      return super.set(id, value)
    }
  })()
}
