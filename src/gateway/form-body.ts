// A multipart form as the fields that operations read. The bytes go to the provider as they came, so a form that two parsers
// might read differently (two boundaries, text around the parts, a part with two names) is refused. Pure.

import { saysLatin1 } from '../body-type.ts'
import type { GatewayError } from '../errors.ts'
import { CR, LF } from '../providers/bytes.ts'
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
  const form_bytes = withoutEmptyLines(bytes)
  const fault = faultOfParts(form_bytes, boundary)
  if (fault) return { code: 'invalid_request', message: fault }
  let form: FormData
  try {
    form = await new Response(form_bytes as BodyInit, { headers: { 'content-type': content_type } }).formData()
  } catch {
    return { code: 'invalid_request', message: 'The request body is not a valid multipart form.' }
  }
  if (saysLatin1(content_type) && ![...form].flat().every(isFileOrAscii)) {
    const message = 'The form has text beyond ASCII, which must be UTF-8: its type must not say charset=ISO-8859-1.'
    return { code: 'unsupported_media_type', message, field: 'content-type' }
  }
  const fields: { [name: string]: unknown } = Object.create(null)
  for (const name of new Set(form.keys())) {
    const values = form.getAll(name).map((value) => (typeof value === 'string' ? value : describe(value)))
    fields[name] = values.length === 1 ? values[0] : values
  }
  return { fields }
}

/** Some clients begin with an empty line or, as Ruby's, end with one. Nobody reads what is around the delimiters. */
function withoutEmptyLines(bytes: Uint8Array): Uint8Array {
  const from = bytes[0] === CR && bytes[1] === LF ? 2 : 0
  const isEmptyLast = [CR, LF, CR, LF].every((byte, at) => bytes.at(at - 4) === byte)
  return bytes.subarray(from, isEmptyLast ? -2 : undefined)
}

/** ASCII is the same in UTF-8 and in ISO-8859-1. */
const isFileOrAscii = (part: string | File) => typeof part !== 'string' || /^[\0-\x7f]*$/.test(part)

const describe = ({ name, type, size }: File) => ({ name, type, size })

