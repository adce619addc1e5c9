// Answers that are kept until they are whole.

import { afterAll, expect, test, vi } from 'vitest'
import { MAX_KEPT_BYTES, readAnswer } from '../../../src/gateway/answer.ts'
import { watchSilence } from '../../../src/gateway/silence.ts'
import { announcedLength } from '../../../src/providers/answer.ts'

const silence = watchSilence({ first_byte_ms: 60_000, idle_ms: 60_000 })
afterAll(silence.stop)

test('an answer without an end is not kept without end', async () => {
  const part = new Uint8Array(1024 * 1024)
  let sent = 0
  const cancel = vi.fn()
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += part.length
      controller.enqueue(part)
    },
    cancel,
  })
  expect(await readAnswer(new Response(body), Number.NaN, silence)).toBeNull()
  expect(cancel).toHaveBeenCalledOnce()
  expect(sent).toBeLessThan(MAX_KEPT_BYTES + 3 * part.length)
})

test('an answer of unknown length that breaks off is none', async () => {
  const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('cut')) })
  expect(await readAnswer(new Response(broken), Number.NaN, silence)).toBeNull()
})

test.each<[HeadersInit, number]>([
  [{}, Number.NaN],
  [{ 'content-length': '7' }, 7],
  [{ 'content-length': '7', 'content-encoding': 'gzip' }, Number.NaN],
  [{ 'content-length': '0', 'content-encoding': 'gzip' }, 0],
])('an answer with the headers %j is as long as is read of it: %d', (headers, length) => {
  expect(announcedLength(new Response(null, { headers }))).toBe(length)
})
