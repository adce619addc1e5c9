// What must never leave: the operator's secrets from the worker, and what people ask and are answered into any table.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CUT, json } from '../../src/local/fake-script.ts'
import { allEvents, bodyOf, onlyEvent, type Provider, post, type User } from '../support/client-calls.ts'
import { ADMIN_TOKEN, eventually, type Gateway, KEY_SIGNING_SECRET, startGateway } from '../support/gateway.ts'
import { everyTable, ledgerFiles } from '../support/stored.ts'

const DATABASE_PASSWORD = 'the-password-of-the-database'
const JWT_SECRET = 'the-shared-jwt-secret-0123456789-0123456789'
const SECRETS = ['sk-fake', 'sk-ant-fake', ADMIN_TOKEN, KEY_SIGNING_SECRET, DATABASE_PASSWORD, JWT_SECRET]
const PROVIDERS = ['openai', 'anthropic'] satisfies Provider[]

let gateway: Gateway
let user: User
const logs: string[] = []
const seen: string[] = []
beforeAll(async () => {
  gateway = await startGateway({
    onLog: (message) => logs.push(message),
    vars: {
      DATABASE_URL: `postgresql://tollgate:${DATABASE_PASSWORD}@127.0.0.1/tollgate`,
      JWT_HS256_SECRET: JWT_SECRET,
      JWT_ISSUER: 'https://id.example',
    },
  })
  user = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 200 } }])
})
afterAll(() => gateway.close())

/** Reads an answer whole, with its headers, and keeps it. */
async function keep(call: Promise<Response>): Promise<number> {
  const answer = await call
  seen.push(JSON.stringify([...answer.headers]), await answer.text().catch(String))
  return answer.status
}

const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })

describe('secrets', () => {
  test('are stored by no cache on their way: a new key, and what only the caller of a key may read', async () => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' }
    const keys = `${gateway.url}/admin/users/${user.id}/keys`
    const answers = await Promise.all([
      fetch(keys, { method: 'POST', headers, body: '{"name":"k"}' }),
      fetch(keys, { headers }),
      // Shared caches leave out what carries `Authorization`, not these.
      ...['/usage/caps', '/usage/events', '/prices/openai/gpt-4o'].map((path) =>
        fetch(gateway.url + path, { headers: { 'x-api-key': user.key } }),
      ),
    ])
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 200, 200, 200])
    for (const { url, headers } of answers) expect(headers.get('cache-control'), url).toBe('no-store')
  })

  test('are in no answer, whatever goes wrong', async () => {
    for (const provider of PROVIDERS) {
      const call = (body: unknown = bodyOf(provider), key = user.key) => keep(post(gateway, provider, key, body))
      await call()
      await call(bodyOf(provider, { stream: true }))
      await call('{')
      await call(bodyOf(provider), 'tg_forged')
      await call(bodyOf(provider, { model: '\0' }))
      gateway.provider.reply = () => ({ steps: [CUT] })
      await call()
      gateway.provider.reply = () => ({ steps: ['data: {', CUT], headers: { 'content-type': 'text/event-stream' } })
      await call(bodyOf(provider, { stream: true }))
      gateway.provider.reply = () => json({ error: 'down' }, 503, { 'set-cookie': 'account=1' })
      await call()
      gateway.provider.reply = undefined
      await keep(fetch(`${gateway.url}/${provider}/v1/nowhere`))
    }
    for (const path of ['/', '/usage/caps', '/usage/caps/status', '/usage/events', '/usage/nowhere', '/openapi.json'])
      await keep(fetch(gateway.url + path, as(user.key)))
    for (const path of ['/admin/users', '/admin/usage/events', '/admin/default-caps', `/admin/users/${user.id}/keys`])
      await keep(fetch(gateway.url + path, as(ADMIN_TOKEN)))

    gateway.postgres.server.pause()
    const statuses = [
      await keep(fetch(`${gateway.url}/admin/users`, as(ADMIN_TOKEN))),
      await keep(fetch(`${gateway.url}/admin/users/${user.id}/suspend`, { method: 'POST', ...as(ADMIN_TOKEN) })),
      await keep(fetch(`${gateway.url}/usage/events`, as(user.key))),
      await keep(post(gateway, 'openai', user.key, bodyOf('openai'))),
    ]
    gateway.postgres.server.resume()

    expect(statuses).toEqual([503, 503, 503, 200])
    expect(seen.length).toBeGreaterThan(60)
    for (const text of seen) {
      for (const secret of SECRETS) expect(text).not.toContain(secret)
      expect(text).not.toContain('account=1')
      expect(text).not.toMatch(/127\.0\.0\.1|select .* from|\bat .*\.ts:\d+/)
    }
  })

  test('are not in the worker’s logs, nor are keys, prompts or the values of statements', async () => {
    const marker = 'marker-in-what-people-say'
    gateway.postgres.server.pause()
    await post(gateway, 'openai', user.key, bodyOf('openai', { messages: [{ role: 'user', content: marker }] }), {
      headers: { 'x-tollgate-session-id': marker, 'x-tollgate-metadata': JSON.stringify({ marker }) },
    })
    await eventually(
      async () => logs.some((line) => line.includes('usage events wait for Postgres')),
      (isWarned) => isWarned,
    )
    gateway.postgres.server.resume()

    for (const line of logs) {
      for (const secret of [...SECRETS, user.key, marker]) expect(line).not.toContain(secret)
      expect(line.length).toBeLessThan(2_000)
    }
  })

  test('are in no table, and no key can be read back from one', async () => {
    const dump = await everyTable(gateway)
    for (const secret of [...SECRETS, user.key, user.key.slice(3, -4)]) expect(dump).not.toContain(secret)
  })
})

