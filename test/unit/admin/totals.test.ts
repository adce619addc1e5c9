import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CAP_TYPES, type CapType, type UsageEvent } from '../../../durable-objects/ledger/types.ts'
import { windowOf } from '../../../durable-objects/ledger/windows.ts'
import { GROUPS, type Group, sumEvents } from '../../../src/postgres/totals.ts'
import { writeEvents } from '../../../src/postgres/usage-writer.ts'
import { usageEvent } from '../postgres/usage-event.ts'
import { openRest } from './rest-fixture.ts'

const { db, send, sendAs, newUser, close } = await openRest()
afterAll(close)

const [ada, bob] = [await newUser(), await newUser()]
const OCTOBER = 'from=2026-10-01T00:00:00Z&to=2026-11-01T00:00:00Z'
const HOUR_MS = 3_600_000
// Over the night in which Berlin's clocks go back.
const BEGIN = Date.parse('2026-10-24T18:15:00Z')
const events = Array.from({ length: 60 }, (_, n) =>
  usageEvent({
    occurred_at: BEGIN + n * HOUR_MS + (n % 7),
    user_id: n % 3 === 0 ? bob : ada,
    provider: n % 2 === 0 ? 'openai' : 'anthropic',
    request_model: n % 4 === 0 ? null : `model-${n % 4}`,
    status: n % 5 === 0 ? 529 : 200,
    job_id: n % 10 === 0 ? "a job's" : null,
    requests: n % 6 === 0 ? 0 : 1,
    input_tokens: n * 1_000,
    cached_input_tokens: n,
    cache_write_5m_tokens: 2 * n,
    cache_write_1h_tokens: 3 * n,
    audio_input_tokens: 4 * n,
    image_input_tokens: 7 * n,
    output_tokens: n * 10,
    reasoning_tokens: 5 * n,
    audio_output_tokens: 6 * n,
    image_output_tokens: 8 * n,
    web_search_requests: n % 2,
    cost_nano_usd: 1_234_567 + n,
  }),
)
const outside = [
  usageEvent({ occurred_at: Date.parse('2026-09-30T23:59:59.999Z'), cost_nano_usd: 1_000_000_000_000 }),
  usageEvent({ occurred_at: Date.parse('2026-11-01T00:00:00Z'), cost_nano_usd: 1_000_000_000_000 }),
]
beforeAll(() => writeEvents(db, [...events, ...outside]))

const total = (of: UsageEvent[], name: keyof UsageEvent) => of.reduce((sum, event) => sum + Number(event[name]), 0)

function sumsOf(of: UsageEvent[]) {
  const cost_nano_usd = total(of, 'cost_nano_usd')
  const [input_tokens, output_tokens] = [total(of, 'input_tokens'), total(of, 'output_tokens')]
  return {
    events: of.length,
    requests: total(of, 'requests'),
    tokens: input_tokens + output_tokens,
    input_tokens,
    cached_input_tokens: total(of, 'cached_input_tokens'),
    cache_write_5m_tokens: total(of, 'cache_write_5m_tokens'),
    cache_write_1h_tokens: total(of, 'cache_write_1h_tokens'),
    audio_input_tokens: total(of, 'audio_input_tokens'),
    image_input_tokens: total(of, 'image_input_tokens'),
    output_tokens,
    reasoning_tokens: total(of, 'reasoning_tokens'),
    audio_output_tokens: total(of, 'audio_output_tokens'),
    image_output_tokens: total(of, 'image_output_tokens'),
    web_search_requests: total(of, 'web_search_requests'),
    cost_nano_usd,
    cost_cents: cost_nano_usd / 1e7,
    cost_usd: cost_nano_usd / 1e9,
  }
}

test('without a group there is one row, with all that the events say', async () => {
  const { status, body } = await send('GET', `/admin/usage/totals?${OCTOBER}`)
  expect({ status, body }).toEqual({ status: 200, body: { time_zone: 'UTC', data: [sumsOf(events)] } })
})

test('rows come by window, then by group in the order of the names that were asked for', async () => {
  const { body } = await send('GET', `/admin/usage/totals?${OCTOBER}&window=daily&group_by=provider,status`)
  const keys: string[] = body.data.map(
    ({ window_start, provider, status }: Record<string, unknown>) => `${window_start} ${provider} ${status}`,
  )
  expect(new Set(keys).size).toBe(keys.length)
  expect(keys).toEqual(keys.toSorted())
  expect(keys.length).toBeGreaterThan(8)
})

test('where there are no events there are no rows', async () => {
  const { body } = await send('GET', `/admin/usage/totals?${OCTOBER}&job_id=none`)
  expect(body.data).toEqual([])
})

test('days are those of the caps: 25 hours where the clock goes back', async () => {
  const { body } = await send('GET', `/admin/usage/totals?${OCTOBER}&window=daily&time_zone=Europe/Berlin`)
  expect(body.time_zone).toBe('Europe/Berlin')
  expect(body.data.map((row: Record<string, unknown>) => [row.window_start, row.events])).toEqual([
    ['2026-10-23T22:00:00.000Z', 4],
    ['2026-10-24T22:00:00.000Z', 25],
    ['2026-10-25T23:00:00.000Z', 24],
    ['2026-10-26T23:00:00.000Z', 7],
  ])
})

