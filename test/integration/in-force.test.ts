// When an admin call returns, the change is in force; who may call is the ledger's to say, and a ledger that knows
// nothing lets nobody through.

import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createKeyRing } from '../../src/auth/keys.ts'
import { checkBooks, statusOf } from '../support/books.ts'
import { eventually, type Gateway, KEY_SIGNING_SECRET, startGateway } from '../support/gateway.ts'
import { chat, holdAnswers, idsOf, message, race, read, times } from '../support/held-calls.ts'

const JWT_SECRET = 'a-jwt-secret-for-tests-only-0123456789abcdef'
const JWT_ISSUER = 'https://idp.test'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway({
    vars: { JWT_HS256_SECRET: JWT_SECRET, JWT_ISSUER, MODELS: '["openai/gpt-4o-mini"]' },
  })
})
afterAll(() => gateway.close())

interface Created {
  id: string
  key: string
}

/** A user with a key whose id is known, and that has made a call. */
async function caller(caps: Parameters<Gateway['admin']['user']>[0] = []) {
  const { id } = await gateway.admin.user(caps)
  const key = await gateway.admin.call<Created>('POST', `/admin/users/${id}/keys`, { name: 'known' })
  expect((await read(chat(gateway, key.key))).status).toBe(200)
  return { id, path: `/admin/users/${id}`, key_id: key.id, key: key.key }
}

const status = async (key: string) => (await read(chat(gateway, key))).status
/** What is neither held nor counted, and not for everybody either. */
const READS = ['/usage/caps', '/prices/openai/gpt-4o', '/v1/models']
const statusOfRead = async (path: string, key: string) =>
  (await fetch(gateway.url + path, { headers: { authorization: `Bearer ${key}` } })).status
const statusesOfReads = (key: string) => Promise.all(READS.map((path) => statusOfRead(path, key)))
const call: Gateway['admin']['call'] = (...args) => gateway.admin.call(...args)

describe('in force when the admin call returns', () => {
  test('a revoked key', async () => {
    const { path, key_id, key } = await caller()
    await call('DELETE', `${path}/keys/${key_id}`)
    const answers = await Promise.all(times(20, () => read(chat(gateway, key))))
    expect(answers.map((answer) => answer.status)).toEqual(times(20, () => 401))
    expect(JSON.parse(answers[0]?.body ?? '').error.code).toBe('invalid_api_key')
  })

  test('a suspended user, and an activated one', async () => {
    const { path, key } = await caller()
    await call('POST', `${path}/suspend`)
    expect(await status(key)).toBe(403)
    expect((await read(message(gateway, key))).status).toBe(403)
    await call('POST', `${path}/activate`)
    expect(await status(key)).toBe(200)
  })

  test('a deleted user', async () => {
    const { path, key } = await caller()
    await call('DELETE', path)
    expect(await status(key)).toBe(401)
  })

  test('a new cap, a lowered one, one that is no longer active, and a deleted one', async () => {
    const { path, key } = await caller()
    const cap = await call<Created>('POST', `${path}/caps`, { cap_type: 'total', limits: { requests: 1 } })
    expect(await status(key)).toBe(429)
    await call('PATCH', `${path}/caps/${cap.id}`, { limits: { requests: 10 } })
    expect(await status(key)).toBe(200)
    await call('PATCH', `${path}/caps/${cap.id}`, { limits: { requests: 2 } })
    expect(await status(key)).toBe(429)
    await call('PATCH', `${path}/caps/${cap.id}`, { is_active: false })
    expect(await status(key)).toBe(200)
    await call('PATCH', `${path}/caps/${cap.id}`, { is_active: true })
    expect(await status(key)).toBe(429)
    await call('DELETE', `${path}/caps/${cap.id}`)
    expect(await status(key)).toBe(200)
  })

  test('a cap that is lowered below what is in flight: those end, nobody else gets in', async () => {
    const { id, path, key } = await caller()
    const cap = await call<Created>('POST', `${path}/caps`, { cap_type: 'total', limits: { requests: 100 } })
    const gate = holdAnswers(gateway.provider)
    const running = times(10, () => read(chat(gateway, key, { body: { stream: true } })))
    await eventually(
      () => statusOf(gateway, id),
      ({ data }) => data[0]?.held.requests === 10,
    )
    await call('PATCH', `${path}/caps/${cap.id}`, { limits: { requests: 5 } })
    const refused = await Promise.all(times(10, () => status(key)))
    gate.open()
    expect(refused).toEqual(times(10, () => 429))
    expect((await Promise.all(running)).map((answer) => answer.status)).toEqual(times(10, () => 200))
    expect(await status(key)).toBe(429)
  })

  test('a rotated key without grace', async () => {
    const { path, key_id, key } = await caller()
    const rotated = await call<Created>('POST', `${path}/keys/${key_id}/rotate`, {})
    expect([await status(key), await status(rotated.key)]).toEqual([401, 200])
  })

  test('a key without the scope to call, which may still read its usage', async () => {
    const { path } = await caller()
    const { key } = await call<Created>('POST', `${path}/keys`, { name: 'reader', scopes: ['usage'] })
    expect(await status(key)).toBe(403)
    const own = await fetch(`${gateway.url}/usage/caps/status`, { headers: { authorization: `Bearer ${key}` } })
    expect(own.status).toBe(200)
  })
})

