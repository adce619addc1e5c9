import fc from 'fast-check'
import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import { ERROR_STATUS, type ErrorCode, type GatewayError } from '../../../src/errors.ts'
import type { StreamFilter } from '../../../src/providers/dialect.ts'
import { gemini } from '../../../src/providers/gemini.ts'
import { passWholeObjects } from '../../../src/providers/gemini-frames.ts'
import { passWholeEvents } from '../../../src/providers/whole-frames.ts'
import { askedWith, vector } from './replay.ts'

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (one: string) => new TextEncoder().encode(one)

function through(filter: StreamFilter, chunks: Uint8Array[]): string {
  return [...chunks.map((chunk) => filter.push(chunk)), filter.end()].map(text).join('')
}

describe('whole frames', () => {
  test.each([
    ['gemini-sse', passWholeEvents],
    ['gemini-array', passWholeObjects],
    ['gemini-error', passWholeEvents],
  ])('every byte of %s passes, in any chunking', (name, filter) => {
    const whole = vector(name)
    const expected = name === 'gemini-array' ? text(whole).trimEnd() : text(whole)
    for (let at = 0; at <= whole.length; at++) {
      const passed = through(filter(), [whole.subarray(0, at), whole.subarray(at)])
      expect(passed.trimEnd()).toBe(expected.trimEnd())
    }
    expect(
      through(
        filter(),
        [...whole].map((byte) => new Uint8Array([byte])),
      ).trimEnd(),
    ).toBe(expected.trimEnd())
  })

  test('a frame passes as soon as it is whole', () => {
    const events = passWholeEvents()
    expect(text(events.push(bytes('data: {}\n')))).toBe('')
    expect(text(events.push(bytes('\ndata: {"a"')))).toBe('data: {}\n\n')
    expect(text(events.push(bytes(':1}\n\n')))).toBe('data: {"a":1}\n\n')
    expect(text(events.push(bytes('data: 1\r\n\r')))).toBe('data: 1\r\n\r')
    expect(text(events.push(bytes('\n')))).toBe('\n')
    const objects = passWholeObjects()
    expect(text(objects.push(bytes('[{"a":[1,{}]},\n{"b"')))).toBe('[{"a":[1,{}]}')
    expect(text(objects.push(bytes(':1}]')))).toBe(',\n{"b":1}]')
  })

  test('half a frame passes only where the stream is asked for what is left of it', () => {
    for (const [filter, whole, half] of [
      [passWholeEvents(), 'data: {}\n\n', 'data: {"a": "b'],
      [passWholeObjects(), '[{}', '\n,{"a": "}'],
    ] as const) {
      expect(text(filter.push(bytes(whole + half)))).toBe(whole)
      expect(text(filter.end())).toBe(half)
    }
  })

  test('a frame that is too long passes in pieces rather than fill the memory', () => {
    const filter = passWholeEvents()
    const piece = new Uint8Array(2 ** 23).fill(0x61)
    const passed = Array.from({ length: 4 }, () => filter.push(piece).length).reduce((sum, one) => sum + one)
    expect(passed).toBeGreaterThanOrEqual(3 * 2 ** 23)
  })

  test('of anything at all throws nothing, and nothing is made up', () => {
    const chunk = fc.oneof(
      fc.uint8Array(),
      fc.constantFrom('\n', '\r\n', 'data: {}', '[', ']', '{', '}', ',', '"').map(bytes),
    )
    fc.assert(
      fc.property(fc.array(chunk), fc.constantFrom(passWholeEvents, passWholeObjects), (chunks, filter) => {
        const sent = Buffer.concat(chunks)
        const one = filter()
        const passed = Buffer.concat([...chunks.map((each) => one.push(each)), one.end()])
        expect(sent.subarray(0, passed.length).equals(passed)).toBe(true)
      }),
    )
  })
})

// The Python client (with `retry_options`, or LangChain's default of six tries) asks again at these, whatever headers say.
test('Google’s clients repeat only what was never forwarded and may be mended by a moment', async () => {
  const asked = (code: ErrorCode) => gemini.errorResponse({ code, message: 'No.' }, 'r')
  const codes = Object.keys(ERROR_STATUS) as ErrorCode[]
  const repeated = codes.filter((code) => [408, 429, 500, 502, 503, 504].includes(asked(code).status))
  expect(repeated.sort()).toEqual([
    'cap_busy',
    'cap_exceeded',
    'database_unavailable',
    'keys_unavailable',
    'ledger_unavailable',
    'not_yet_in_force',
    'prices_unavailable',
  ])
  expect(await asked('upstream_timeout').json()).toEqual({
    error: { code: 424, message: 'No.', status: 'FAILED_PRECONDITION', reason: 'upstream_timeout' },
  })
})

