// A multipart form as the fields that operations read. The bytes go to the provider as they came, so a form that two parsers
// might read differently (two boundaries, text around the parts, a part with two names) is refused. Pure.

import { saysLatin1 } from '../body-type.ts'
import type { GatewayError } from '../errors.ts'
import { CR, indexOfAny, LF, LINE_ENDS } from '../providers/bytes.ts'
import type { JsonObject } from '../providers/dialect.ts'

/** Fields by name, an array where one was sent more than once; a file is `{ name, type, size }`. */
export function readForm(bytes: Uint8Array, content_type: string): { fields: JsonObject } | GatewayError {
  const boundary = boundaryOf(content_type)
  if (boundary === null) {
    const message = 'content-type must be multipart/form-data with exactly one boundary.'
    return { code: 'invalid_request', message, field: 'content-type' }
  }
  const parts = readParts(withoutEmptyLines(bytes), boundary)
  if (typeof parts === 'string') return { code: 'invalid_request', message: parts }
  if (saysLatin1(content_type) && !parts.flat().every(isFileOrAscii)) {
    const message = 'The form has text beyond ASCII, which must be UTF-8: its type must not say charset=ISO-8859-1.'
    return { code: 'unsupported_media_type', message, field: 'content-type' }
  }
  const fields: { [name: string]: unknown } = Object.create(null)
  for (const [name, same] of Map.groupBy(parts, ([name]) => name)) {
    const values = same.map(([, value]) => value)
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

interface FileHead {
  name: string
  type: string
}

type Part = [name: string, value: string | (FileHead & { size: number })]

/** ASCII is the same in UTF-8 and in ISO-8859-1. */
const isFileOrAscii = (one: Part[number]) => typeof one !== 'string' || /^[\0-\x7f]*$/.test(one)

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

/** Of the heads of all parts together: nothing is read more slowly. */
const MOST_HEADS_LENGTH = 262_144

/**
 * The parts; or why not, unless the body begins with a delimiter and ends with the closing one, every line between that begins
 * like a delimiter is one (some parsers take half a line end for a whole one, or that of the head for the delimiter's, or stop
 * at the first close), and every part has a plain head. Not with `formData`, which knows fewer heads: that of workerd takes a
 * file for text where its name has no quotes.
 */
function readParts(bytes: Uint8Array, boundary: string): Part[] | string {
  const delimiter = new TextEncoder().encode(`--${boundary}`)
  const isDelimiter = (from: number) => {
    let at = 0
    while (at < delimiter.length && bytes[from + at] === delimiter[at]) at++
    return at === delimiter.length
  }
  const parts: Part[] = []
  let heads_length = 0
  let open: { head: Head; from: number } | null = null
  if (!isDelimiter(0)) return NOT_WHOLE
  for (let line = 0; line >= 0; line = nextLine(bytes, line)) {
    if (!isDelimiter(line)) continue
    if (open) {
      const to = line - 2
      if (to < open.from || bytes[to] !== CR || bytes[to + 1] !== LF) return NOT_WHOLE
      parts.push(partOf(open.head, bytes.subarray(open.from, to)))
    }
    const end = line + delimiter.length
    const rest = bytes.subarray(end, end + 5)
    if (rest[0] !== CR || rest[1] !== LF) return ENDS.has(String.fromCharCode(...rest)) && open ? parts : NOT_WHOLE
    if (parts.length === MOST_PARTS) return `The request body must have at most ${MOST_PARTS} parts.`
    const head_bytes = headAt(bytes, end + 2)
    const text = decode(head_bytes)
    heads_length += text.length
    if (heads_length > MOST_HEADS_LENGTH)
      return `The heads of all parts together must have at most ${MOST_HEADS_LENGTH} characters.`
    const head = readHead(text)
    if (!head) return `Part ${parts.length + 1} of the request body must have ${PLAIN}.`
    open = { head, from: end + 2 + head_bytes.length + 2 }
  }
  return NOT_WHOLE
}

/** A byte order mark stays: no parser of heads takes it off. */
const decode = (bytes: Uint8Array) => new TextDecoder('utf-8', { fatal: false, ignoreBOM: true }).decode(bytes)

const partOf = ({ name, file }: Head, body: Uint8Array): Part => [
  name,
  file ? { ...file, size: body.length } : decode(body),
]

/** The head up to its empty line; nothing where that line is missing, or farther away than any client puts it. */
function headAt(bytes: Uint8Array, from: number): Uint8Array {
  const near = bytes.subarray(from, from + MOST_HEAD_BYTES)
  let end = 0
  while (end >= 0 && near[end] !== CR) end = nextLine(near, end)
  return near.subarray(0, near[end] === CR && near[end + 1] === LF ? end : 0)
}

const MOST_HEAD_BYTES = 8_192

/** Lines of `Name: value`, and none that continues another. */
const HEAD = /^(?:[\w-]+:[^\r\n\0]*\r\n)+$/
/** Transfer encodings that leave the bytes as they are. */
const AS_IT_IS = /^\s*(binary|7bit|8bit)\s*$/i
/** The type of a part that is a form of its own. */
const NESTED = /^\s*multipart\//i
/** Busboy takes it for a file, whether it has a filename or not. */
const BINARY = /^\s*application\/octet-stream\b/i
/** Spaces before a semicolon belong to a name without quotes in Multiparty; one at the end makes Busboy drop the part. */
const DISPOSITION = /^[ \t]*form-data((?:;[ \t]*[\w*-]+=(?:"[^"]*"|[^\s",;]+))*)$/i
const PARAMETER = /([\w*-]+)=(?:"([^"]*)"|([^\s",;]+))/g
/** Parameters that some clients send with a file, and no parser takes for its name. */
const TOLD_OF_FILES = /^(size|\w+-date)$/

