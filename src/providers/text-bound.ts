// An upper bound of tokens from bytes alone: no tokenizer runs on untrusted text (80 KB of one letter took one 3 s).
// Byte-level tokenizers never make more tokens than bytes; normalizing ones may first expand the text. Pure.

import type { JsonObject } from './dialect.ts'

/** What a provider itself writes around tools, output schemas and documents to be cited, beyond their bytes. */
export const TOOL_PREAMBLE_TOKENS = 1_000

/**
 * Normalizing makes text up to 18 times longer, and takes quadratic time to sort a run of combining marks (20 s for a
 * megabyte): slice by slice it takes little memory and time, whatever the text.
 */
const NORMALIZED_SLICE = 128
/** Encoding slice by slice takes little memory, and no more time than all at once. */
const ENCODED_SLICE = 65_536

const encoder = new TextEncoder()

/**
 * Calls back for every value inside, with its key in an object and how deep it is. Iterative: depth costs no stack, breadth
 * no memory.
 */
export function visit(root: unknown, onValue: (value: unknown, key: string | null, depth: number) => void): void {
  const open: { values: unknown[]; keys: string[] | null; next: number }[] = []
  const enter = (value: unknown, key: string | null) => {
    onValue(value, key, open.length)
    if (Array.isArray(value)) open.push({ values: value, keys: null, next: 0 })
    else if (typeof value === 'object' && value !== null) {
      open.push({ values: Object.values(value), keys: Object.keys(value), next: 0 })
    }
  }
  enter(root, null)
  for (let top = open.at(-1); top; top = open.at(-1)) {
    const at = top.next++
    if (at < top.values.length) enter(top.values[at], top.keys?.[at] ?? null)
    else open.pop()
  }
}

export function utf8Length(text: string): number {
  if (!/[\u0080-\uffff]/.test(text)) return text.length
  let bytes = 0
  for (let from = 0, to = 0; from < text.length; from = to) {
    to = endOfSlice(text, from, ENCODED_SLICE)
    bytes += encoder.encode(text.slice(from, to)).length
  }
  return bytes
}

/** The most tokens of a body of this many bytes, whose strings and numbers reach the model as they are. */
export function tokensOfText(body: JsonObject, bytes: number): number {
  let tokens = bytes
  visit(body, (value, key) => {
    tokens += expansionOf(value, key)
  })
  return tokens
}

/**
 * The most tokens of a body of this many bytes, before what its images and tools add. Templates write tools, schemas and
 * arguments anew, with line ends, indentation and spaces that the body need not have.
 */
export function tokensOfBody(body: JsonObject, bytes: number): number {
  let tokens = bytes
  visit(body, (value, key, depth) => {
    tokens += expansionOf(value, key) + layoutOf(value, key, depth)
  })
  return tokens
}

function expansionOf(value: unknown, key: string | null): number {
  return (typeof value === 'string' ? nfkcExpansion(value) : 0) + (key === null ? 0 : nfkcExpansion(key))
}

/**
 * What a template may add around a value: a space after commas and colons, line ends, four spaces of indentation a level
 * (sixteen are a token, fewer merge with what is beside them), and tags with its name around each member of a schema.
 */
function layoutOf(value: unknown, key: string | null, depth: number): number {
  const indent = depth >> 2
  const tags = key !== null && depth >= SCHEMA_DEPTH ? 4 + utf8Length(key) : 0
  if (typeof value === 'object' && value !== null) return 4 + 2 * indent + tags
  if (typeof value === 'number' && depth >= VALUE_DEPTH) return 2 + indent + tags + numberExpansion(value)
  if (typeof value !== 'string') return 2 + indent + tags
  const isJson = key !== null && JSON_IN_TEXT.has(key)
  return indent + tags + (isJson ? countSeparators(value) + MOST_EXPANSION * countExponents(value) : 0)
}

/** Texts that are parsed and written anew: a call's arguments, and the schema of an answer as Converse has it. */
const JSON_IN_TEXT: ReadonlySet<string> = new Set(['arguments', 'schema'])

/** Numbers at this depth or deeper may be read by a model (`documents[0].year`); others are parameters. */
const VALUE_DEPTH = 3

/** Members at this depth or deeper may be a schema's: those of `tools[0].function`. */
const SCHEMA_DEPTH = 4

/**
 * How many characters a number may grow by when it is written anew, at most, from its shortest JSON: Python writes `1e15` as
 * 1000000000000000.0, JavaScript writes all digits up to 1e21.
 */
function numberExpansion(value: number): number {
  // The shortest JSON of these has no exponent, or (integers beyond 2^53) one that saves three characters at most.
  if (Number.isInteger(value) ? value % 10 !== 0 : Math.abs(value) >= 0.01) return 0
  const written = String(Math.abs(value))
  const [mantissa = '', exponent = ''] = Math.abs(value).toExponential().split('e')
  const digits = mantissa.replace('.', '').length
  const zeros = Number(exponent) - digits + 1
  if (zeros === 0) return 0
  const ends = Number.isInteger(value) || written.includes('e') ? '.0'.length : 0
  return Math.max(0, written.length + ends - (digits + 'e'.length + String(zeros).length))
}

/** No number with an exponent grows by so much: `1e20` becomes the longest. */
const MOST_EXPANSION = 20

function countExponents(json: string): number {
  const exponent = /\d[eE][+-]?\d/g
  let count = 0
  while (exponent.test(json)) count++
  return count
}

/** Not with `match`, which makes a list of all that it finds: a body may have twenty million. */
function countSeparators(json: string): number {
  let count = 0
  for (let at = 0; at < json.length; at++) if (json[at] === ',' || json[at] === ':') count++
  return count
}

/** Skips ASCII, which most texts are and which normalization keeps. `g`: it searches from its `lastIndex` on. */
const NEXT_NON_ASCII = /[\u0080-\uffff]/g

/** Bytes by which compatibility normalization can make a text longer: U+FDFA has 3 and becomes 33. */
function nfkcExpansion(text: string): number {
  let expansion = 0
  NEXT_NON_ASCII.lastIndex = 0
  while (NEXT_NON_ASCII.test(text)) {
    const from = NEXT_NON_ASCII.lastIndex - 1
    const slice = text.slice(from, endOfSlice(text, from, NORMALIZED_SLICE))
    const normal = slice.normalize('NFKC')
    if (normal !== slice) expansion += Math.max(0, encoder.encode(normal).length - encoder.encode(slice).length)
    NEXT_NON_ASCII.lastIndex = from + slice.length
  }
  return expansion
}

/** A cut between a letter and its marks changes their length by a byte or two; one between surrogates would lose a character. */
function endOfSlice(text: string, from: number, length: number): number {
  const to = Math.min(from + length, text.length)
  const last = text.charCodeAt(to - 1)
  return to < text.length && last >= 0xd800 && last <= 0xdbff ? to + 1 : to
}
