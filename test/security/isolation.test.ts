// What is one user's stays that user's: events, caps, keys and cursors.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { allEvents, bodyOf, onlyEvent, post, type UsageEventView, type User } from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

let gateway: Gateway
let alice: User
let bob: User
let bobsEvent: UsageEventView
beforeAll(async () => {
  gateway = await startGateway()
  alice = await gateway.admin.user([{ cap_type: 'daily', limits: { requests: 5 } }])
  bob = await gateway.admin.user([{ cap_type: 'weekly', limits: { requests: 7 } }])
  await post(gateway, 'openai', bob.key, bodyOf('openai'), { headers: { 'x-tollgate-job-id': 'bobs-job' } })
  bobsEvent = await onlyEvent(gateway, bob.id)
})
afterAll(() => gateway.close())

async function get(path: string, key: string) {
  const answer = await fetch(gateway.url + path, { headers: { authorization: `Bearer ${key}` } })
  const text = await answer.text()
  return { status: answer.status, text, body: JSON.parse(text) }
}

test('no filter of /usage/events shows another user’s events', async () => {
  const { id, key_id, occurred_at } = bobsEvent
  const filters = [
    `key_id=${key_id}`,
    'job_id=bobs-job',
    'provider=openai',
    `from=${occurred_at}`,
    `model=${bobsEvent.request_model}`,
    `id=${id}`,
  ]
  for (const filter of ['', ...filters]) {
    const { status, body } = await get(`/usage/events?${filter}`, alice.key)
    expect([status, body.data], filter).toEqual([200, []])
  }
  for (const filter of [`user_id=${bob.id}`, `user_id=${alice.id}&user_id=${bob.id}`]) {
    const { status, text } = await get(`/usage/events?${filter}`, alice.key)
    expect(status, filter).toBe(400)
    expect(text).not.toContain('bobs-job')
  }
})

test('another user’s cursor, or a made-up one, moves within one’s own events only', async () => {
  for (let call = 0; call < 2; call++) await post(gateway, 'openai', bob.key, bodyOf('openai'))
  await allEvents(gateway, bob.id, 3)
  const { body } = await get('/usage/events?limit=1', bob.key)
  expect(body.next_cursor).toEqual(expect.any(String))
  expect((await get(`/usage/events?cursor=${body.next_cursor}`, alice.key)).body.data).toEqual([])
  const future = Buffer.from(`9999999999999 ffffffff-ffff-4fff-8fff-ffffffffffff`).toString('base64url')
  expect((await get(`/usage/events?cursor=${future}`, alice.key)).body.data).toEqual([])
  for (const bad of ['x', "1' or '1'='1", Buffer.from("1 ' or 1=1").toString('base64url'), '%00', 'a'.repeat(10_000)])
    expect((await get(`/usage/events?cursor=${encodeURIComponent(bad)}`, alice.key)).status).toBe(400)
})

test('caps and their status are one’s own', async () => {
  expect((await get('/usage/caps', alice.key)).body.data).toMatchObject([{ cap_type: 'daily', user_id: alice.id }])
  expect((await get('/usage/caps/status', bob.key)).body.data).toMatchObject([{ cap_type: 'weekly' }])
  for (const path of [`/usage/caps?user_id=${bob.id}`, `/usage/caps/status?id=${bob.id}`])
    expect((await get(path, alice.key)).status).toBe(400)
})

test('a key or cap cannot be reached under another user’s path, even by an admin', async () => {
  const { data: keys } = await gateway.admin.call<{ data: { id: string }[] }>('GET', `/admin/users/${bob.id}/keys`)
  const { data: caps } = await gateway.admin.call<{ data: { id: string }[] }>('GET', `/admin/users/${bob.id}/caps`)
  const under = `/admin/users/${alice.id}`
  const calls = [
    ['DELETE', `${under}/keys/${keys[0]?.id}`],
    ['POST', `${under}/keys/${keys[0]?.id}/rotate`, {}],
    ['GET', `${under}/caps/${caps[0]?.id}`],
    ['PATCH', `${under}/caps/${caps[0]?.id}`, { limits: { requests: 0 } }],
    ['DELETE', `${under}/caps/${caps[0]?.id}`],
  ] as const
  for (const [method, path, body] of calls)
    await expect(gateway.admin.call(method, path, body), `${method} ${path}`).rejects.toThrow(/: 404 /)
  expect((await post(gateway, 'openai', bob.key, bodyOf('openai'))).status).toBe(200)
})

test('a key without the usage scope reads nothing, and one without the call scope calls nothing', async () => {
  const make = async (scope: string) =>
    (await gateway.admin.call<{ key: string }>('POST', `/admin/users/${bob.id}/keys`, { name: scope, scopes: [scope] }))
      .key
  const [caller, reader] = [await make('call'), await make('usage')]
  const totals = '/usage/totals?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z'
  for (const path of ['/usage/caps', '/usage/caps/status', '/usage/events', totals])
    expect([(await get(path, caller)).status, (await get(path, reader)).status]).toEqual([403, 200])
  const forwarded = gateway.provider.requests.length
  expect((await post(gateway, 'openai', reader, bodyOf('openai'))).status).toBe(403)
  expect(gateway.provider.requests).toHaveLength(forwarded)
})
