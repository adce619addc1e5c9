// What is not in the table of operations does not reach a provider: by no path near it, and by no other method.

import { Hono } from 'hono'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { onlyEvent } from '../support/client-calls.ts'
import { askForWebsocket } from '../support/raw-http.ts'
import { COMPATIBLE_PROVIDERS } from './compatible-cases.ts'
import { COMPATIBLE_ESCAPES, ESCAPES } from './escapes.ts'
import { CASES, openStage, providers, type Stage } from './stage.ts'

let stage: Stage
let key: string
beforeAll(async () => {
  stage = await openStage()
  key = (await stage.gateway.admin.user()).key
})
beforeEach(() => {
  stage.provider.requests.length = 0
})
afterAll(() => stage.close())

const BODY = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 5 }

/** As the provider's clients send it, with a body where the method may have one. */
async function expectRefused(provider: string, method: string, path: string) {
  const hasBody = method !== 'GET' && method !== 'DELETE' && method !== 'OPTIONS'
  const sent = { method, path, ...(hasBody && { json: BODY }) }
  const answer = await stage.call(provider, sent, key)
  await answer.text()
  expect(answer.status, `${method} ${path}`).toBeGreaterThanOrEqual(400)
  expect(answer.status, `${method} ${path}`).toBeLessThan(500)
  expect(stage.provider.requests).toEqual([])
}

const TABLES = { ...ESCAPES, ...Object.fromEntries(COMPATIBLE_PROVIDERS.map((name) => [name, COMPATIBLE_ESCAPES])) }

describe.each(Object.entries(TABLES))('%s', (provider, escapes) => {
  const isOperation = tableOf(provider)
  // What one provider has, another has not.
  const rows = escapes.filter(
    ([method, path]) => !COMPATIBLE_PROVIDERS.includes(provider) || !isOperation(method, path),
  )

  test.each(rows)('%s %s is refused', (method, path) => expectRefused(provider, method, path))

  test('has its routes for no other method', async () => {
    const paths = new Set((CASES[provider] ?? []).map(({ send }) => send.path))
    for (const path of paths) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
        if (!isOperation(method, path)) await expectRefused(provider, method, path)
      }
    }
  })
})

/** Whether a provider's table has the path for the method: an id may be any word, `input_tokens` too. */
function tableOf(provider: string): (method: string, path: string) => boolean {
  const table = new Hono()
  const operations = providers().find(({ dialect }) => dialect.provider === provider)?.dialect.operations ?? []
  for (const { method, path } of operations) table.on(method, path, (c) => c.text(''))
  return (method, path) => table.router.match(method, path.replace(/\?.*$/, ''))[0].length > 0
}

test.each([
  '/%2e%2e/anthropic/v1/messages',
  '/v1/models/..%2fchat%2fcompletions',
  '/v1/models/%2e%2e/embeddings',
  '/v1/responses/..%5cembeddings',
  '/v1/files/..%2f..%2forganization%2fcosts',
  '/v1/files/f_1%2fcontent',
  '/v1/batches/%00',
])('no id leads out of its operation: GET %s', (path) => expectRefused('openai', 'GET', path))

test.each([
  ['/v1/realtime?model=gpt-realtime', 404],
  ['/v1/responses', 426],
  ['/v1/models', 200],
])('no websocket is opened, here or upstream: %s', async (path, status) => {
  const answers = await askForWebsocket(stage.gateway.url, `/openai${path}`, key)
  expect(answers.map((answer) => answer.status)).toEqual([status])
  for (const { headers } of stage.provider.requests) expect(new Headers(headers).has('upgrade')).toBe(false)
})

test('HEAD asks for what GET asks for, and costs as much', async () => {
  const user = await stage.gateway.admin.user()
  const answer = await stage.call('things', { method: 'HEAD', path: '/things/1' }, user.key)
  expect(answer.status).toBe(200)
  expect(await onlyEvent(stage.gateway, user.id)).toMatchObject({
    operation: 'look',
    method: 'HEAD',
    requests: 1,
    // $0.50 a thousand.
    cost_nano_usd: 500_000,
  })
})
