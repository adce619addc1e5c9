// What a ledger keeps and tells: usage that outlives its memory, windows on the user's calendar, and how full the
// tightest cap is on every answer.

import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { CUT, json } from '../../src/local/fake-script.ts'
import { checkBooks, statusOf } from '../support/books.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { chat, holdAnswers, idsOf, message, race, read, times } from '../support/held-calls.ts'
import { type Item, parseOne } from '../support/structured-fields.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterEach(() => {
  gateway.provider.reply = undefined
})
afterAll(() => gateway.close())

describe('usage', () => {
  test('survives an eviction in the middle of a call, with its holds', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 8 } }])
    const before = await Promise.all(times(5, () => read(chat(gateway, key))))
    const gate = holdAnswers(gateway.provider)
    const running = read(chat(gateway, key))
    await eventually(
      () => statusOf(gateway, id),
      ({ data }) => data[0]?.held.requests === 1,
    )

    await gateway.evict(id)

    const status = await statusOf(gateway, id)
    expect(status.data[0]).toMatchObject({ current_usage: { requests: 6 }, held: { requests: 1 } })
    gate.open()
    const after = await race(
      gateway,
      times(10, () => () => chat(gateway, key)),
    )
    expect([after.admitted.length, after.refused.length]).toEqual([2, 8])
    const admitted = idsOf([...before, await running, ...after.admitted])
    const { events } = await checkBooks(gateway, [id], admitted)
    expect(events).toHaveLength(8)
    expect(events.every(({ usage_source }) => usage_source === 'reported')).toBe(true)
  })

  test('of calls that stay out is on disk soon, each with its hold, and nothing of it once the ledger is at rest', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 1_000 } }])
    const gate = holdAnswers(gateway.provider)
    const running = Promise.all(times(8, () => read(chat(gateway, key))))
    const database = new DatabaseSync(await gateway.ledgerFileOf(id), { readOnly: true })
    onTestFinished(() => database.close())
    // Long before an alarm would see to it.
    const row = await eventually(
      async () => database.prepare('select count(*) as held from reservations where outcome is null').get(),
      (row) => row?.held === 8,
      8_000,
    )
    expect(row).toEqual({ held: 8 })
    gate.open()
    await checkBooks(gateway, [id], idsOf(await running))

    // At rest a crash leaves nothing behind that would be held.
    const rest = await eventually(
      async () => database.prepare('select count(*) as epochs from epochs').get(),
      (row) => row?.epochs === 0,
    )
    expect(rest).toEqual({ epochs: 0 })
  })

  test('of a user who is only refused is on disk soon: the refusals survive an eviction', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 0 } }])
    for (let i = 0; i < 3; i++) expect((await read(chat(gateway, key))).status).toBe(429)
    const database = new DatabaseSync(await gateway.ledgerFileOf(id), { readOnly: true })
    onTestFinished(() => database.close())
    await eventually(
      async () => database.prepare('select sum(refused) as refused from usage_buckets').get(),
      (row) => row?.refused === 3,
    )

    await gateway.evict(id)

    expect((await statusOf(gateway, id)).data[0]?.refused).toBe(3)
  })

  test('beyond the bound that the provider was sent is counted in full, marked, and shuts the cap', async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 2_000 } }])
    gateway.provider.reply = (_, usual) => {
      const answer = JSON.parse(String(usual().steps[0]))
      return json({ ...answer, usage: { ...answer.usage, completion_tokens: 5_000 } })
    }
    const { status, request_id } = await read(chat(gateway, key))
    expect(status).toBe(200)
    const { events, status: books } = await checkBooks(gateway, [id], [request_id])
    expect(events).toMatchObject([{ overrun: true, usage_source: 'reported' }])
    expect(events[0]?.tokens).toBeGreaterThan(5_000)
    expect(books.get(id)?.data[0]?.is_exceeded).toBe(true)
    expect((await read(chat(gateway, key))).status).toBe(429)
  })
})

/** The clock on the wall: `2026-01-05 00:00 Monday`. */
function localTime(instant: string | null | undefined, timeZone: string): string {
  const parts = new Intl.DateTimeFormat('en-CA', {
    timeZone,
    dateStyle: 'short',
    timeStyle: 'short',
    hourCycle: 'h23',
  }).format(new Date(instant ?? Number.NaN))
  const weekday = new Intl.DateTimeFormat('en', { timeZone, weekday: 'long' }).format(new Date(instant ?? Number.NaN))
  return `${parts.replace(',', '')} ${weekday}`
}

const WINDOWS = {
  hourly: /:00 /,
  daily: / 00:00 /,
  weekly: / 00:00 Monday/,
  monthly: /-01 00:00 /,
}

