// A cap is a ceiling, however many calls race. The provider holds every answer until all calls have been decided, so
// that what is in flight is what counts.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CapBook, checkBooks, statusOf } from '../support/books.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'
import { type CallOptions, chat, holdAnswers, idsOf, message, race, times } from '../support/held-calls.ts'

const DIMENSIONS = ['requests', 'tokens', 'cost_cents'] as const
const LIMIT_TYPE = { requests: 'requests', tokens: 'tokens', cost_cents: 'cost' }
const STREAM = { body: { stream: true } }

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway.close())

/** What one such call keeps aside while it is in flight. */
async function holdOf(options: CallOptions, call = chat): Promise<CapBook['held']> {
  const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 1e9, cost_usd: 1_000 } }])
  const gate = holdAnswers(gateway.provider)
  const answer = call(gateway, key, options)
  const { data } = await eventually(
    () => statusOf(gateway, id),
    ({ data }) => data[0]?.held.requests === 1,
  )
  gate.open()
  await (await answer).text()
  return data[0]?.held ?? { requests: 0, tokens: 0, cost_cents: 0 }
}

const refusalOf = (body: string) => JSON.parse(body).error.cap

describe.each(DIMENSIONS)('100 racing calls against a %s cap of 99 calls', (dimension) => {
  test.each([
    ['JSON', chat, {}],
    ['streaming', chat, STREAM],
    ['streaming, Anthropic', message, STREAM],
  ] as const)('admit exactly 99: %s', async (_, call, options) => {
    const hold = await holdOf(options, call)
    const limit = 99 * hold[dimension]
    const { id, key } = await gateway.admin.user([{ cap_type: 'monthly', limits: { [dimension]: limit } }], {
      time_zone: 'UTC',
    })

    const { admitted, refused } = await race(
      gateway,
      times(100, () => () => call(gateway, key, options)),
    )

    expect([admitted.length, refused.length]).toEqual([99, 1])
    expect(refused.map(({ body }) => refusalOf(body))).toEqual([
      {
        cap_type: 'monthly',
        limit_type: LIMIT_TYPE[dimension],
        unit: dimension === 'cost_cents' ? 'cents' : dimension,
        current_usage: expect.closeTo(limit, 6),
        limit: expect.closeTo(limit, 6),
        requested: hold[dimension],
        in_flight: expect.any(Number),
        reset_time: firstOfNextMonth(),
        retry_after_seconds: expect.any(Number),
      },
    ])
    const { events } = await checkBooks(gateway, [id], idsOf(admitted))
    expect(events).toHaveLength(99)
    expect(events.every(({ usage_source, outcome }) => usage_source === 'reported' && outcome === 'settled')).toBe(true)
  })
})

function firstOfNextMonth(): string {
  const now = new Date()
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1)).toISOString()
}

test('racing calls that are clamped share what is left and never exceed the cap', async () => {
  const body = { max_completion_tokens: 2_000 }
  const { tokens } = await holdOf({ body })
  const input = tokens - 2_000
  const { id, key } = await gateway.admin.user([{ cap_type: 'total', limits: { tokens: 10 * tokens + input + 1_500 } }])
  const forwardedBefore = gateway.provider.requests.length

  const { admitted, refused } = await race(
    gateway,
    times(30, () => () => chat(gateway, key, { body })),
  )

  expect([admitted.length, refused.length]).toEqual([11, 19])
  const bounds = gateway.provider.requests
    .slice(forwardedBefore)
    .map(({ body }) => JSON.parse(body.toString()).max_completion_tokens)
  expect(bounds.toSorted((a, b) => a - b)).toEqual([1_500, ...times(10, () => 2_000)])
  expect(admitted.flatMap(({ headers }) => headers.get('tollgate-clamped') ?? [])).toEqual(['output_tokens=1500'])
  await checkBooks(gateway, [id], idsOf(admitted))
})

test("one user's race leaves another user's caps alone", async () => {
  const [a, b] = await Promise.all([
    gateway.admin.user([{ cap_type: 'total', limits: { requests: 60 } }]),
    gateway.admin.user([{ cap_type: 'total', limits: { requests: 25 } }]),
  ])
  const { admitted } = await race(
    gateway,
    times(120, (index) => () => chat(gateway, index % 2 === 0 ? a.key : b.key)),
  )
  expect(admitted).toHaveLength(85)
  const { events } = await checkBooks(gateway, [a.id, b.id], idsOf(admitted))
  expect(events.filter(({ user_id }) => user_id === a.id)).toHaveLength(60)
})

test('of several caps at once none is exceeded, and the smallest decides', async () => {
  const hold = await holdOf({})
  const { id, key } = await gateway.admin.user([
    { cap_type: 'daily', limits: { requests: 60, tokens: 45 * hold.tokens } },
    { cap_type: 'monthly', limits: { tokens: 50 * hold.tokens, requests: 70 } },
    { cap_type: 'total', limits: { cost_cents: 40 * hold.cost_cents } },
  ])
  const { admitted, refused } = await race(
    gateway,
    times(100, () => () => chat(gateway, key)),
  )
  expect([admitted.length, refused.length]).toEqual([40, 60])
  for (const { body } of refused) {
    expect(refusalOf(body)).toMatchObject({ cap_type: 'total', limit_type: 'cost', reset_time: null })
  }
  await checkBooks(gateway, [id], idsOf(admitted))
})

test.each([
  ['monthly', ['hourly', 'monthly', 'daily']],
  ['total', ['total', 'hourly', 'monthly']],
] as const)('a refusal names the cap that stays shut longest: %s', async (longest, capTypes) => {
  const caps = capTypes.map((cap_type) => ({ cap_type, limits: { requests: 3 } }))
  const { id, key } = await gateway.admin.user(caps)
  const { refused } = await race(
    gateway,
    times(6, () => () => chat(gateway, key)),
  )
  // Its type may be another's: on the last day of a month, day and month end together.
  const { reset_time } = (await statusOf(gateway, id)).data.find(({ cap_type }) => cap_type === longest) ?? {}
  const facts = { reset_time, limit_type: 'requests', current_usage: 3, limit: 3, requested: 1 }
  expect(refused.map(({ body }) => refusalOf(body))).toEqual(times(3, () => expect.objectContaining(facts)))
})