test('a month may be told apart by the hour', async () => {
  const { body } = await send('GET', `/admin/usage/totals?${OCTOBER}&window=hourly`)
  expect(body.data).toHaveLength(events.length)
})

test('groups are told apart by value, what is not there by null', async () => {
  const { body } = await send('GET', `/admin/usage/totals?${OCTOBER}&group_by=job_id,provider`)
  expect(body.data).toMatchObject([
    { provider: 'anthropic', job_id: null, events: 30 },
    { provider: 'openai', job_id: "a job's", events: 6 },
    { provider: 'openai', job_id: null, events: 24 },
  ])
  expect(body.data[0]).not.toHaveProperty('user_id')
})

test('metadata is told apart by value, whatever its kind and name; what is null or not there by null', async () => {
  const user_id = await newUser()
  const [from, to] = ['2025-05-01T00:00:00Z', '2025-06-01T00:00:00Z']
  const given = [
    { team: 'search' },
    { team: 'search', n: 1.5 },
    { team: 'true' },
    { team: true },
    { team: null },
    {},
    null,
  ]
  const odd = { 'it\'s "odd".$1': 7 }
  const occurred_at = Date.parse(from)
  const made = [...given, odd].map((metadata) => usageEvent({ user_id, occurred_at, metadata, input_tokens: 3 }))
  await writeEvents(db, made)
  const asked = async (keys: string, more = '') => {
    const query = new URLSearchParams({ from, to, user_id, group_by_metadata: keys })
    const { body } = await send('GET', `/admin/usage/totals?${query}${more}`)
    const rows = body.data.map((row: Record<string, unknown>) => [row.metadata, row.provider, row.input_tokens])
    return new Set(rows)
  }
  expect(await asked('team')).toEqual(
    new Set([
      [{ team: 'search' }, undefined, 6],
      [{ team: 'true' }, undefined, 3],
      [{ team: true }, undefined, 3],
      [{ team: null }, undefined, 12],
    ]),
  )
  expect(await asked('team,n', '&group_by=provider&metadata={"team":"search"}')).toEqual(
    new Set([
      [{ team: 'search', n: 1.5 }, 'openai', 3],
      [{ team: 'search', n: null }, 'openai', 3],
    ]),
  )
  const [key = ''] = Object.keys(odd)
  expect(await asked(key)).toEqual(
    new Set([
      [odd, undefined, 3],
      [{ [key]: null }, undefined, 21],
    ]),
  )
  const ofAda = await sendAs({ user_id, key_id: null }, `/usage/totals?from=${from}&to=${to}&group_by_metadata=team`)
  expect(ofAda.body.data).toHaveLength(4)
})

describe('whatever is asked', () => {
  const asked = fc.record({
    window: fc.constantFrom(...CAP_TYPES),
    time_zone: fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'America/St_Johns'),
    group_by: fc.subarray([...GROUPS]),
    first: fc.integer({ min: -1, max: 59 }),
    hours: fc.integer({ min: 1, max: 62 }),
    user: fc.constantFrom(null, ada, bob),
  })

  test('each event is in the one row of its window and group', async () => {
    await fc.assert(
      fc.asyncProperty(asked, async ({ window, time_zone, group_by, first, hours, user }) => {
        const [from, to] = [BEGIN + first * HOUR_MS, BEGIN + (first + hours) * HOUR_MS]
        const query = new URLSearchParams({
          from: new Date(from).toISOString(),
          to: new Date(to).toISOString(),
          window,
          time_zone,
          ...(group_by.length > 0 && { group_by: group_by.join() }),
          ...(user && { user_id: user }),
        })
        const { body } = await send('GET', `/admin/usage/totals?${query}`)
        const meant = events.filter(
          ({ occurred_at, user_id }) => occurred_at >= from && occurred_at < to && (!user || user_id === user),
        )
        expect(keyed(body.data)).toEqual(rowsOf(meant, window, time_zone, group_by))
      }),
      { numRuns: 60 },
    )
  })

  function rowsOf(of: UsageEvent[], window: CapType, time_zone: string, group_by: Group[]): Map<string, object> {
    const groups = Map.groupBy(of, (event) => {
      const { start, end } = windowOf(window, time_zone, event.occurred_at)
      const values = group_by.map((name) => [name, event[name]])
      return JSON.stringify([end && new Date(start).toISOString(), values])
    })
    return new Map([...groups].sort().map(([key, members]) => [key, sumsOf(members)]))
  }

  function keyed(data: Record<string, unknown>[]): Map<string, object> {
    const rows = data.map(({ window_start = null, ...row }): [string, object] => {
      const values = GROUPS.filter((name) => name in row).map((name) => [name, row[name]])
      const sums = Object.fromEntries(Object.entries(row).filter(([name]) => !GROUPS.some((group) => group === name)))
      return [JSON.stringify([window_start, values]), sums]
    })
    return new Map(rows.sort())
  }
})