describe('prompts and answers', () => {
  const PROMPT = 'marker-of-a-prompt-4711'
  const ANSWER = 'marker-of-an-answer-4712'

  test('are in no table of Postgres and in no file of the ledgers, however the call ends', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'daily', limits: { tokens: 1_000_000 } }])
    const ends = ['whole', 'refused by the provider', 'cut', 'refused by a cap'] as const
    for (const provider of PROVIDERS) {
      for (const end of ends) {
        const body = bodyOf(provider, {
          messages: [{ role: 'user', content: PROMPT }],
          metadata: { user_id: PROMPT },
          ...(provider === 'anthropic'
            ? { system: PROMPT, stop_sequences: [PROMPT] }
            : { stop: [PROMPT], user: PROMPT }),
          stream: end === 'cut',
          ...(end === 'refused by a cap' && { tools: [{ type: 'hosted', name: PROMPT }] }),
        })
        gateway.provider.reply = (_, usual) => {
          const script = usual()
          const steps = script.steps.map((step) => String(step).replace('Hello', ANSWER))
          if (end === 'refused by the provider')
            return json({ error: { message: PROMPT, type: ANSWER, code: ANSWER } }, 400)
          return { ...script, steps: end === 'cut' ? [...steps.slice(0, 5), CUT] : steps }
        }
        const text = await (await post(gateway, provider, key, body)).text().catch(String)
        if (end === 'whole') expect(text).toContain(ANSWER)
      }
    }
    gateway.provider.reply = undefined
    await allEvents(gateway, id, 6)

    const dump = await everyTable(gateway)
    expect(dump).toContain(id)
    for (const marker of [PROMPT, ANSWER]) expect(dump).not.toContain(marker)
    const files = await ledgerFiles(gateway)
    expect(files.includes(id)).toBe(true)
    for (const marker of [PROMPT, ANSWER]) expect(files.includes(marker)).toBe(false)
  })

  test('in a query string are not in the event: its path has none', async () => {
    const { id, key } = await gateway.admin.user()
    await fetch(`${gateway.url}/openai/v1/models?note=${PROMPT}`, as(key))
    expect((await onlyEvent(gateway, id)).path).toBe('/openai/v1/models')
    expect(await everyTable(gateway)).not.toContain(PROMPT)
  })
})
