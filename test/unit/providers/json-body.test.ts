import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyEdits, type JsonBody, parseJsonBody, spansInBytes } from '../../../src/providers/json-body.ts'

const encode = (text: string) => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

function parsed(text: string): JsonBody {
  const body = parseJsonBody(encode(text))
  if ('code' in body) throw new Error(body.message)
  return body
}

const refusal = (bytes: Uint8Array) => {
  const body = parseJsonBody(bytes)
  return 'code' in body ? body : null
}

describe('parsing', () => {
  test.each([
    ['nothing', '', 'is not valid JSON'],
    ['text', 'hello', 'is not valid JSON'],
    ['an array', '[]', 'must be a JSON object'],
    ['null', 'null', 'must be a JSON object'],
    ['a trailing comma', '{"a":1,}', 'is not valid JSON'],
    ['two objects', '{}{}', 'is not valid JSON'],
    ['a byte order mark', '\ufeff{"a":1}', 'is not valid JSON'],
  ])('%s is a 400', (_, text, message) => {
    expect(refusal(encode(text))).toMatchObject({ code: 'invalid_request', message: expect.stringContaining(message) })
  })

  test('invalid UTF-8 is a 400', () => {
    expect(refusal(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))?.message).toMatch(/UTF-8/)
  })

  test.each([
    '{"max_tokens":1,"max_tokens":2}',
    '{"max_tokens":1, "model":"a" , "max\\u005ftokens":2}',
    '{"max_tokens":{"a":[1,2]},"b":"}\\"","max_tokens":null}',
  ])('a duplicated top-level field is named: %s', (text) => {
    expect(refusal(encode(text))).toMatchObject({ code: 'invalid_request', field: 'max_tokens' })
  })

  test.each([
    ['{"b":[{"a":1,"a":2}]}', 'b[0].a'],
    ['{"messages":[{"role":1},{"role":2,"role":3}]}', 'messages[1].role'],
    ['{"generationConfig":{"maxOutputTokens":99999,"x":{},"maxOutputTokens":1}}', 'generationConfig.maxOutputTokens'],
    ['{"a":{"k":":","\\u006b":2}}', 'a.k'],
    ['{"a":{"__proto__":1,"__proto__":2}}', 'a.__proto__'],
  ])('a duplicate further down is refused by its path: its bound could be either: %s', (text, field) => {
    expect(refusal(encode(text))).toMatchObject({ code: 'invalid_request', field })
  })

  test('a name that the engine may misread is one that was read, or is refused', () => {
    parseJsonBody(encode('{"contents":1,"generation\\\\u0043":1}'))
    const parsed = parseJsonBody(encode('{"contents":1,"generation\\u0043onfig":{"maxOutputTokens":99999}}'))
    if ('code' in parsed) expect(parsed).toMatchObject({ code: 'invalid_request', field: 'generationConfig' })
    else expect(parsed.value.generationConfig).toEqual({ maxOutputTokens: 99999 })
  })

  test('so is one further down, where it may be the lifetime of a cache', () => {
    const body = (name: string) => encode(`{"messages":[{"cache_control":{"type":"ephemeral","${name}":"1h"}}]}`)
    expect(refusal(body('tt\\\\'))).toBeNull()
    const parsed = parseJsonBody(body('tt\\u006c'))
    if ('code' in parsed) expect(parsed).toMatchObject({ code: 'invalid_request', field: 'ttl' })
    else expect(parsed.value.messages).toEqual([{ cache_control: { type: 'ephemeral', ttl: '1h' } }])
    // Nor does it help that another object has the name as it should be.
    const beside = parseJsonBody(encode('{"a":{"ttl":"5m"},"cache_control":{"type":"ephemeral","tt\\u006c":"1h"}}'))
    if ('code' in beside) expect(beside).toMatchObject({ code: 'invalid_request', field: 'ttl' })
    else expect(beside.value.cache_control).toEqual({ type: 'ephemeral', ttl: '1h' })
    expect(refusal(encode('{"patternProperties":{"^\\\\d\\u002b$":{"\\\\":1},"\\u005c":[{"\\\\":":"}]}}'))).toBeNull()
  })

  test('the same name in different objects is no duplicate', () => {
    expect(refusal(encode('{"a":{"a":1,":":":"},"b":[{"a":":"},{"a":2,"":{"__proto__":1}}]}'))).toBeNull()
  })

  test('nesting is a 400 beyond 500 levels, however deep', () => {
    const nested = (depth: number, name = 'a') => encode(`{"${name}":${'['.repeat(depth)}${']'.repeat(depth)}}`)
    expect(refusal(nested(500))).toBeNull()
    expect(refusal(nested(501))).toMatchObject({ code: 'invalid_request', field: 'a' })
    expect(refusal(nested(2_000_000))).toMatchObject({ code: 'invalid_request' })
    expect(refusal(nested(501, 'a'.repeat(10_000)))).toMatchObject({ field: 'a'.repeat(200) })
  })

  test('an escaped quote at the end of long runs of backslashes costs no quadratic time', () => {
    const text = `{"a":"${'\\\\'.repeat(500_000)}\\"","b":"${'\\"'.repeat(500_000)}"}`
    expect([...parsed(text).members.keys()]).toEqual(['a', 'b'])
  })
})