test.each([
  ['', 'from'],
  ['from=2026-10-01T00:00:00Z', 'to'],
  ['from=2026-10-01T00:00:00Z&to=2026-10-01T00:00:00Z', 'to'],
  ['from=2026-10-01T00:00:00Z&to=2026-11-01T06:00:00.001Z&window=hourly', 'to'],
  [`${OCTOBER}&window=yearly`, 'window'],
  [`${OCTOBER}&time_zone=%2B01:00`, 'time_zone'],
  [`${OCTOBER}&group_by=`, 'group_by'],
  [`${OCTOBER}&group_by=provider,`, 'group_by'],
  [`${OCTOBER}&group_by=metadata`, 'group_by'],
  [`${OCTOBER}&group_by_metadata=`, 'group_by_metadata'],
  [`${OCTOBER}&group_by_metadata=team,`, 'group_by_metadata'],
  [`${OCTOBER}&group_by_metadata=__proto__`, 'group_by_metadata'],
  [`${OCTOBER}&group_by_metadata=%00`, 'group_by_metadata'],
  [`${OCTOBER}&group_by_metadata=${Array.from({ length: 17 }, (_, n) => n)}`, 'group_by_metadata'],
  [`${OCTOBER}&limit=5`, 'limit'],
  [`${OCTOBER}&status=ok`, 'status'],
])('GET /admin/usage/totals?%s names the fault', async (query, field) => {
  expect(await send('GET', `/admin/usage/totals?${query}`)).toMatchObject({ status: 400, body: { field } })
})

test('there may be 750 windows', async () => {
  const asked = 'from=2026-10-01T00:00:00Z&to=2026-11-01T06:00:00Z&window=hourly'
  expect((await send('GET', `/admin/usage/totals?${asked}`)).status).toBe(200)
})

test('no more sums are read than were asked for', async () => {
  const filter = { from: new Date(BEGIN), to: new Date(BEGIN + 86_400_000 * 31) }
  const request = { filter, group_by: ['user_id' as const], group_by_metadata: [], starts: [BEGIN] }
  expect((await sumEvents(db, { ...request, limit: 5 })).length).toBeGreaterThan(1)
  expect(await sumEvents(db, { ...request, limit: 1 })).toHaveLength(1)
})

test('more rows than one answer may have are a fault of what makes them', async () => {
  const from = '2027-01-01T00:00:00Z'
  const occurred_at = Date.parse(from)
  const many = Array.from({ length: 5_001 }, (_, n) => usageEvent({ occurred_at, job_id: `job ${n}`, metadata: { n } }))
  for (let at = 0; at < 5_000; at += 100) await writeEvents(db, many.slice(at, at + 100))
  const asked = `from=${from}&to=2027-01-02T00:00:00Z`
  expect((await send('GET', `/admin/usage/totals?${asked}&group_by=job_id`)).body.data).toHaveLength(5_000)
  await writeEvents(db, many.slice(5_000))
  for (const [query, field] of [
    ['group_by=job_id', 'group_by'],
    ['group_by_metadata=n', 'group_by_metadata'],
  ])
    expect(await send('GET', `/admin/usage/totals?${asked}&${query}`)).toMatchObject({
      status: 400,
      body: { field, detail: expect.stringContaining('more than 5000 rows') },
    })
})

describe('a caller', () => {
  const asAda = { user_id: ada, key_id: null }

  test('is told of its own events alone', async () => {
    const { body } = await sendAs(asAda, `/usage/totals?${OCTOBER}`)
    expect(body.data).toEqual([sumsOf(events.filter(({ user_id }) => user_id === ada))])
  })

  test('has the days of its own time zone, as its caps do', async () => {
    const user_id = await newUser({ time_zone: 'Asia/Kathmandu' })
    await writeEvents(db, [usageEvent({ user_id, occurred_at: Date.parse('2025-10-24T18:15:00Z') })])
    const asked = '/usage/totals?from=2025-10-01T00:00:00Z&to=2025-11-01T00:00:00Z&window=daily'
    const { body } = await sendAs({ user_id, key_id: null }, asked)
    expect(body).toMatchObject({ time_zone: 'Asia/Kathmandu', data: [{ window_start: '2025-10-24T18:15:00.000Z' }] })
    const inUtc = (await sendAs({ user_id, key_id: null }, `${asked}&time_zone=UTC`)).body
    expect(inUtc).toMatchObject({ time_zone: 'UTC', data: [{ window_start: '2025-10-24T00:00:00.000Z' }] })
  })

  test('cannot ask by user', async () => {
    for (const [asked, field] of [
      [`user_id=${bob}`, 'user_id'],
      ['group_by=user_id', 'group_by'],
    ])
      expect(await sendAs(asAda, `/usage/totals?${OCTOBER}&${asked}`)).toMatchObject({ status: 400, body: { field } })
  })
})
