// Hostile text in every string that a caller or an admin may send: stored as it is or refused, never obeyed.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { allEvents, bodyOf, onlyEvent, post, type User } from '../support/client-calls.ts'
import { ADMIN_TOKEN, type Gateway, startGateway } from '../support/gateway.ts'

const SQL = [
  `'; drop table users; --`,
  `" ; delete from usage_events; --`,
  `' or '1'='1`,
  `$1); truncate caps; select ($2`,
  `\\'; drop table api_keys; --`,
  `/* */ union select * from api_keys`,
  `%' escape '!`,
  `\${jndi:ldap://evil.example/x}`,
  `{{7*7}}<script>alert(1)</script>`,
]
const UNICODE = ['\u202Eevil', 'ﷺ'.repeat(20), '😀'.repeat(40), '\u0007bell', 'e\u0301', 'b\uFEFFom', '\uFFFE']
const UNSTORABLE = ['\0', 'a\0b', '\ud800']

let gateway: Gateway
let user: User
beforeAll(async () => {
  gateway = await startGateway()
  user = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 1_000 } }])
})
afterAll(() => gateway.close())

interface Counts {
  [table: string]: number
}
/** Throws where a table is gone. */
async function rowsOf(...tables: string[]): Promise<Counts> {
  const counts: Counts = {}
  for (const table of tables) {
    const { rows } = await gateway.postgres.database.query({ query: `select count(*) from ${table}`, params: [] })
    counts[table] = Number(rows[0]?.[0])
  }
  return counts
}
const TABLES = ['users', 'api_keys', 'caps', 'default_caps']

