// What Neon's proxy itself answers where it gives no result, as its source has it (neondatabase/neon, proxy/src/serverless)
// and as people quote it in issues: of none of them is an event at fault, and each is a 503.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import { rootCause } from '../../../src/errors.ts'
import { openDatabase } from '../../../src/postgres/client.ts'
import { loadSnapshot } from '../../../src/postgres/snapshots.ts'
import { EventRejected, writeEvents } from '../../../src/postgres/usage-writer.ts'
import { createUser } from '../../../src/postgres/users.ts'
import { gatewayErrorOf } from '../../../src/rest/thrown.ts'
import { usageEvent } from './usage-event.ts'

let answer = { status: 200, body: '' }
const server = createServer((request, response) => {
  request.resume()
  response.writeHead(answer.status).end(answer.body)
})
await once(server.listen(0, '127.0.0.1'), 'listening')
afterAll(() => void server.close())

const { port } = server.address() as AddressInfo
const db = openDatabase({
  DATABASE_URL: 'postgresql://neondb_owner:npg_S3CRET@ep-cool-1.eu-central-1.aws.neon.tech/neondb',
  DATABASE_HTTP_URL: `http://127.0.0.1:${port}/sql`,
})

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('it succeeded'),
    (error) => error,
  )

/** Where Postgres has said nothing the fields are empty, not absent. */
const said = (message: string, fields: object = {}) =>
  JSON.stringify({
    message,
    code: '',
    detail: null,
    hint: null,
    severity: '',
    constraint: null,
    routine: null,
    ...fields,
  })

const PAGE = '<html><head><title>Service Temporarily Unavailable</title></head></html>'

test.each([
  ['the password is wrong', 400, said("password authentication failed for user 'neondb_owner'")],
  [
    'the endpoint is not there',
    400,
    said("The requested endpoint could not be found, or you don't have access to it."),
  ],
  ['the endpoint is disabled', 500, said('Control plane request failed: endpoint is disabled')],
  ['the compute does not wake up', 500, said('Control plane request failed', { 'neon:retryable': true })],
  ['a quota is used up', 402, said('Your account or project has exceeded the compute time quota.')],
  ['there are too many attempts', 500, said('Too many connections attempts')],
  [
    'Postgres has no free connection',
    500,
    said('sorry, too many clients already', { code: '53300', severity: 'FATAL' }),
  ],
  ['Postgres is starting', 500, said('the database system is starting up', { code: '57P03', severity: 'FATAL' })],
  ['the connection ends in the middle of a query', 400, said('connection closed')],
  ['the compute is stopped', 400, said('terminating connection', { code: '57P01', severity: 'FATAL' })],
  ['the proxy is stopped', 400, '{"message":"Query cancelled, connection was terminated","code":"08P01"}'],
  ['the proxy does not take any more', 503, '{"msg":"Shutting down"}'],
  ['the proxy takes no request', 400, '{"msg":"invalid uri"}'],
  ['the path is not /sql', 400, '"query is not supported"'],
  [
    'the project is full',
    400,
    said('could not extend file because project size limit has been exceeded', { code: '53100' }),
  ],
  ['it is a read replica', 400, said('cannot execute INSERT in a read-only transaction', { code: '25006' })],
  [
    'Postgres has run out of transaction ids',
    400,
    said('database is not accepting commands to avoid wraparound data loss in database "neondb"', {
      code: '54000',
      routine: 'GetNewTransactionId',
    }),
  ],
  ['the request is too large', 413, said('request is too large (max is 67108864 bytes)')],
  ['the answer is too large', 507, said('response is too large (max is 67108864 bytes)')],
  ['the host is not Neon’s', 404, 'Not Found'],
  ['a balancer answers', 503, PAGE],
  ['the proxy cannot read the request', 400, ''],
  ['a balancer refuses', 400, PAGE],
  ['the answer is cut', 200, '{"results":[{"fields":[{"name":"ver'],
  ['something else answers', 200, PAGE],
])('where %s (%i), events wait, no user is missing, and an admin sees a 503', async (_, status, body) => {
  answer = { status, body }
  const thrown = [
    await failure(writeEvents(db, [usageEvent({})])),
    await failure(loadSnapshot(db, crypto.randomUUID())),
    await failure(createUser(db, { id: crypto.randomUUID(), name: 'Ada', email: null, time_zone: 'UTC' })),
  ]
  for (const error of thrown) {
    expect(error).not.toBeInstanceOf(EventRejected)
    expect(gatewayErrorOf(error).code).toBe('database_unavailable')
    const isTold = status > 400 ? expect.stringContaining(`HTTP status ${status}`) : expect.stringMatching(/./)
    expect(rootCause(error)).toMatchObject({ message: isTold })
    // All that is logged and told.
    expect(`${rootCause(error)} ${gatewayErrorOf(error).message}`).not.toContain('S3CRET')
  }
})
