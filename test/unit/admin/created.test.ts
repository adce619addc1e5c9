import { afterAll, expect, test } from 'vitest'
import { openRest } from './rest-fixture.ts'

const { send, newUser, newKey, close } = await openRest()
afterAll(close)

const user = await newUser()
const { body: key } = await newKey(user)
test.each([
  ['/admin/users', { name: 'Ada' }],
  [`/admin/users/${user}/keys`, { name: 'laptop' }],
  [`/admin/users/${user}/keys/${key.id}/rotate`, undefined],
  [`/admin/users/${user}/caps`, { cap_type: 'daily', limits: { requests: 3 } }],
  ['/admin/prices', { provider: 'openai', model: 'gpt-created', usd_per_request: 1 }],
])('POST %s tells where to find what it made', async (path, body) => {
  const made = await send('POST', path, body)
  expect(made.status).toBe(201)
  const location = new URL(`${made.headers.get('location')}`, `https://tollgate.example${path}`).pathname
  const { key: _, ...kept } = made.body // that of a key is shown once
  expect(await send('GET', location)).toMatchObject({ status: 200, body: kept })
})
