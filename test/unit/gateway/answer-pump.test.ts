// Answers on their way to a client, with streams in memory: what is withheld, what is given up, and when.

import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import type { AnswerEnd } from '../../../src/gateway/answer.ts'
import { type PumpOptions, pumpAnswer } from '../../../src/gateway/answer-pump.ts'
import { watchSilence } from '../../../src/gateway/silence.ts'
import { changeEnd, UNREAD } from '../../../src/providers/answer.ts'
import { providerSchema } from '../../../src/providers/compatible/provider.ts'
import { withUsageQuirks } from '../../../src/providers/compatible/usage.ts'
import type { Meter } from '../../../src/providers/dialect.ts'
import { meterChat } from '../../../src/providers/openai-meter.ts'
import { createUsageChunkFilter } from '../../../src/providers/usage-chunk-filter.ts'
import { soon } from './soon.ts'

afterEach(() => {
  vi.useRealTimers()
})

const LAST = 'the end'
const decoder = new TextDecoder()

const textStream = (chunks: string[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk))
      controller.close()
    },
  })

/** Breaks off behind this chunk. */
function brokenAfter(chunk: string): ReadableStream<Uint8Array> {
  const chunks = [chunk]
  return new ReadableStream({
    pull(controller) {
      const next = chunks.pop()
      if (next === undefined) controller.error(new Error('cut'))
      else controller.enqueue(new TextEncoder().encode(next))
    },
  })
}

/** A stream of text whose meter knows its end. */
function pumped(from: string[] | ReadableStream<Uint8Array>, options: Partial<PumpOptions> = {}, idle_ms = 60_000) {
  const ends: AnswerEnd[] = []
  let finished = false
  const upstream = Array.isArray(from) ? textStream(from) : from
  const silence = watchSilence({ first_byte_ms: 60_000, idle_ms })
  onTestFinished(silence.stop)
  const { body, done } = pumpAnswer(upstream, {
    signal: new AbortController().signal,
    meter: {
      push(bytes) {
        finished ||= decoder.decode(bytes) === LAST
      },
      get ending() {
        return finished ? 'over' : 'not_yet'
      },
      end: () => ({ ...UNREAD, complete: finished, may_hide_output: false }),
    },
    filter: null,
    silence,
    abort: () => undefined,
    errorEvent: (cut) => new TextEncoder().encode(`error: ${cut}`),
    mayGoOn: async () => true,
    settle: async (end) => {
      ends.push(end)
      return true
    },
    ...options,
  })
  return { body, done, ends }
}

test('the bytes that end a stream wait until its call is on record', async () => {
  const record = Promise.withResolvers<boolean>()
  const { body } = pumped(['one ', LAST], { settle: () => record.promise })
  const reader = body.getReader()
  expect(decoder.decode((await reader.read()).value)).toBe('one ')
  const last = reader.read()
  expect(await soon(last)).toBe('nothing yet')
  record.resolve(true)
  expect(decoder.decode((await last).value)).toBe(LAST)
})

test('a stream whose call could not be recorded ends in an error instead of its end', async () => {
  const { body, done } = pumped(['one ', LAST, ' and more'], { settle: async () => false })
  expect(await new Response(body).text()).toBe('one error: not_recorded')
  await done
})

test('a stream whose call could not be recorded is read no further', async () => {
  const abort = vi.fn()
  const { body, done } = pumped(['one ', LAST, ' and more'], { settle: async () => false, abort })
  await Promise.all([new Response(body).text(), done])
  expect(abort).toHaveBeenCalledOnce()
})

test('what was kept back of an answer that is no stream passes once its call is on record, and only then', async () => {
  const filter = { push: (bytes: Uint8Array) => bytes, end: () => new TextEncoder().encode('[rest]') }
  const error = { filter, errorEvent: null }
  expect(await new Response(pumped(['not JSON '], error).body).text()).toBe('not JSON [rest]')
  const reader = pumped(['not JSON '], { ...error, settle: async () => false }).body.getReader()
  // The first read: no byte came before it.
  await expect(reader.read()).rejects.toThrow('not_recorded')
})

test('what is half an event when a stream breaks off does not pass, and its end that is whole does', async () => {
  const filter = { push: (bytes: Uint8Array) => bytes, end: () => new TextEncoder().encode('[rest]') }
  expect(await new Response(pumped(['one ', LAST], { filter }).body).text()).toBe(`one ${LAST}[rest]`)
  expect(await new Response(pumped(['one '], { filter }).body).text()).toBe('one error: upstream_cut')
  // Also behind an error of the provider's own.
  const meter = {
    push: () => undefined,
    end: () => ({ ...UNREAD, complete: false, may_hide_output: true, error_class: 'upstream_error' }),
  }
  const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('cut')) })
  expect(await new Response(pumped(broken, { filter, meter }).body).text()).not.toContain('[rest]')
})