interface Head {
  name: string
  /** Null for text. */
  file: FileHead | null
}

/**
 * Null unless all parsers find the same name and agree whether the part is a file. They differ: some take `name*` or the
 * second Content-Disposition; for a file some need a filename, some one that is not empty, some a type alone; some undo an
 * encoding.
 */
function readHead(head: string): Head | null {
  if (!HEAD.test(head) || head.includes('\\"')) return null
  const fields = head.split('\r\n').map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1)] as const
  })
  const valuesOf = (name: string) => fields.filter(([field]) => field === name).map(([, value]) => value)
  const [disposition = '', ...others] = valuesOf('content-disposition')
  if (others.length > 0 || !valuesOf('content-transfer-encoding').every((value) => AS_IT_IS.test(value))) return null
  const types = valuesOf('content-type')
  if (types.some((type) => NESTED.test(type))) return null
  const parameters = [...(DISPOSITION.exec(disposition)?.[1] ?? '').matchAll(PARAMETER)]
  const given = new Map(parameters.map(([, name = '', quoted, bare = '']) => [name.toLowerCase(), quoted ?? bare]))
  if (given.size !== parameters.length || given.get('filename') === '') return null
  if (!given.has('filename') && types.some((type) => BINARY.test(type))) return null
  const names = [...given.keys()].filter((name) => !TOLD_OF_FILES.test(name)).sort()
  if (!['name', 'filename name', 'filename filename* name'].includes(names.join(' '))) return null
  const filename = given.get('filename')
  const file = filename === undefined ? null : { name: filename, type: types[0]?.trim() ?? '' }
  return { name: given.get('name') ?? '', file }
}

/** What may follow the last delimiter. */
const ENDS = new Set(['--', '--\r\n'])

/** Where the next line begins, which to some parsers is after a carriage return alone; -1 after the last one. */
function nextLine(bytes: Uint8Array, from: number): number {
  const end = indexOfAny(bytes, LINE_ENDS, from)
  return end === bytes.length ? -1 : end + 1
}
