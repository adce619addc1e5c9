import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSseReader } from '../../../src/providers/sse.ts'

function read(...parts: string[]): string[] {
  const events: string[] = []
  const reader = createSseReader((data) => events.push(data))
  for (const part of parts) reader.push(new TextEncoder().encode(part))
  return events
}

test('an event of CRLF lines is read at its last CR, whether its LF comes or not', () => {
  expect(read('data: a\r\n\r')).toEqual(['a'])
  expect(read('data: a\r\n\r', '\ndata: b\r\n\r\n')).toEqual(['a', 'b'])
  expect(read('data: a\r\n\r', '', '\n\ndata: b\n\n')).toEqual(['a', 'b'])
})

test('a byte order mark is left out at the start, in any chunking, and nowhere else', () => {
  for (const size of [1, 2, 3, 100]) {
    const events: string[] = []
    const reader = createSseReader((data) => events.push(data))
    const bytes = new TextEncoder().encode('\ufeffdata: \ufeffa\n\ndata: b\ufeff\n\n')
    for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
    expect(events).toEqual(['\ufeffa', 'b\ufeff'])
  }
})

// Some servers keep a connection alive with it: https://github.com/huggingface/tau/pull/692
test('an event without data is none', () => {
  expect(read('data:\n\nevent: ping\ndata: \n\ndata: a\n\n')).toEqual(['a'])
})

test.each(['data', 'data:', 'data: '])('an event that is cut off behind "%s" is there, and cannot be read', (half) => {
  const events: string[] = []
  const reader = createSseReader((data) => events.push(data))
  reader.push(new TextEncoder().encode(`data: a\n\n${half}`))
  reader.end()
  expect(events).toEqual(['a', ''])
})

test('whatever ends the lines and wherever they are cut, the events are the same', () => {
  const stream = 'data: one\n\n: a comment\ndata: two\ndata: lines\n\nevent: x\ndata: Grüße 👋\n\n'
  fc.assert(
    fc.property(fc.constantFrom('\n', '\r', '\r\n'), fc.array(fc.nat(200), { maxLength: 8 }), (end, cuts) => {
      const bytes = new TextEncoder().encode(stream.replaceAll('\n', end))
      const events: string[] = []
      const reader = createSseReader((data) => events.push(data))
      const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]
      for (let i = 1; i < at.length; i++) reader.push(bytes.subarray(at[i - 1], at[i]))
      reader.end()
      expect(events).toEqual(['one', 'two\nlines', 'Grüße 👋'])
    }),
  )
})

test('of lines that are of no event, however many, no more is kept than an error has', () => {
  const kept: string[] = []
  const reader = createSseReader(
    () => {},
    (lines) => kept.push(lines),
  )
  reader.push(new TextEncoder().encode('oops\n'.repeat(100_000)))
  reader.end()
  expect(kept).toEqual([expect.stringMatching(/^(oops\n)+$/)])
  expect(kept[0]?.length).toBeLessThan(100_000)
})

test('an event with megabytes in a string is read, and so is all after it', () => {
  const long = { image: 'A'.repeat(6 * 2 ** 20), usage: 1 }
  const bytes = new TextEncoder().encode(`data: ${JSON.stringify(long)}\n\ndata: {"usage":2}\n\n`)
  for (const size of [bytes.length, 65_537]) {
    const usages: number[] = []
    const reader = createSseReader((data) => usages.push(JSON.parse(data).usage))
    for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
    expect([usages, reader.broken, reader.shortened]).toEqual([[1, 2], false, true])
  }
})

test('one with megabytes beside its strings is too large', () => {
  const reader = createSseReader(() => {})
  reader.push(new TextEncoder().encode(`data: [${'1,'.repeat(3 * 2 ** 20)}`))
  expect([reader.broken, reader.shortened]).toEqual([true, false])
})
