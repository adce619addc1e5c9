// A multipart form as the fields that operations read. The bytes go to the provider as they came: a form that two parsers
// might read in two ways (two boundaries, text around the parts) is refused. Pure.

import type { GatewayError } from '../errors.ts'
import type { JsonObject } from '../providers/dialect.ts'

/** Fields by name, an array where one was sent more than once; a file is `{ name, type, size }`. */
export async function readForm(
  bytes: Uint8Array,
  content_type: string,
): Promise<{ fields: JsonObject } | GatewayError> {
  const boundary = boundaryOf(content_type)
  if (boundary === null) {
    const message = 'content-type must be multipart/form-data with exactly one boundary.'
    return { code: 'invalid_request', message, field: 'content-type' }
  }
  if (!isWholeForm(bytes, boundary)) {
    const message = 'The request body must begin with its first boundary and end with its closing one.'
    return { code: 'invalid_request', message }
  }
  let form: FormData
  try {
    form = await new Response(bytes as BodyInit, { headers: { 'content-type': content_type } }).formData()
  } catch {
    return { code: 'invalid_request', message: 'The request body is not a valid multipart form.' }
  }
  const fields: { [name: string]: unknown } = Object.create(null)
  for (const name of new Set(form.keys())) {
    const values = form.getAll(name).map((value) => (typeof value === 'string' ? value : describe(value)))
    fields[name] = values.length === 1 ? values[0] : values
  }
  return { fields }
}

const describe = ({ name, type, size }: File) => ({ name, type, size })

/** The characters of RFC 2046 without the space, quoted or not: nothing that needs an escape. */
const BOUNDARY = /^boundary=("?)([\w'()+,./:=?-]{1,70})\1$/i

/** Null unless the content type is that of a form and has exactly one boundary. */
function boundaryOf(content_type: string): string | null {
  const [type = '', ...parameters] = content_type.split(';').map((part) => part.trim())
  const boundaries = parameters.filter((parameter) => /^boundary/i.test(parameter))
  if (!/^multipart\/form-data$/i.test(type) || boundaries.length !== 1) return null
  return BOUNDARY.exec(boundaries[0] ?? '')?.[2] ?? null
}

const [LF, CR] = [10, 13]

/**
 * True where the body begins with a delimiter and ends with the closing one, and every line between that begins like a
 * delimiter is one: some parsers take a bare line feed for a line's end, or stop at the first close.
 */
function isWholeForm(bytes: Uint8Array, boundary: string): boolean {
  const delimiter = new TextEncoder().encode(`--${boundary}`)
  const isAt = (from: number) => delimiter.every((byte, at) => bytes[from + at] === byte)
  if (!isAt(0)) return false
  for (let line = 0; line >= 0; line = nextLine(bytes, line)) {
    if (!isAt(line)) continue
    if (line > 0 && bytes[line - 2] !== CR) return false
    const rest = bytes.subarray(line + delimiter.length, line + delimiter.length + 5)
    if (rest[0] === CR && rest[1] === LF) continue
    return ENDS.has(String.fromCharCode(...rest)) && line > 0
  }
  return false
}

/** What may follow the last delimiter. */
const ENDS = new Set(['--', '--\r\n'])

/** Where the next line begins; -1 after the last one. */
function nextLine(bytes: Uint8Array, from: number): number {
  const end = bytes.indexOf(LF, from)
  return end < 0 ? -1 : end + 1
}