test('a stream whose meter knows of no end is whole unless it breaks off: then it ends in an error', async () => {
  const filter = { push: (bytes: Uint8Array) => bytes, end: () => new TextEncoder().encode('[rest]') }
  const meter = { push: () => undefined, end: () => ({ ...UNREAD, complete: true, may_hide_output: false }) }
  expect(await new Response(pumped(['one '], { filter, meter }).body).text()).toBe('one [rest]')
  expect(await new Response(pumped(brokenAfter('one '), { filter, meter }).body).text()).toBe('one error: upstream_cut')
})

test('the last piece of a stream whose meter knows of no end waits until its call is on record', async () => {
  const meter = { push: () => undefined, end: () => ({ ...UNREAD, complete: true, may_hide_output: false }) }
  const record = Promise.withResolvers<boolean>()
  const { body } = pumped(['one ', 'two'], { meter, settle: () => record.promise })
  const reader = body.getReader()
  expect(decoder.decode((await reader.read()).value)).toBe('one ')
  const last = reader.read()
  expect(await soon(last)).toBe('nothing yet')
  record.resolve(false)
  expect(decoder.decode((await last).value)).toBe('error: not_recorded')
})

test('an error that the provider has told in its stream is not told again', async () => {
  const meter = {
    push: () => undefined,
    end: () => ({ ...UNREAD, complete: false, may_hide_output: true, error_class: 'upstream_error' }),
  }
  const { body, ends } = pumped(['one ', 'its own error'], { meter })
  expect(await new Response(body).text()).toBe('one its own error')
  expect(ends).toMatchObject([{ cut: null }])
})

test('an error that ended a stream is not told again where the connection breaks behind it', async () => {
  const meter: Meter = {
    push: () => undefined,
    ending: 'over',
    end: () => ({ ...UNREAD, complete: false, may_hide_output: true, error_class: 'upstream_error' }),
  }
  const { body, ends } = pumped(brokenAfter('its own error'), { meter })
  expect(await new Response(body).text()).toBe('its own error')
  expect(ends).toMatchObject([{ cut: null }])
})

test.each([
  ['a stream that ended in an error', 'error', 'its own error'],
  ['JSON', null, '{}'],
])('%s has the end that is put on record, also where its key is revoked meanwhile', async (_, error_class, text) => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const may = Promise.withResolvers<boolean>()
  const record = Promise.withResolvers<boolean>()
  const meter: Meter = {
    push: () => vi.setSystemTime(Date.now() + 6_000),
    ending: error_class ? 'over' : undefined,
    end: () => ({ ...UNREAD, complete: error_class === null, may_hide_output: false, error_class }),
  }
  const settling = Promise.withResolvers<AnswerEnd>()
  const settle = (end: AnswerEnd) => {
    settling.resolve(end)
    return record.promise
  }
  const more = error_class ? { meter } : { meter, errorEvent: null }
  const { body } = pumped(['', text], { ...more, mayGoOn: () => may.promise, settle })
  const seen = new Response(body).text()
  expect((await settling.promise).cut).toBe(null)
  may.resolve(false)
  await may.promise
  record.resolve(true)
  expect(await seen).toBe(text)
})

test('a client that does not read what it is told of a silent provider is given up, too', async () => {
  let controller: ReadableStreamDefaultController | undefined
  const silent = new ReadableStream<Uint8Array>({
    start(its) {
      controller = its
    },
  })
  const { done, ends } = pumped(silent, { abort: () => controller?.error(new Error('aborted')) }, 40)
  await done
  expect(ends).toMatchObject([{ cut: 'upstream_timeout' }])
})

test.each([
  ['while it is sent', false],
  ['before it began', true],
])('an answer whose client left %s is read for 25 s, also where its provider is silent', async (_, isEarly) => {
  vi.useFakeTimers()
  const client = new AbortController()
  if (isEarly) client.abort()
  let controller: ReadableStreamDefaultController | undefined
  const silent = new ReadableStream<Uint8Array>({
    start(its) {
      controller = its
    },
  })
  const abort = () => controller?.error(new Error('aborted'))
  const { ends } = pumped(silent, { signal: client.signal, abort }, 300_000)
  client.abort()
  await vi.advanceTimersByTimeAsync(24_000)
  expect(ends).toEqual([])
  await vi.advanceTimersByTimeAsync(1_000)
  expect(ends).toMatchObject([{ cut: 'client_gone', client_gone: true }])
})