describe('a stream that ends badly', () => {
  const ERROR: GatewayError = { code: 'upstream_timeout', message: 'Silent.' }
  const { streamError } = gemini
  const wire = { error: { code: 424, message: 'Silent.', status: 'FAILED_PRECONDITION', reason: 'upstream_timeout' } }

  test('of events ends with an event that the SDK throws', () => {
    const asked = askedWith({}, { query: new URLSearchParams('alt=sse') })
    expect(text(streamError(ERROR, 'r', asked))).toBe(`\n\ndata: ${JSON.stringify(wire)}\n\n`)
    expect(text(streamError(ERROR, 'r'))).toBe(`\n\ndata: ${JSON.stringify(wire)}\n\n`)
  })

  test('of an array is an array whose last object is the error, wherever it was cut', () => {
    const whole = vector('gemini-array')
    const error = text(streamError(ERROR, 'r', askedWith({})))
    const first = text(whole).indexOf('\n,\n')
    const end = text(whole).trimEnd().length
    for (let at = first; at < end; at++) {
      const seen = JSON.parse(text(passWholeObjects().push(whole.subarray(0, at))) + error)
      expect(seen.at(-1)).toEqual(wire)
    }
    // Nothing was there to be followed: no client can parse what is left.
    expect(() => JSON.parse(text(passWholeObjects().push(whole.subarray(0, 20))) + error)).toThrow(SyntaxError)
  })
})

describe('the credential', () => {
  const read = (url: string, headers: HeadersInit = {}) => gemini.readCredential(new Headers(headers), url)

  test('is read from its header, the query or as a bearer token', () => {
    expect(read('http://t/x', { 'x-goog-api-key': 'a' })).toBe('a')
    expect(read('http://t/x?alt=sse&key=b')).toBe('b')
    expect(read('http://t/x', { authorization: 'Bearer c' })).toBe('c')
    expect(read('http://t/x?key=')).toBeNull()
  })

  test('that is there twice is no credential, unless it is the same', () => {
    expect(read('http://t/x?key=b', { 'x-goog-api-key': 'a' })).toContain(',')
    expect(read('http://t/x?key=b&key=c')).toContain(',')
    expect(read('http://t/x?key=a', { 'x-goog-api-key': 'a' })).toBe('a')
  })

  test('of the gateway leaves no other behind', () => {
    const headers = new Headers({ authorization: 'Bearer tg_1', 'x-goog-api-key': 'tg_1' })
    gemini.setCredential(headers, 'AIza')
    expect([...headers]).toEqual([['x-goog-api-key', 'AIza']])
    gemini.setCredential(headers, 'ya29.token')
    expect([...headers]).toEqual([['authorization', 'Bearer ya29.token']])
  })
})

describe('paths', () => {
  const app = new Hono()
  for (const { method, path, name } of gemini.operations) app.on(method, path, (c) => c.text(name))
  const route = async (method: string, path: string) => {
    const answer = await app.request(path, { method })
    return answer.status === 404 ? null : answer.text()
  }

  test.each([
    ['POST', '/v1beta/models/gemini-2.5-flash:generateContent', 'generate_content'],
    ['POST', '/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse', 'stream_generate_content'],
    ['POST', '/v1beta/models/gemini-embedding-001:embedContent', 'embed_content'],
    ['POST', '/v1beta/models/gemini-embedding-001:batchEmbedContents', 'batch_embed_contents'],
    ['POST', '/v1beta/models/gemini-2.5-flash:countTokens', 'count_tokens'],
    ['GET', '/v1beta/models', 'models_list'],
    ['GET', '/v1beta/models/gemini-2.5-flash', 'models_get'],
    ['POST', '/v1beta/models/gemini-2.5-flash:batchGenerateContent', null],
    ['POST', '/v1beta/models/imagen-4.0:predict', null],
    ['POST', '/v1beta/models/a:b:generateContent', null],
    ['POST', '/v1beta/models/a%3Ab:generateContent', null],
    ['POST', '/v1beta/tunedModels/x:generateContent', null],
    ['POST', '/v1beta/cachedContents', null],
    ['POST', '/upload/v1beta/files', null],
    ['POST', '/v1beta2/models/x:generateContent', null],
  ])('%s %s is %s', async (method, path, name) => {
    expect(await route(method, path)).toBe(name)
  })
})

test.each([
  ['gemini-2.5-flash', 65_536],
  ['gemini-3-pro-preview', 65_536],
  ['gemini-3.5-flash', 65_536],
  ['gemini-2.0-flash', 8_192],
  ['gemini-4-argon', null],
])('knows that %s answers at most %s', (model, most) => {
  expect(gemini.maxOutputTokens(model)).toBe(most)
})