async function admin(method: string, path: string, body?: unknown) {
  const answer = await fetch(gateway.url + path, {
    method,
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  return { status: answer.status, text, body: text === '' ? null : JSON.parse(text) }
}

describe('strings of the REST API', () => {
  test.each([...SQL, ...UNICODE])('%j as a name comes back as it went in', async (name) => {
    const { status, body } = await admin('POST', '/admin/users', { name })
    expect([status, body.name]).toEqual([201, name])
    expect((await admin('PATCH', `/admin/users/${body.id}`, { name })).body.name).toBe(name)
    expect((await admin('GET', `/admin/users/${body.id}`)).body.name).toBe(name)
    const key = await admin('POST', `/admin/users/${body.id}/keys`, { name })
    expect([key.status, key.body.name]).toEqual([201, name])
    const { users = 0 } = await rowsOf(...TABLES, 'usage_events')
    expect(users).toBeGreaterThan(1)
  })

  test.each(UNSTORABLE)('%j is refused by name, not by the database', async (name) => {
    const before = await rowsOf(...TABLES)
    expect(await admin('POST', '/admin/users', { name })).toMatchObject({ status: 400, body: { field: 'name' } })
    expect(await admin('POST', `/admin/users/${user.id}/keys`, { name })).toMatchObject({ status: 400 })
    expect(await rowsOf(...TABLES)).toEqual(before)
  })

  test.each([...SQL, ...UNSTORABLE])(
    '%j where an id, an enum, an instant or a number is due is a 400 or 404',
    async (text) => {
      const before = await rowsOf(...TABLES)
      const inPath = encodeURIComponent(text.toWellFormed())
      const under = `/admin/users/${user.id}`
      const calls: [string, string, unknown?][] = [
        ['GET', `/admin/users/${inPath}`],
        ['DELETE', `/admin/users/${inPath}`],
        ['POST', `/admin/users/${inPath}/suspend`],
        ['DELETE', `${under}/keys/${inPath}`],
        ['GET', `${under}/caps/${inPath}`],
        ['DELETE', `/admin/default-caps/${inPath}`],
        ['POST', '/admin/users', { name: 'x', time_zone: text }],
        ['POST', '/admin/users', { name: 'x', email: text }],
        ['POST', '/admin/users', { name: 'x', [text]: 1 }],
        ['POST', `${under}/keys`, { name: 'x', scopes: [text] }],
        ['POST', `${under}/keys`, { name: 'x', expires_at: text }],
        ['POST', `${under}/caps`, { cap_type: text, limits: { requests: 1 } }],
        ['POST', `${under}/caps`, { cap_type: 'daily', limits: { requests: text } }],
        ['POST', `${under}/caps`, { cap_type: 'daily', limits: { [text]: 1 } }],
        ['POST', `${under}/caps`, { cap_type: 'daily', limits: { requests: 1 }, on_exceed: text }],
        ['GET', `/admin/users?status=${inPath}`],
        ['GET', `/admin/users?cursor=${inPath}`],
        ['GET', `/admin/users?limit=${inPath}`],
        ['GET', `/admin/usage/events?user_id=${inPath}`],
        ['GET', `/admin/usage/events?from=${inPath}`],
      ]
      for (const [method, path, body] of calls) {
        const answer = await admin(method, path, body)
        expect([400, 404], `${method} ${path} ${JSON.stringify(body)}: ${answer.text}`).toContain(answer.status)
        expect(answer.body.detail).toEqual(expect.any(String))
      }
      expect(await rowsOf(...TABLES)).toEqual(before)
    },
  )

  test.each(SQL)('%j as a filter finds nothing and breaks nothing', async (text) => {
    for (const filter of ['provider', 'operation', 'model', 'job_id', 'batch_id', 'session_id']) {
      const answer = await admin('GET', `/admin/usage/events?${filter}=${encodeURIComponent(text)}`)
      expect([answer.status, answer.body.data], filter).toEqual([200, []])
    }
  })
})

describe('strings of a call', () => {
  const ascii = SQL.filter((text) => !text.includes(','))

  test('end in its event as they are', async () => {
    const { id, key } = await gateway.admin.user()
    for (const text of ascii) {
      const answer = await post(gateway, 'openai', key, bodyOf('openai', { model: text }), {
        headers: {
          'x-tollgate-job-id': text,
          'x-tollgate-batch-id': text,
          'x-tollgate-session-id': text,
          'x-tollgate-metadata': JSON.stringify({ [text.slice(0, 64)]: text }),
          'user-agent': text,
        },
      })
      expect(answer.status, text).toBe(200)
    }
    const events = await allEvents(gateway, id, ascii.length)
    const seen = events.map(({ request_model, job_id, batch_id, session_id, metadata }) => [
      request_model,
      job_id,
      batch_id,
      session_id,
      metadata,
    ])
    expect(new Set(seen.map(String))).toEqual(
      new Set(ascii.map((text) => String([text, text, text, text, { [text.slice(0, 64)]: text }]))),
    )
    expect(await rowsOf(...TABLES)).toMatchObject({ caps: expect.any(Number) })
  })

  test('that Postgres cannot store lose no event', async () => {
    const { id, key } = await gateway.admin.user()
    const models = ['nul\0model', 'half\ud800pair', 'ﷺ', '\u0001']
    for (const model of models) await (await post(gateway, 'openai', key, bodyOf('openai', { model }))).text()
    const events = await allEvents(gateway, id, models.length)
    expect(events.map(({ request_model }) => request_model).sort()).toEqual(
      ['nul\uFFFDmodel', 'half\uFFFDpair', 'ﷺ', '\u0001'].sort(),
    )
  })

  test('in metadata that Postgres cannot store are refused', async () => {
    for (const metadata of ['{"a":"\\u0000"}', '{"a":"\\ud800"}', '{"\\u0000":1}', '{"__proto__":1}']) {
      const answer = await post(gateway, 'openai', user.key, bodyOf('openai'), {
        headers: { 'x-tollgate-metadata': metadata },
      })
      expect(answer.status, metadata).toBe(400)
    }
  })

  test('that the provider answers lose no event', async () => {
    const { id, key } = await gateway.admin.user()
    gateway.provider.reply = (_, usual) => {
      const script = usual()
      const step = String(script.steps[0]).replace(
        '"gpt-4o-mini-2024-07-18"',
        `"\\u0000'; drop table users; --\\ud800"`,
      )
      return { ...script, steps: [step.replace('"default"', `"\\u0000${'x'.repeat(5_000)}"`)] }
    }
    await (await post(gateway, 'openai', key, bodyOf('openai'))).text()
    gateway.provider.reply = undefined
    const event = await onlyEvent(gateway, id)
    expect(event).toMatchObject({ response_model: `\uFFFD'; drop table users; --\uFFFD`, usage_source: 'reported' })
    expect(await rowsOf(...TABLES)).toMatchObject({ users: expect.any(Number) })
  })
})