test('what comes after the end of a stream passes and is not metered', async () => {
  const push = vi.fn()
  const meter: Meter = { push, ending: 'over', end: () => ({ ...UNREAD, complete: true, may_hide_output: false }) }
  expect(await new Response(pumped(['the end', ' and more'], { meter }).body).text()).toBe('the end and more')
  expect(push).toHaveBeenCalledOnce()
})

test('an answer that is over leaves no timer behind, whether or not its client stayed', async () => {
  vi.useFakeTimers()
  const client = new AbortController()
  const whole = pumped(['one ', LAST], { signal: client.signal })
  await Promise.all([new Response(whole.body).text(), whole.done])
  client.abort()
  const left = pumped(['one ', LAST])
  await left.body.cancel()
  await left.done
  expect(vi.getTimerCount()).toBe(0)
})

test('what is no stream keeps its last piece back until its call is on record, and for good where it cannot be', async () => {
  const record = Promise.withResolvers<boolean>()
  const settle = () => record.promise
  const whole = pumped(['{"one":', ' 1}'], { errorEvent: null, settle })
  const reader = whole.body.getReader()
  expect(decoder.decode((await reader.read()).value)).toBe('{"one":')
  const last = reader.read()
  expect(await soon(last)).toBe('nothing yet')
  record.resolve(true)
  expect(decoder.decode((await last).value)).toBe(' 1}')
  expect((await reader.read()).done).toBe(true)

  const { body } = pumped(['{"one":', ' 1}'], { errorEvent: null, settle: async () => false })
  let text = ''
  const read = async () => {
    for await (const bytes of body) text += decoder.decode(bytes)
  }
  await expect(read()).rejects.toThrow('not_recorded')
  expect('{"one":').toContain(text)
})

test('a stream that may be over waits with what may be its last piece, and with no other', async () => {
  const record = Promise.withResolvers<boolean>()
  let heard = ''
  const meter: Meter = {
    push(bytes) {
      heard = decoder.decode(bytes)
    },
    get ending() {
      return heard.startsWith('stop') ? 'may_be_over' : 'not_yet'
    },
    end: () => ({ ...UNREAD, complete: true, may_hide_output: false }),
  }
  const { body } = pumped(['one ', 'stop ', 'usage ', 'stop'], { meter, settle: () => record.promise })
  const reader = body.getReader()
  for (const text of ['one ', 'stop ', 'usage ']) expect(decoder.decode((await reader.read()).value)).toBe(text)
  const last = reader.read()
  expect(await soon(last)).toBe('nothing yet')
  record.resolve(true)
  expect(decoder.decode((await last).value)).toBe('stop')
  expect((await reader.read()).done).toBe(true)
})

test('a stream whose meter cannot tell its end waits with its last piece, also where what it read is changed', async () => {
  const record = Promise.withResolvers<boolean>()
  const meter = { push() {}, end: () => ({ ...UNREAD, complete: true, may_hide_output: false }) }
  const { body } = pumped(['one ', 'two'], {
    meter: changeEnd(meter, (metered) => metered),
    settle: () => record.promise,
  })
  const reader = body.getReader()
  expect(decoder.decode((await reader.read()).value)).toBe('one ')
  const last = reader.read()
  expect(await soon(last)).toBe('nothing yet')
  record.resolve(true)
  expect(decoder.decode((await last).value)).toBe('two')
  expect((await reader.read()).done).toBe(true)
})

test('a compatible provider’s stream without [DONE] waits, too, with what comes before the usage that is taken out', async () => {
  const { quirks } = providerSchema.parse({ name: 'acme', base_url: 'https://acme.example/v1' })
  const body = { model: 'm', messages: [] }
  const chunk = (fields: object) => `data: ${JSON.stringify(fields)}\n\n`
  const text = chunk({ choices: [{ index: 0, delta: { content: 'Hello' }, finish_reason: null }] })
  const stop = chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
  const usage = chunk({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } })
  const head = { status: 200, headers: new Headers(), format: 'sse' } as const
  const record = Promise.withResolvers<boolean>()
  const { body: answer } = pumped([text, stop, usage], {
    meter: withUsageQuirks(meterChat(body)(head), head, quirks, { one_hour: false, audio_input: false }),
    filter: createUsageChunkFilter(),
    settle: () => record.promise,
  })
  const reader = answer.getReader()
  expect(decoder.decode((await reader.read()).value)).toBe(text)
  const last = reader.read()
  expect(await soon(last)).toBe('nothing yet')
  record.resolve(true)
  expect(decoder.decode((await last).value)).toBe(stop)
  expect((await reader.read()).done).toBe(true)
})

