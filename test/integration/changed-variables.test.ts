// A variable that changes is in force from then on: Cloudflare may go on with the same isolate.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundle } from '../support/build.ts'
import { ADMIN_TOKEN, type Gateway, KEY_SIGNING_SECRET, startGateway } from '../support/gateway.ts'

const ANOTHER_SECRET = 'another-signing-secret-for-tests-0123456789'

let gateway: Gateway
beforeAll(async () => {
  const worker = bundle('test/support/changing-variables-worker.ts')
  gateway = await startGateway({ worker, onLog: () => undefined })
})
afterAll(() => gateway.close())

async function change(variables: Record<string, string | null>): Promise<void> {
  await fetch(`${gateway.url}/variables`, { method: 'POST', body: JSON.stringify(variables) })
}

async function statusOf(path: string, credential: string): Promise<number> {
  const answer = await fetch(gateway.url + path, { headers: { authorization: `Bearer ${credential}` } })
  await answer.body?.cancel()
  return answer.status
}

test('an admin token that was replaced administers no more', async () => {
  expect(await statusOf('/admin/users', ADMIN_TOKEN)).toBe(200)
  await change({ ADMIN_TOKEN: 'another-admin-token-for-tests' })
  expect(await statusOf('/admin/users', ADMIN_TOKEN)).toBe(401)
  expect(await statusOf('/admin/users', 'another-admin-token-for-tests')).toBe(200)
  await change({ ADMIN_TOKEN })
})

test('the keys that a signing secret signed end when it is taken away, and not before', async () => {
  const { key } = await gateway.admin.user()
  expect(await statusOf('/usage/caps', key)).toBe(200)
  await change({ KEY_SIGNING_SECRETS: `${ANOTHER_SECRET},${KEY_SIGNING_SECRET}` })
  expect(await statusOf('/usage/caps', key)).toBe(200)
  await change({ KEY_SIGNING_SECRETS: ANOTHER_SECRET })
  expect(await statusOf('/usage/caps', key)).toBe(401)
})

test('a variable that becomes wrong closes the worker, and opens it again once it is right', async () => {
  expect(await statusOf('/admin/users', ADMIN_TOKEN)).toBe(200)
  await change({ CAP_STATUS: '500' })
  expect(await statusOf('/admin/users', ADMIN_TOKEN)).toBe(503)
  await change({ CAP_STATUS: '402' })
  expect(await statusOf('/admin/users', ADMIN_TOKEN)).toBe(200)
})

// The last one: what is bound cannot be given back.
test('without its bindings the worker is closed, and names them: admins have set prices that it would not know', async () => {
  const { key } = await gateway.admin.user()
  await change({ PRICES: null })
  expect(await statusOf('/openai/v1/models', key)).toBe(503)
  await change({ USAGE_LEDGER: null })
  const answer = await fetch(gateway.url)
  expect(answer.status).toBe(503)
  expect(await answer.json()).toMatchObject({
    code: 'not_configured',
    detail: expect.stringMatching(/^Tollgate is not configured. USAGE_LEDGER: is not bound.*; PRICES: is not bound/),
  })
})
