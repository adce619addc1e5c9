// The body that a client reads: written no faster than it is asked for, and no longer than it is there.

import { expect, test, vi } from 'vitest'
import { openClientBody } from '../../../src/gateway/client-body.ts'

test('a client is given what it asks for, and nothing once it has left', async () => {
  const client = openClientBody()
  const gone = vi.fn()
  client.onGone = gone
  const reader = client.body.getReader()
  const first = reader.read()
  await client.write(new Uint8Array([1]))
  expect(await first).toEqual({ done: false, value: new Uint8Array([1]) })
  // Nothing is asked for ahead.
  const second = client.write(new Uint8Array([2]))
  expect([client.isAwaited, client.isGone]).toEqual([true, false])
  await reader.cancel()
  await second
  expect([client.isAwaited, client.isGone]).toEqual([false, true])
  await client.write(new Uint8Array([3]))
  client.giveUp()
  client.close(null)
  expect(gone).toHaveBeenCalledOnce()
})

test('a client that was given up is given nothing of what waited for it', async () => {
  const client = openClientBody()
  const waiting = client.write(new Uint8Array([1]))
  client.giveUp()
  await waiting
  client.close(null)
  expect(await new Response(client.body).bytes()).toHaveLength(0)
})

test('a client that leaves once it has been given all of it has not left too early', async () => {
  const client = openClientBody()
  client.onGone = () => expect.unreachable('it had all of it')
  const reader = client.body.getReader()
  void reader.read()
  await client.write(new Uint8Array([1]))
  // What it has asked for and not taken makes the stream tell that it leaves, though nothing comes any more.
  const last = reader.read().catch(() => undefined)
  reader.releaseLock()
  await client.write(new Uint8Array([2]))
  client.close(null)
  await Promise.all([last, client.body.cancel()])
  expect(client.isGone).toBe(false)
})