test('whether a stream may go on is asked every few seconds, and of one that lasts for hours a few hundred times in all', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const start = Date.now()
  const asked = [0]
  const { body, done } = pumped(Array(3 * 3_600).fill('a chunk a second'), {
    meter: {
      push: () => vi.setSystemTime(Date.now() + 1_000),
      ending: 'not_yet',
      end: () => ({ ...UNREAD, complete: true, may_hide_output: false }),
    },
    mayGoOn: async () => {
      asked.push((Date.now() - start) / 1_000)
      return true
    },
  })
  await new Response(body).text()
  await done
  expect(asked.slice(0, 4)).toEqual([0, 6, 12, 18])
  for (const [i, at] of asked.entries()) expect(at - (asked[i - 1] ?? 0)).toBeLessThanOrEqual(Math.max(6, 1 + at / 100))
  expect(asked.length).toBeLessThan(400)
})

test('a clock that was set back does not keep a stream from being asked whether it may go on', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const pushed: string[] = []
  const { body, done } = pumped(Array(20).fill('a chunk a second'), {
    meter: {
      push: () => vi.setSystemTime(Date.now() + (pushed.push('chunk') === 3 ? -3_600_000 : 1_000)),
      ending: 'not_yet',
      end: () => ({ ...UNREAD, complete: true, may_hide_output: false }),
    },
    mayGoOn: async () => {
      pushed.push('asked')
      return true
    },
  })
  await new Response(body).text()
  await done
  expect(pushed.indexOf('asked')).toBe(3)
  expect(pushed.filter((one) => one === 'asked').length).toBeGreaterThan(2)
})

test('a client that keeps its connection and does not read cannot keep its call from ending', async () => {
  const chunks = Array.from({ length: 50 }, () => 'x'.repeat(1_000))
  const aborted = Promise.withResolvers<void>()
  const { body, done, ends } = pumped(chunks, { abort: () => aborted.resolve() }, 30)
  await aborted.promise
  await done
  expect(ends).toMatchObject([{ cut: 'client_gone' }])
  // Should it read on after all: an end would tell it that it has everything.
  await expect(new Response(body).text()).rejects.toThrow('client_gone')
})

test('an answer is read on for 25 seconds after its client has gone, and no longer', async () => {
  vi.useFakeTimers()
  let isAborted = false
  const endless = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      if (isAborted) controller.error(new Error('aborted'))
      else controller.enqueue(new TextEncoder().encode('more'))
    },
  })
  const abort = () => {
    isAborted = true
  }
  const { body, done, ends } = pumped(endless, { abort })
  const reader = body.getReader()
  const first = reader.read()
  await vi.advanceTimersByTimeAsync(1_000)
  await first
  await reader.cancel()
  await vi.advanceTimersByTimeAsync(24_999)
  expect(isAborted).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  expect(isAborted).toBe(true)
  await vi.advanceTimersByTimeAsync(1_000)
  await done
  expect(ends).toMatchObject([{ cut: 'client_gone', client_gone: true }])
})

test('a provider that falls silent behind a slow client is the one to blame', async () => {
  vi.useFakeTimers()
  const started = Date.now()
  let provider: ReadableStreamDefaultController<Uint8Array> | null = null
  const silent = new ReadableStream<Uint8Array>({
    start(controller) {
      provider = controller
      controller.enqueue(new TextEncoder().encode('one piece, '))
    },
  })
  const abort = () => provider?.error(new Error('aborted'))
  const { body, done, ends } = pumped(silent, { abort })
  await vi.advanceTimersByTimeAsync(30_000)
  const text = new Response(body).text()
  await vi.advanceTimersByTimeAsync(70_000)
  await done
  expect(await text).toBe('one piece, error: upstream_timeout')
  expect(ends).toMatchObject([{ cut: 'upstream_timeout', client_gone: false, first_byte_at: started }])
})

test('the time of the first byte is that of the first', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const started = Date.now()
  const { body, done, ends } = pumped(['a', 'b', LAST])
  for await (const _ of body) vi.setSystemTime(Date.now() + 1_000)
  await done
  expect(ends).toMatchObject([{ first_byte_at: started }])
})