describe('after the database went back to an older state', () => {
  const sql = (query: string, ...params: string[]) => gateway.postgres.database.query({ query, params })

  test('its state is in force with the next change, however much newer the one that the ledger knew', async () => {
    const { id, path, key } = await caller([{ cap_type: 'total', limits: { requests: 1 } }])
    const { data } = await call<{ data: Created[] }>('GET', `${path}/caps`)
    for (const requests of [2, 3, 4]) {
      await call('PATCH', `${path}/caps/${data[0]?.id}`, { limits: { requests } })
    }
    await sql('update users set version = 1 where id = $1', id)
    await sql('update caps set limit_requests = 1 where user_id = $1', id)
    expect(await status(key)).toBe(200)
    await call('PATCH', path, { name: 'Any change' })
    expect(await status(key)).toBe(429)
    await call('POST', `${path}/suspend`)
    expect(await status(key)).toBe(403)
  })

  test('a change of a user whom it has lost ends the keys; who comes with a JWT begins anew, and what was used still counts', async () => {
    const lost = await caller()
    await sql('delete from api_keys where user_id = $1', lost.id)
    await sql('delete from users where id = $1', lost.id)
    await expect(call('POST', `${lost.path}/suspend`)).rejects.toThrow('404')
    expect(await status(lost.key)).toBe(401)
    expect(await statusesOfReads(lost.key)).toEqual([401, 401, 401])

    const token = await jwtOf('lost-person')
    expect(await status(token)).toBe(200)
    const id = await userOfSubject('lost-person')
    await sql('delete from users where id = $1', id)
    await expect(call('DELETE', `/admin/users/${id}`)).rejects.toThrow('404')
    expect(await status(token)).toBe(200)
    expect(await userOfSubject('lost-person')).toBe(id)
    await call('POST', `/admin/users/${id}/caps`, { cap_type: 'total', limits: { requests: 3 } })
    expect([await status(token), await status(token)]).toEqual([200, 429])
  })
})

const jwtOf = (subject: string) =>
  new SignJWT({ name: 'A person' })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(JWT_ISSUER)
    .setSubject(subject)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(JWT_SECRET))

async function userOfSubject(subject: string): Promise<string> {
  const { rows } = await gateway.postgres.database.query({
    query: 'select id from users where issuer = $1 and subject = $2',
    params: [JWT_ISSUER, subject],
  })
  expect(rows).toHaveLength(1)
  return rows[0]?.[0] ?? ''
}

