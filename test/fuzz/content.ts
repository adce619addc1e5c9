// Bodies that are not JSON: multipart forms, CSV and plain bytes, nearly right. Strings here have one byte per character. Pure.

import fc from 'fast-check'
import { type Form, PRICE_TABLES } from './bodies.ts'
import { type Json, oddValue } from './json.ts'

export interface Content {
  type: string
  /** One byte per character. */
  bytes: string
}

const utf8 = (text: string) => Buffer.from(text).toString('latin1')
const asText = (value: Json) => utf8((typeof value === 'string' ? value : JSON.stringify(value)).toWellFormed())
const oddText = oddValue.map((value) => asText(value).slice(0, 20_000))
const oddBytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.constantFrom('', '\0', '\xff\xfe', '\xef\xbb\xbf{}', '\x1f\x8b\x08\0', '\r\n--x--\r\n', 'x'.repeat(300_000)),
)
const rarely = <T>(usual: T, odd: fc.Arbitrary<T>, weight: number) =>
  fc.oneof({ weight, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: odd })

export const anyBytes: fc.Arbitrary<Content> = fc.record({
  type: fc.constantFrom('application/octet-stream', 'application/json', 'text/csv', 'multipart/form-data; boundary=x'),
  bytes: oddBytes,
})

type Change = { at: number; how: 'drop' | 'replace' | 'repeat' | 'rename' | 'file' | 'many'; value: string }
const formChange: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(20),
  how: fc.constantFrom('drop', 'replace', 'replace', 'repeat', 'rename', 'file', 'many'),
  value: fc.oneof(oddText, oddBytes, fc.constantFrom('__proto__', 'image[]', 'a"b', 'a\r\nX: y', 'true', '0', '1e3')),
})
const boundaryOf = rarely(
  'fuzz-boundary',
  fc.constantFrom('', 'x', '"quoted b"', '"', 'é', 'a'.repeat(71), '--', 'fuzz;boundary', '%00'),
  25,
)
const bytesAccident: fc.Arbitrary<(bytes: string) => string> = rarely(
  (bytes: string) => bytes,
  fc.oneof(
    fc.nat(2_000).map((at) => (bytes: string) => bytes.slice(0, at % (bytes.length + 1))),
    fc.constantFrom(
      (bytes: string) => bytes.replaceAll('\r\n', '\n'),
      (bytes: string) => bytes.replaceAll('--\r\n', ''),
      (bytes: string) => bytes.replaceAll('form-data', 'file'),
      (bytes: string) => `preamble\r\n${bytes}epilogue`,
      (bytes: string) => bytes + bytes,
    ),
  ),
  12,
)

/** @param forms valid ones to begin with */
export function nearlyForm(forms: Form[]): fc.Arbitrary<Content> {
  const changes = rarely<Change[]>([], fc.array(formChange, { minLength: 1, maxLength: 3 }), 1)
  return fc
    .tuple(fc.constantFrom(...forms), changes, boundaryOf, rarely(null, fc.constantFrom('x', ''), 25), bytesAccident)
    .map(([form, list, boundary, announced, accident]) => ({
      type: `multipart/form-data; boundary=${announced ?? boundary}`,
      bytes: accident(writeForm(list.reduce(changed, form), boundary.replaceAll('"', ''))),
    }))
}

function changed(form: Form, { at, how, value }: Change): Form {
  const place = at % (form.length || 1)
  const [name, content] = form[place] ?? ['file', '']
  const put = (...members: Form) => form.toSpliced(place, 1, ...members)
  if (how === 'drop') return put()
  if (how === 'replace') return put([name, value])
  if (how === 'repeat') return put([name, content], [name, value])
  if (how === 'rename') return put([value.slice(0, 200), content])
  if (how === 'file') return put([name, { filename: value.slice(0, 100), type: 'text/plain', content: value }])
  return [...form, ...Array.from({ length: 2_000 }, (_, n): Form[number] => [n % 3 ? `f${n}` : name, ''])]
}

function writeForm(form: Form, boundary: string): string {
  const parts = form.map(([name, value]) => {
    const isText = typeof value === 'string'
    const filename = isText ? '' : `; filename="${utf8(value.filename)}"\r\nContent-Type: ${value.type}`
    const head = `Content-Disposition: form-data; name="${name}"${filename}`
    return `--${boundary}\r\n${head}\r\n\r\n${isText ? value : value.content}\r\n`
  })
  return `${parts.join('')}--${boundary}--\r\n`
}

type CellChange = { row: number; column: number; value: string; how: 'cell' | 'drop' | 'repeat' }
const cellChange: fc.Arbitrary<CellChange> = fc.record({
  row: fc.nat(3),
  column: fc.nat(8),
  value: fc.oneof(oddText, fc.constantFrom('=1+1', '-1', '1e9', '0.0000000001', 'NaN', "'=x", '[]', 'openai')),
  how: fc.constantFrom('cell', 'cell', 'cell', 'drop', 'repeat'),
})
const csvAccident: fc.Arbitrary<(bytes: string) => string> = rarely(
  (bytes: string) => bytes,
  fc.constantFrom(
    (bytes: string) => bytes.replaceAll('\r\n', '\r'),
    (bytes: string) => `\xef\xbb\xbf${bytes}`,
    (bytes: string) => `${bytes}"`,
    (bytes: string) => `${bytes}\xff`,
    (bytes: string) => bytes.replaceAll(',', ';'),
    (bytes: string) => bytes.slice(0, bytes.length / 2),
    (bytes: string) => bytes + (bytes.trimEnd().split('\r\n').at(-1) ?? '').concat('\r\n').repeat(1_001),
    (bytes: string) => bytes + ','.repeat(100_000),
  ),
  6,
)

const csvType = rarely('text/csv', fc.constantFrom('text/csv; charset=utf-16', 'TEXT/CSV;header=present', ''), 15)
const cellChanges = rarely<CellChange[]>([], fc.array(cellChange, { minLength: 1, maxLength: 3 }), 1)

export const nearlyCsv: fc.Arbitrary<Content> = fc
  .tuple(fc.constantFrom(...PRICE_TABLES), cellChanges, csvAccident, csvType)
  .map(([table, list, accident, type]) => ({
    type,
    bytes: accident(
      list
        .reduce(cellChanged, table)
        .map((cells) => `${cells.map((cell) => csvCell(cell)).join(',')}\r\n`)
        .join(''),
    ),
  }))

function cellChanged(table: string[][], { row, column, value, how }: CellChange): string[][] {
  const at = row % (table.length || 1)
  const cells = table[at] ?? []
  if (how === 'drop') return table.toSpliced(at, 1)
  if (how === 'repeat') return [...table, cells]
  if (table.length === 0) return [[value]]
  return table.with(at, cells.length > 0 ? cells.with(column % cells.length, value) : [value])
}

const csvCell = (cell: string) => {
  const bytes = /[\u0100-\uffff]/.test(cell) ? utf8(cell) : cell
  return /[",\r\n]/.test(bytes) ? `"${bytes.replaceAll('"', '""')}"` : bytes
}
