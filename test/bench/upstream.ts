// The bench's provider, a process of its own: answers every chat completion at once, with next to no work.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { JSON_ANSWER, MARK_OF_STREAM, STREAM_EVENTS } from './chat.ts'

/** Events per write: as many as a busy provider's socket holds when it is read. */
const EVENTS_PER_WRITE = 8

const json = Buffer.from(JSON_ANSWER)
const writes = STREAM_EVENTS.flatMap((_, at) =>
  at % EVENTS_PER_WRITE === 0 ? [Buffer.from(STREAM_EVENTS.slice(at, at + EVENTS_PER_WRITE).join(''))] : [],
)

const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, async (request, response) => {
  const body = await buffer(request)
  if (!body.includes(MARK_OF_STREAM)) {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': json.length,
      'x-request-id': 'req',
    })
    response.end(json)
    return
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'x-request-id': 'req' })
  for (const write of writes) response.write(write)
  response.end()
})

server.listen(0, '127.0.0.1', () => {
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
})
process.once('disconnect', () => process.exit())
