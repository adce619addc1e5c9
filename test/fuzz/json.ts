// JSON that is nearly right: valid bodies with a few accidents, in their values or in their text. Pure.

import fc from 'fast-check'

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

/** Marks JSON text that is written as it is, because no JavaScript value stands for it. */
const RAW = '@raw:'
const raw = (text: string) => `${RAW}${text}@`

const edgeNumber = fc.constantFrom<Json>(
  ...[0, -0, 1, -1, 0.5, 1e-7, 127, 128, 129, 2 ** 31, 2 ** 31 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e15],
  ...[1e21, 1e300, 5e-324, 9_000_000, 900_000_000, 900_000_000.1, 0.000_000_1],
  ...['1e999', '-1e999', '9007199254740993', '123456789012345678901234567890', '1E+2', '0.1e-400'].map(raw),
)
const edgeText = fc.constantFrom(
  ...['', ' ', '\0', '\ud800', '\udfff\ud800', '\ufeff', '\u202e', '\u2028', '😀', 'é', 'e\u0301', 'x'.repeat(201)],
  ...['__proto__', 'constructor', 'null', 'NaN', '0', '-1', '2026-02-30T00:00:00Z', '9999-12-31T23:59:60Z', '%00'],
  ...['Europe/Berlin', 'Etc/GMT+14', 'utc', '@clay1', '@caller1', '@clay2.key', '@clay3.cap', 'x'.repeat(100_000)],
)
const text = fc.oneof(edgeText, fc.string({ unit: 'binary', maxLength: 20 }), fc.string({ maxLength: 20 }))
const deep = fc
  .tuple(fc.constantFrom('[', '{"a":'), fc.constantFrom(10, 127, 490, 501, 5_000, 100_000))
  .map(([open, depth]) => raw(`${open.repeat(depth)}1${(open === '[' ? ']' : '}').repeat(depth)}`))

export const oddValue: fc.Arbitrary<Json> = fc.oneof(
  { weight: 4, arbitrary: edgeNumber },
  { weight: 4, arbitrary: text },
  { weight: 3, arbitrary: fc.constantFrom<Json>(null, true, false, [], {}, [[]], [null], { type: 'text' }) },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json> },
  { weight: 1, arbitrary: deep },
)

type Change = { at: number; how: 'drop' | 'replace' | 'repeat' | 'rename' | 'add'; value: Json; name: string }
const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(200),
  how: fc.constantFrom('replace', 'replace', 'replace', 'drop', 'repeat', 'rename', 'add'),
  value: oddValue,
  name: text,
})

/** The text of a valid body after some changes. */
export function nearly(valid: Json): fc.Arbitrary<string> {
  const changes = fc.oneof(
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 3, arbitrary: fc.array(change, { minLength: 1, maxLength: 3 }) },
  )
  return fc.tuple(changes, textAccident).map(([list, accident]) => accident(write(list.reduce(applied, valid))))
}

/** What happens to the text: mostly nothing. */
const textAccident: fc.Arbitrary<(text: string) => string> = fc.oneof(
  { weight: 20, arbitrary: fc.constant((text: string) => text) },
  { weight: 1, arbitrary: fc.nat(1_000).map((at) => (text: string) => text.slice(0, at % (text.length + 1))) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('\ufeff', ' ', 'null', ')]}').map((start) => (text: string) => start + text),
  },
  { weight: 1, arbitrary: fc.constantFrom('\0', ',', '{}', '\n', '\ud800').map((end) => (text: string) => text + end) },
  { weight: 1, arbitrary: fc.oneof(oddValue.map(write), text).map((whole) => () => whole) },
)

/** One member changed: members are counted through the whole tree. */
function applied(json: Json, { at, how, value, name }: Change): Json {
  const count = membersOf(json)
  if (count === 0) return value
  let left = at % count
  const walk = (node: Json): Json => {
    if (typeof node !== 'object' || node === null) return node
    const pairs = Object.entries(node).flatMap(([key, child]): [string, Json][] => {
      if (left-- !== 0) return [[key, walk(child)]]
      if (how === 'drop') return []
      if (how === 'replace') return [[key, value]]
      if (how === 'rename') return [[name, child]]
      if (how === 'add')
        return [
          [key, child],
          [name, value],
        ]
      return [
        [key, child],
        [`${RAW}again@${key}`, value],
      ]
    })
    return Array.isArray(node) ? pairs.map(([, child]) => child) : Object.fromEntries(pairs)
  }
  return walk(json)
}

const membersOf = (json: Json): number =>
  typeof json === 'object' && json !== null
    ? Object.values(json).reduce((sum: number, child) => sum + 1 + membersOf(child), 0)
    : 0

/** As `JSON.stringify`, but also writes raw text, and names that occur twice. */
function write(json: Json): string {
  if (typeof json === 'string' && json.startsWith(RAW)) return json.slice(RAW.length, -1)
  if (Array.isArray(json)) return `[${json.map(write).join(',')}]`
  if (typeof json !== 'object' || json === null) return Object.is(json, -0) ? '-0' : JSON.stringify(json)
  const member = ([name, value]: [string, Json]) =>
    `${JSON.stringify(name.startsWith(`${RAW}again@`) ? name.slice(RAW.length + 6) : name)}:${write(value)}`
  return `{${Object.entries(json).map(member).join(',')}}`
}