/** The characters of RFC 2046 without the space, quoted or not: nothing that needs an escape. */
const BOUNDARY = /^boundary=("?)([\w'()+,./:=?-]{1,70})\1$/i

/** Null unless the content type is that of a form and has exactly one boundary. Some parsers look for the word alone. */
function boundaryOf(content_type: string): string | null {
  const [type = '', ...parameters] = content_type.split(';').map((part) => part.trim())
  const boundaries = parameters.filter((parameter) => /boundary/i.test(parameter))
  if (!/^multipart\/form-data$/i.test(type) || boundaries.length !== 1) return null
  return BOUNDARY.exec(boundaries[0] ?? '')?.[2] ?? null
}

const NOT_WHOLE = 'The request body must begin with its first boundary and end with its closing one.'
const PLAIN =
  'one Content-Disposition: form-data with one plain name and, for a file, one filename that is not empty, without escapes, continued lines or transfer encodings'

/** More than any operation has fields, and more images than anybody sends. */
const MOST_PARTS = 1_000

/** Of the heads of all parts together. workerd reads nothing more slowly than heads: 250 ns per byte. */
const MOST_HEADS_LENGTH = 262_144

/**
 * Null where the body begins with a delimiter and ends with the closing one, every line between that begins like a delimiter
 * is one (some parsers take a bare line feed for a line's end, or stop at the first close), and every part has a plain head.
 */
function faultOfParts(bytes: Uint8Array, boundary: string): string | null {
  const delimiter = new TextEncoder().encode(`--${boundary}`)
  const isDelimiter = (from: number) => {
    let at = 0
    while (at < delimiter.length && bytes[from + at] === delimiter[at]) at++
    return at === delimiter.length
  }
  let parts = 0
  let heads_length = 0
  if (!isDelimiter(0)) return NOT_WHOLE
  for (let line = 0; line >= 0; line = nextLine(bytes, line)) {
    if (!isDelimiter(line)) continue
    if (line > 0 && bytes[line - 2] !== CR) return NOT_WHOLE
    const end = line + delimiter.length
    const rest = bytes.subarray(end, end + 5)
    if (rest[0] !== CR || rest[1] !== LF) return ENDS.has(String.fromCharCode(...rest)) && line > 0 ? null : NOT_WHOLE
    if (++parts > MOST_PARTS) return `The request body must have at most ${MOST_PARTS} parts.`
    const head = headAt(bytes, end + 2)
    heads_length += head.length
    if (heads_length > MOST_HEADS_LENGTH)
      return `The heads of all parts together must have at most ${MOST_HEADS_LENGTH} characters.`
    if (!isPlainHead(head)) return `Part ${parts} of the request body must have ${PLAIN}.`
  }
  return NOT_WHOLE
}

/** The head up to its empty line; '' where that line is missing, or farther away than any client puts it. */
function headAt(bytes: Uint8Array, from: number): string {
  const near = bytes.subarray(from, from + MOST_HEAD_BYTES)
  let end = 0
  while (end >= 0 && near[end] !== CR) end = nextLine(near, end)
  return near[end] === CR && near[end + 1] === LF ? new TextDecoder().decode(near.subarray(0, end)) : ''
}

const MOST_HEAD_BYTES = 8_192

/** Lines of `Name: value`, and none that continues another. */
const HEAD = /^(?:[\w-]+:[^\r\n\0]*\r\n)+$/
/** Transfer encodings that leave the bytes as they are. */
const AS_IT_IS = /^(binary|7bit|8bit)$/i
/** The type of a part that is a form of its own. */
const NESTED = /^multipart\//i
/** Busboy takes it for a file, whether it has a filename or not. */
const BINARY = /^application\/octet-stream\b/i
const DISPOSITION = /^form-data((?:\s*;\s*[\w*-]+=(?:"[^"]*"|[^\s",;]+))*)\s*;?$/i
const PARAMETER = /([\w*-]+)=(?:"([^"]*)"|([^\s",;]+))/g
/** Parameters that some clients send with a file, and no parser takes for its name. */
const TOLD_OF_FILES = /^(size|\w+-date)$/

/**
 * True where all parsers find the same name and agree whether the part is a file. They differ: some take `name*` or the
 * second Content-Disposition; for a file some need a filename, some one that is not empty, some a type alone; some undo an
 * encoding.
 */
function isPlainHead(head: string): boolean {
  if (!HEAD.test(head) || head.includes('\\"')) return false
  const fields = head.split('\r\n').map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
  })
  const valuesOf = (name: string) => fields.filter(([field]) => field === name).map(([, value]) => value)
  const [disposition = '', ...others] = valuesOf('content-disposition')
  if (others.length > 0 || !valuesOf('content-transfer-encoding').every((value) => AS_IT_IS.test(value))) return false
  const types = valuesOf('content-type')
  if (types.some((type) => NESTED.test(type))) return false
  const parameters = [...(DISPOSITION.exec(disposition)?.[1] ?? '').matchAll(PARAMETER)]
  const given = new Map(parameters.map(([, name = '', quoted, bare = '']) => [name.toLowerCase(), quoted ?? bare]))
  if (given.size !== parameters.length || given.get('filename') === '') return false
  if (!given.has('filename') && types.some((type) => BINARY.test(type))) return false
  const names = [...given.keys()].filter((name) => !TOLD_OF_FILES.test(name)).sort()
  return ['name', 'filename name', 'filename filename* name'].includes(names.join(' '))
}

/** What may follow the last delimiter. */
const ENDS = new Set(['--', '--\r\n'])

/** On a line shorter than this, a plain loop is faster than a call of `indexOf`. */
const SHORT_LINE_BYTES = 32

/** Where the next line begins; -1 after the last one. */
function nextLine(bytes: Uint8Array, from: number): number {
  const near = Math.min(from + SHORT_LINE_BYTES, bytes.length)
  for (let at = from; at < near; at++) if (bytes[at] === LF) return at + 1
  const end = bytes.indexOf(LF, near)
  return end < 0 ? -1 : end + 1
}
