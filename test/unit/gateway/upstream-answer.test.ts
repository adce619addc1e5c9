// Requests on their way to a provider on this machine: when they are given up, and what is then taken to be billed.

import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { sendUpstream } from '../../../src/gateway/upstream-answer.ts'

const LIMITS = { first_byte_ms: 60_000, idle_ms: 60_000 }

let provider: Server
let arrived: Promise<IncomingMessage>
let isBusy: boolean

beforeEach(async () => {
  isBusy = false
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>()
  arrived = promise
  provider = createServer((request, answer) => {
    if (request.method === 'POST') resolve(request)
    else if (!isBusy) answer.end()
  })
  await new Promise<void>((listening) => provider.listen(0, '127.0.0.1', listening))
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  provider.closeAllConnections()
  provider.close()
})

function send(limits = LIMITS) {
  const url = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1/chat/completions`
  const sent = sendUpstream({ url, init: { method: 'POST', body: '{}' } }, limits)
  onTestFinished(sent.silence.stop)
  return sent
}
const closed = ({ socket }: IncomingMessage) => new Promise<void>((resolve) => socket.once('close', () => resolve()))

test('a provider that stays silent is left, and may have billed the call', async () => {
  const { answering } = send({ ...LIMITS, first_byte_ms: 200 })
  await closed(await arrived)
  expect(await answering).toMatchObject({ error: { code: 'upstream_timeout' }, was_sent: true })
})

test('a request ends when its answer is no longer wanted', async () => {
  const { answering, abort, silence } = send()
  const request = await arrived
  abort()
  await closed(request)
  expect(await answering).toMatchObject({ error: { code: 'upstream_unreachable' } })
  expect(silence.cut).toBe(null)
})

test('a provider that went down after seconds was there before: it may have billed the call', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const { answering } = send()
  const { socket } = await arrived
  vi.setSystemTime(Date.now() + 3_001)
  provider.close()
  socket.destroy()
  expect(await answering).toMatchObject({ error: { code: 'upstream_unreachable' }, was_sent: true })
})

test('one that went down at once counts as never reached', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const { answering } = send()
  const { socket } = await arrived
  provider.close()
  socket.destroy()
  expect(await answering).toMatchObject({ error: { code: 'upstream_unreachable' }, was_sent: false })
})

test('one that drops a call and is too busy to be asked may have billed it', async () => {
  isBusy = true
  const { answering } = send()
  ;(await arrived).socket.destroy()
  expect(await answering).toMatchObject({ error: { code: 'upstream_unreachable' }, was_sent: true })
})