describe('a JWT', () => {
  beforeAll(() => gateway.admin.call('PUT', '/admin/default-caps/total', { limits: { requests: 3 } }))
  afterAll(() => gateway.admin.call('DELETE', '/admin/default-caps/total'))

  test('of a new subject makes a user with the default caps, in force from its first calls on', async () => {
    const token = await jwtOf('new-person')
    const { admitted, refused } = await race(
      gateway,
      times(12, () => () => chat(gateway, token)),
    )
    expect([admitted.length, refused.length]).toEqual([3, 9])
    for (const { body } of refused) {
      expect(JSON.parse(body).error.cap).toMatchObject({ cap_type: 'total', limit: 3 })
    }
    const id = await userOfSubject('new-person')
    const { status: books } = await checkBooks(gateway, [id], idsOf(admitted))
    expect(books.get(id)?.data).toMatchObject([{ current_usage: { requests: 3 } }])
  })

  test('works in both dialects, and suspends like any user', async () => {
    const token = await jwtOf('both-dialects')
    expect((await read(message(gateway, token))).status).toBe(200)
    expect((await read(chat(gateway, token))).status).toBe(200)
    await call('POST', `/admin/users/${await userOfSubject('both-dialects')}/suspend`)
    expect((await read(message(gateway, token))).status).toBe(403)
  })
})

describe('a ledger that knows nothing', () => {
  test('refuses in the dialect while Postgres is down, forwards nothing, and goes on when it is back', async () => {
    const token = await jwtOf('during-an-outage')
    gateway.postgres.server.pause()
    const forwardedBefore = gateway.provider.requests.length
    const [openai, anthropic] = await Promise.all([read(chat(gateway, token)), read(message(gateway, token))])
    expect([openai.status, anthropic.status]).toEqual([503, 503])
    expect(JSON.parse(openai.body).error).toMatchObject({ type: 'server_error', code: 'ledger_unavailable' })
    expect(JSON.parse(anthropic.body)).toMatchObject({
      type: 'error',
      error: { type: 'api_error' },
      request_id: anthropic.request_id,
    })
    expect(gateway.provider.requests).toHaveLength(forwardedBefore)

    gateway.postgres.server.resume()
    expect((await read(chat(gateway, token))).status).toBe(200)
    await checkBooks(gateway, [await userOfSubject('during-an-outage')])
  })

  test('does not take a well-signed key of a user that does not exist', async () => {
    const key = await createKeyRing([KEY_SIGNING_SECRET]).issue(crypto.randomUUID(), crypto.randomUUID())
    expect(await status(key)).toBe(401)
    expect(await statusesOfReads(key)).toEqual([401, 401, 401])
  })

  test('takes a key that the database knows, whatever its first request is, and none that was revoked', async () => {
    for (const path of READS) {
      const { id, key_id, key } = await caller()
      const ledger = await gateway.ledgerOf(id)
      await ledger.configure(null)
      expect(await statusOfRead(path, key), path).toBe(200)
      await gateway.postgres.database.query({
        query: 'update api_keys set revoked_at = now() where id = $1',
        params: [key_id],
      })
      await ledger.configure(null)
      expect(await statusOfRead(path, key), path).toBe(401)
    }
  })
})

test("x-tollgate headers end in the call's event, and nowhere upstream", async () => {
  const { id, key } = await gateway.admin.user()
  const headers = {
    'x-tollgate-job-id': 'job 1',
    'x-tollgate-batch-id': 'batch-2',
    'x-tollgate-session-id': 'session:3',
    'x-tollgate-metadata': '{"team":"b\\u00e9ta","attempt":2,"dry":false,"note":null}',
  }
  const { request_id } = await read(chat(gateway, key, { headers }))
  const forwarded = gateway.provider.requests.at(-1)?.headers.map(([name]) => name.toLowerCase()) ?? []
  expect(forwarded.filter((name) => name.startsWith('x-tollgate'))).toEqual([])

  await checkBooks(gateway, [id], [request_id])
  const { rows } = await gateway.postgres.database.query({
    query: 'select job_id, batch_id, session_id, metadata from usage_events where id = $1',
    params: [request_id],
  })
  const [job, batch, session, metadata] = rows[0] ?? []
  expect([job, batch, session]).toEqual(['job 1', 'batch-2', 'session:3'])
  expect(JSON.parse(metadata ?? '')).toEqual({ team: 'béta', attempt: 2, dry: false, note: null })
})
