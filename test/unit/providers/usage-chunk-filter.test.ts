import { describe, expect, test } from 'vitest'
import { concatBytes } from '../../../src/providers/bytes.ts'
import { createUsageChunkFilter } from '../../../src/providers/usage-chunk-filter.ts'
import { vector } from '../providers/replay.ts'

const encode = (text: string) => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

function filtered(...chunks: Uint8Array[]): string {
  const filter = createUsageChunkFilter()
  return decode(concatBytes([...chunks.map((chunk) => filter.push(chunk)), filter.end()]))
}

const USAGE = 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
const CONTENT = 'data: {"choices":[{"delta":{"content":"\\"usage\\" ü"}}],"usage":null}'

describe('every chunking, at every byte', () => {
  const streams = ['\n', '\r\n', '\r'].map((eol) => {
    const lines = [': hello', '', CONTENT, '', '', 'id: 7', USAGE, '', 'data: [DONE]', '', '']
    const kept = [': hello', '', CONTENT, '', '', 'data: [DONE]', '', '']
    return { eol: JSON.stringify(eol), given: encode(lines.join(eol)), kept: kept.join(eol) }
  })

  test.each(streams)('drops the usage chunk and nothing else, with $eol', ({ given, kept }) => {
    for (let at = 0; at <= given.length; at++) {
      expect(filtered(given.subarray(0, at), given.subarray(at)), `cut at ${at}`).toBe(kept)
    }
    expect(filtered(...[...given].map((byte) => new Uint8Array([byte])))).toBe(kept)
  })

  test('a recorded stream loses its usage chunk alone', () => {
    const given = vector('openai-chat')
    const kept = decode(given).replace(/data: [^\n]*"choices":\[\],[^\n]*\n\n/, '')
    expect(kept.length).toBeLessThan(given.length)
    for (let at = 0; at <= given.length; at++) expect(filtered(given.subarray(0, at), given.subarray(at))).toBe(kept)
  })
})

test.each([
  ['choices beside usage', 'data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}\n\n'],
  ['usage that is null', 'data: {"choices":[],"usage":null}\n\n'],
  ['no choices at all', 'data: {"usage":{"prompt_tokens":1}}\n\n'],
  ['an error', 'data: {"error":{"message":"usage"}}\n\n'],
  ['what is not JSON', 'data: {"choices":[],"usage":{\n\n'],
  ['an event that never ended', 'data: {"choices":[{"delta":{"content":"x"}}]}'],
])('%s passes', (_, text) => {
  expect(filtered(encode(text))).toBe(text)
})

test('a usage chunk of several data lines, or at the very end without its blank line, is dropped', () => {
  expect(filtered(encode('data: {"choices":[],\ndata: "usage":{"prompt_tokens":1}}\n\ndata: [DONE]\n\n'))).toBe(
    'data: [DONE]\n\n',
  )
  expect(filtered(encode(`${CONTENT}\n\n${USAGE}`))).toBe(`${CONTENT}\n\n`)
})

test('an event is forwarded as soon as its blank line is complete', () => {
  const filter = createUsageChunkFilter()
  expect(decode(filter.push(encode('data: 1\n')))).toBe('')
  expect(decode(filter.push(encode('\ndata: 2')))).toBe('data: 1\n\n')
  expect(decode(filter.push(encode('\r\n\r')))).toBe('data: 2\r\n\r')
  expect(decode(filter.push(encode('\n')))).toBe('\n')
})

test('an event over 1 MiB passes without being held, and the next usage chunk is dropped all the same', () => {
  const filter = createUsageChunkFilter()
  const large = encode(`data: ${'x'.repeat(2 ** 20)}`)
  expect(filter.push(large).length).toBe(large.length)
  expect(decode(filter.push(encode(`y\n\n${USAGE}\n\ndata: [DONE]\n\n`)))).toBe('y\n\ndata: [DONE]\n\n')
})