describe('windows', () => {
  test.each(['UTC', 'Asia/Kathmandu', 'America/New_York'])(
    'of every kind begin and end on the calendar of %s, and count each call',
    async (time_zone) => {
      const caps = [...Object.keys(WINDOWS), 'total'].map((cap_type) => ({ cap_type, limits: { requests: 5 } }))
      const { id, key } = await gateway.admin.user(caps, { time_zone })
      const began = Date.now()
      const { request_id } = await read(chat(gateway, key))
      const { events, status } = await checkBooks(gateway, [id], [request_id])
      const called_at = events[0]?.occurred_at ?? Number.NaN

      const { data = [], time_zone: zone } = status.get(id) ?? {}
      expect(zone).toBe(time_zone)
      for (const [cap_type, boundary] of Object.entries(WINDOWS)) {
        const cap = data.find((one) => one.cap_type === cap_type)
        // Meanwhile the next one may have begun.
        expect(cap?.current_usage.requests, cap_type).toBe(Date.parse(cap?.window_start ?? '') <= called_at ? 1 : 0)
        expect(localTime(cap?.window_start, time_zone)).toMatch(boundary)
        expect(localTime(cap?.reset_time, time_zone)).toMatch(boundary)
        expect(Date.parse(cap?.window_start ?? '')).toBeLessThanOrEqual(Date.now())
        expect(Date.parse(cap?.reset_time ?? '')).toBeGreaterThan(began)
      }
      const total = data.find(({ cap_type }) => cap_type === 'total')
      expect(total).toMatchObject({ current_usage: { requests: 1 }, window_start: null, reset_time: null })
    },
  )

  test.each([...Object.keys(WINDOWS), 'total'])('a %s cap refuses the call above it', async (cap_type) => {
    const { key } = await gateway.admin.user([{ cap_type, limits: { requests: 1 } }])
    expect((await read(chat(gateway, key))).status).toBe(200)
    const { status, body } = await read(chat(gateway, key))
    expect(status).toBe(429)
    expect(JSON.parse(body).error.cap).toMatchObject({ cap_type, current_usage: 1, limit: 1 })
  })

  test("move with the user's time zone as soon as it is changed, usage and all", async () => {
    const { id, key } = await gateway.admin.user([{ cap_type: 'monthly', limits: { requests: 1 } }])
    const { request_id } = await read(chat(gateway, key))
    await gateway.admin.call('PATCH', `/admin/users/${id}`, { time_zone: 'Pacific/Auckland' })

    const { data } = await statusOf(gateway, id)
    expect(localTime(data[0]?.reset_time, 'Pacific/Auckland')).toMatch(/-01 00:00 /)
    expect((await read(chat(gateway, key))).status).toBe(429)
    await checkBooks(gateway, [id], [request_id])
  })
})

interface Limits {
  policy: Item
  state: Item
}

const limitsOn = (headers: Headers): Limits => ({
  policy: parseOne(headers.get('ratelimit-policy')),
  state: parseOne(headers.get('ratelimit')),
})

describe('RateLimit and RateLimit-Policy', () => {
  const daily = { cap_type: 'daily', limits: { requests: 3 } }

  test('count down on JSON and streams alike and stay on the refusal', async () => {
    const { key } = await gateway.admin.user([daily, { cap_type: 'monthly', limits: { tokens: 1e9 } }])
    const answers = [
      await read(chat(gateway, key)),
      await read(chat(gateway, key, { body: { stream: true } })),
      await read(message(gateway, key, { body: { stream: true } })),
      await read(chat(gateway, key)),
      await read(message(gateway, key)),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 402])
    for (const [index, { headers }] of answers.entries()) {
      const { policy, state } = limitsOn(headers)
      expect(policy).toEqual({ value: 'daily-requests', params: { q: 3, w: 86_400 } })
      expect(state).toEqual({ value: 'daily-requests', params: { r: Math.max(0, 2 - index), t: expect.any(Number) } })
      expect(state.params.t).toBeGreaterThan(0)
      expect(state.params.t).toBeLessThanOrEqual(86_400)
    }
  })

  test.each([
    ['an error of the provider', 500, () => json({ error: { message: 'no' } }, 500)],
    ['a refusal of the provider', 429, () => json({ error: { message: 'slow down' } }, 429)],
    ['a provider that drops the connection', 502, () => ({ steps: [CUT] })],
  ])('are on %s', async (_, status, reply) => {
    const { key } = await gateway.admin.user([daily])
    gateway.provider.reply = reply
    const answer = await read(chat(gateway, key))
    expect(answer.status).toBe(status)
    expect(limitsOn(answer.headers).state).toMatchObject({ value: 'daily-requests', params: { r: 2 } })
  })

  test('are on a call that the caps cannot measure', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'total', limits: { cost_usd: 1 } }])
    const { status, headers, body } = await read(chat(gateway, key, { body: { model: 'nobody-knows-this-model' } }))
    expect([status, JSON.parse(body).error.code]).toEqual([400, 'unpriced_model'])
    expect(limitsOn(headers)).toEqual({
      policy: { value: 'total-cost', params: { q: 1_000_000, qu: 'micro-usd' } },
      state: { value: 'total-cost', params: { r: 1_000_000 } },
    })
  })

  test('name tokens as their unit', async () => {
    const { key } = await gateway.admin.user([{ cap_type: 'hourly', limits: { tokens: 10_000 } }])
    const { headers } = await read(chat(gateway, key))
    expect(limitsOn(headers).policy).toEqual({
      value: 'hourly-tokens',
      params: { q: 10_000, qu: 'tokens', w: 3_600 },
    })
  })

  test('are absent where nothing is limited', async () => {
    const { key } = await gateway.admin.user()
    const { status, headers } = await read(chat(gateway, key))
    expect([status, headers.get('ratelimit'), headers.get('ratelimit-policy')]).toEqual([200, null, null])
  })
})