describe('editing', () => {
  test('no edits are the very same bytes', () => {
    const body = parsed(' { "a" : 1 } ')
    expect(applyEdits(body, [])).toBe(body.bytes)
  })

  test('big integers, order, escapes, emoji and whitespace stay as they were', () => {
    const body = parsed('{ "seed": 9007199254740993123,\n\t"ü😀": "\\u00e9 ü😀", "max_tokens" : 100 , "z":1.0e0 }\n')
    expect(decode(applyEdits(body, [{ field: 'max_tokens', value: 7 }]))).toBe(
      '{ "seed": 9007199254740993123,\n\t"ü😀": "\\u00e9 ü😀", "max_tokens" : 7 , "z":1.0e0 }\n',
    )
  })

  test('an absent field is appended, in an empty object too', () => {
    expect(decode(applyEdits(parsed('{"a":1 }'), [{ field: 'b', value: { c: 1 } }]))).toBe('{"a":1 ,"b":{"c":1}}')
    expect(
      decode(
        applyEdits(parsed('{ }'), [
          { field: 'b', value: 1 },
          { field: 'c', value: 2 },
        ]),
      ),
    ).toBe('{ "b":1,"c":2}')
  })

  test('any edit of any JSON sets its fields and leaves every other span as it was', () => {
    const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/)
    const value = fc.jsonValue({ maxDepth: 4, noUnicodeString: false })
    const members = fc.uniqueArray(fc.tuple(fc.string({ unit: 'binary' }), value, space, space, space), {
      selector: ([key]) => JSON.parse(JSON.stringify(key)),
      maxLength: 8,
    })
    const edits = fc.uniqueArray(fc.tuple(fc.oneof(fc.nat(8), fc.constantFrom('max_tokens', 'ü"\\')), value), {
      selector: ([field]) => String(field),
      maxLength: 4,
    })
    fc.assert(
      fc.property(members, edits, space, (made, wanted, outer) => {
        const text = `${outer}{${made
          .map(([key, one, a, b, c]) => `${a}${JSON.stringify(key)}${b}:${c}${JSON.stringify(one, null, a.length)}${b}`)
          .join(',')}}${outer}`
        const bytes = encode(text)
        const body = parseJsonBody(bytes)
        if ('code' in body) throw new Error(body.message)
        const named = wanted.map(([field, one]) => ({
          field: typeof field === 'string' ? field : (made[field]?.[0].toWellFormed() ?? 'new'),
          value: one,
        }))
        const edited_bytes = applyEdits(body, named)
        const edited = parseJsonBody(edited_bytes)
        if ('code' in edited) throw new Error(edited.message)

        const expected = new Map(Object.entries(body.value))
        for (const { field, value: one } of named) expected.set(field, JSON.parse(JSON.stringify(one)))
        expect(new Map(Object.entries(edited.value))).toEqual(expected)
        const [before, spans] = [spansInBytes(body), spansInBytes(edited)]
        expect(before.size).toBe(made.length)
        for (const [key, { start, end }] of before) {
          if (named.some(({ field }) => field === key)) continue
          const now = spans.get(key)
          expect(now && decode(edited_bytes.subarray(now.start, now.end))).toBe(decode(bytes.subarray(start, end)))
        }
      }),
      { numRuns: 500 },
    )
  })
})

test('a body of a great many different names is refused before it is parsed; those of a list of objects are counted once', () => {
  const members = Array.from({ length: 120_000 }, (_, at) => `"k${at}" :1`)
  for (const body of [`{${members}}`, `{"a":[${members.map((member) => `{${member}}`)}]}`]) {
    const refused = { code: 'invalid_request', message: expect.stringContaining('different names') }
    expect(parseJsonBody(encode(body))).toMatchObject(refused)
  }
  expect(parseJsonBody(encode(`{"a":[${members.map(() => '{"k":"x","l":1}')}]}`))).toMatchObject({ value: {} })
  // Texts, of which embeddings may have so many, are no names.
  expect(parseJsonBody(encode(`{"input":[${members.map((_, at) => `"text ${at}"`)}]}`))).toMatchObject({ value: {} })
})

test('a body of a great many small values is refused before it is parsed; long strings are not counted', () => {
  const many = new TextEncoder().encode(`{"messages":[${'[],'.repeat(300_000)}[]]}`)
  expect(parseJsonBody(many)).toMatchObject({ code: 'invalid_request', message: expect.stringContaining('values') })
  const long = new TextEncoder().encode(JSON.stringify({ text: ',[{\\"'.repeat(300_000) }))
  expect(parseJsonBody(long)).toHaveProperty('members')
})

test.each(['"a"', '1'])('a body may have 500,000 brackets and commas outside of strings, and no more: %s', (value) => {
  const refusalOf = (values: number) => refusal(encode(`{"input":[${Array(values).fill(value)}]}`))
  expect(refusalOf(499_999)).toBeNull()
  expect(refusalOf(500_000)?.message).toContain('500000 values')
})

test('a large body whose last string is never closed is a 400', () => {
  for (const end of ['', '\\', '\\"']) {
    const bytes = new TextEncoder().encode(`{"text":"${'x'.repeat(600_000)}${end}`)
    expect(parseJsonBody(bytes)).toMatchObject({ code: 'invalid_request', message: expect.stringContaining('JSON') })
  }
})
