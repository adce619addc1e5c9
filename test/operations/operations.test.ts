// Every operation of every provider, from the gateway's own table: it is metered, what it costs is what can be computed
// by hand, and what no cap has room for is refused before anything reaches the provider. An operation without a case
// fails by its name.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { checkBooks } from '../support/books.ts'
import { eventsOf, type UsageEventView } from '../support/client-calls.ts'
import { eventually } from '../support/gateway.ts'
import { type Case, isPaid, type Paid, type UnderCap } from './case.ts'
import { CASES, openStage, providers, type Stage } from './stage.ts'

const OPERATIONS = providers().flatMap(({ dialect }) =>
  dialect.operations.map((operation) => ({ provider: dialect.provider, operation })),
)
const ROWS = Object.entries(CASES).flatMap(([provider, cases]) =>
  cases.map((one) => ({ provider, one, title: [provider, one.operation, one.how ?? ''].join(' ').trim() })),
)
const PAID = ROWS.flatMap(({ provider, one, title }) =>
  isPaid(one) ? [{ provider, title, send: one.send, paid: one.is }] : [],
)

let stage: Stage
const users: string[] = []
beforeAll(async () => {
  stage = await openStage()
})
beforeEach(() => {
  stage.provider.requests.length = 0
})
afterAll(async () => {
  await checkBooks(stage.gateway, users)
  await stage.close()
})

async function newUser(...caps: Parameters<Stage['gateway']['admin']['user']>[0] & object) {
  const user = await stage.gateway.admin.user(caps)
  users.push(user.id)
  return user
}

const untilEvents = (userId: string, wanted: (events: UsageEventView[]) => boolean) =>
  eventually(() => eventsOf(stage.gateway, userId), wanted)

describe('the table', () => {
  test.each(OPERATIONS.map(({ provider, operation }) => [provider, operation.name, operation] as const))(
    '%s %s has a case, and is free only where the case says so',
    (provider, name, operation) => {
      const cases = CASES[provider]?.filter((one) => one.operation === name) ?? []
      expect(cases, `${provider} ${name} needs a case in test/operations`).not.toEqual([])
      expect(cases.map(({ is }) => is === 'free')).toEqual(cases.map(() => operation.readBound === null))
    },
  )

  test('has no case of an operation that is no more', () => {
    const known = new Set(OPERATIONS.map(({ provider, operation }) => `${provider} ${operation.name}`))
    expect(ROWS.map(({ provider, one }) => `${provider} ${one.operation}`).filter((name) => !known.has(name))).toEqual(
      [],
    )
  })
})

describe('without caps', () => {
  test.each(ROWS.map((row) => [row.title, row] as const))('%s', async (_, { provider, one }) => {
    const user = await newUser()
    stage.play(one)
    const id = one.before && (await stage.make(provider, one.before))
    const answer = await stage.call(provider, one.send, user.key, id)
    const text = await answer.text()

    if (typeof one.is === 'object' && 'refused' in one.is) {
      expect(answer.status).toBe(404)
      expect(text).toMatch(one.is.refused)
      expect(stage.provider.requests).toEqual([])
      return
    }
    expect({ status: answer.status, ...(answer.status !== 200 && { text }) }).toEqual({ status: 200 })
    const paid = one.is === 'free' ? null : one.is
    if (paid?.goes_on_until) {
      await expectGoingOn(provider, one, paid, user, JSON.parse(text).id)
      return
    }
    const [event, ...others] = await untilEvents(user.id, (events) => events.length > 0)
    expect(others).toEqual([])
    expect(event).toMatchObject(eventOf(provider, one, paid))
    expect(stage.provider.requests).toHaveLength(1)
  })
})

const NOTHING = {
  input_tokens: 0,
  cached_input_tokens: 0,
  cache_write_5m_tokens: 0,
  cache_write_1h_tokens: 0,
  audio_input_tokens: 0,
  image_input_tokens: 0,
  output_tokens: 0,
  reasoning_tokens: 0,
  audio_output_tokens: 0,
  image_output_tokens: 0,
  web_search_requests: 0,
}

const nothingBounds = ({ under_token_cap }: Paid) => typeof under_token_cap === 'object'

/** What the one event of a call must say. */
function eventOf(provider: string, one: Case, paid: Paid | null): Partial<UsageEventView> {
  return {
    provider,
    operation: one.operation,
    method: one.send.method ?? 'POST',
    requests: 1,
    stream: one.stream ?? false,
    status: 200,
    outcome: 'settled',
    usage_source: 'reported',
    // Where nothing bounds a call, all that it uses is more than its bound.
    overrun: paid !== null && nothingBounds(paid),
    error_class: null,
    ...NOTHING,
    ...paid?.used,
    cost_nano_usd: paid?.cost ?? 0,
    priced_as: paid?.priced_as ?? null,
    ...(paid?.service_tier && { service_tier: paid.service_tier }),
  }
}

/** Its request is recorded at once, its usage when the provider says that it has ended: once, however often. */
async function expectGoingOn(provider: string, one: Case, paid: Paid, user: { id: string; key: string }, id: string) {
  const ofCall = (events: UsageEventView[]) => events.filter(({ operation }) => operation === one.operation)
  const first = ofCall(await untilEvents(user.id, (events) => events.length > 0))
  const begun = eventOf(provider, one, { ...paid, used: {}, cost: 0 })
  expect(first).toMatchObject([loose({ ...begun, overrun: false })])

  const until = { method: 'GET', path: paid.goes_on_until ?? '' } as const
  for (let polls = 0; polls < 4; polls++) await (await stage.call(provider, until, user.key, id)).text()
  const both = ofCall(await untilEvents(user.id, (events) => ofCall(events).length > 1 && events.length > 5))
  expect(both).toHaveLength(2)
  expect(both.find(({ requests }) => requests === 0)).toMatchObject({
    ...eventOf(provider, one, paid),
    requests: 0,
    status: null,
  })
}

/** The price and the tier of a call that goes on may not be known when it is made. */
const loose = ({ priced_as: _, service_tier: __, ...event }: Partial<UsageEventView>) => event

/** An exceeded cap in the words of each dialect, of which its SDK makes one typed error. */
const EXCEEDED: Record<string, { status: number; words: RegExp; header?: [name: string, value: string] }> = {
  openai: { status: 429, words: /"code":"insufficient_quota"/, header: ['x-should-retry', 'false'] },
  anthropic: { status: 402, words: /"type":"billing_error"/, header: ['x-should-retry', 'false'] },
  bedrock: {
    status: 400,
    words: /"code":"cap_exceeded"/,
    header: ['x-amzn-errortype', 'ServiceQuotaExceededException'],
  },
  gemini: { status: 429, words: /"status":"RESOURCE_EXHAUSTED"/ },
  'google-places': { status: 429, words: /"status":"RESOURCE_EXHAUSTED"/ },
  things: { status: 429, words: /"code":"cap_exceeded"/ },
  openrouter: { status: 429, words: /"code":429.*"code":"insufficient_quota"/, header: ['x-should-retry', 'false'] },
}

async function expectExceeded(provider: string, answer: Response, limit_type: string) {
  const { status, words, header } = EXCEEDED[provider] ?? EXCEEDED.openai ?? expect.unreachable()
  const text = await answer.text()
  expect({ status: answer.status, text }).toEqual({ status, text: expect.stringMatching(words) })
  expect(text).toContain(`"limit_type":"${limit_type}"`)
  if (header) expect(answer.headers.get(header[0])).toBe(header[1])
}

const allowed = ROWS.filter(({ one }) => one.is === 'free' || isPaid(one))

describe('a cap of requests that is used up', () => {
  let key: string
  beforeAll(async () => {
    key = (await newUser({ cap_type: 'total', limits: { requests: 1 } })).key
    expect((await stage.call('openai', { method: 'GET', path: '/v1/models' }, key)).status).toBe(200)
  })

  test.each(allowed.map((row) => [row.title, row] as const))('refuses %s', async (_, { provider, one }) => {
    stage.play(one)
    await expectExceeded(provider, await stage.call(provider, one.send, key), 'requests')
    expect(stage.provider.requests).toEqual([])
  })
})

describe.each([
  ['tokens', { tokens: 1 }, ({ under_token_cap }: Paid) => under_token_cap],
  ['cost', { cost_usd: 0.000_000_001 }, ({ under_cost_cap }: Paid) => under_cost_cap],
] as const)('a cap of %s that the bound does not fit', (limit_type, limits, endOf) => {
  let key: string
  beforeAll(async () => {
    key = (await newUser({ cap_type: 'daily', limits, on_exceed: 'refuse' })).key
  })

  test.each(PAID.map((row) => [row.title, row] as const))('%s', async (_, { provider, send, paid }) => {
    const end: UnderCap = endOf(paid) ?? 'cap_exceeded'
    stage.provider.reply = undefined
    const answer = await stage.call(provider, send, key)
    if (end === 'fits') {
      expect(answer.status).toBe(200)
      return
    }
    if (end === 'cap_exceeded') await expectExceeded(provider, answer, limit_type)
    else {
      const text = await answer.text()
      expect({ status: answer.status, text }).toEqual({ status: 400, text: expect.stringContaining(end.code) })
      expect(text).toContain(`"${end.field}"`)
    }
    expect(stage.provider.requests).toEqual([])
  })
})

/** Nobody whom Tollgate knows, in the words of each dialect. */
const UNKNOWN: Record<string, { status: number; words: RegExp }> = {
  openai: { status: 401, words: /"code":"invalid_api_key"/ },
  anthropic: { status: 401, words: /"type":"authentication_error"/ },
  bedrock: { status: 403, words: /"code":"unauthenticated"/ },
  gemini: { status: 401, words: /"status":"UNAUTHENTICATED"/ },
  'google-places': { status: 401, words: /"status":"UNAUTHENTICATED"/ },
  things: { status: 401, words: /"code":"unauthenticated"/ },
  openrouter: { status: 401, words: /"code":401.*"code":"invalid_api_key"/ },
}

describe.each([
  ['no key', null],
  ['a made-up key', 'tg_AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
  ['the provider’s own key', 'sk-fake'],
] as const)('with %s', (_, key) => {
  test.each(ROWS.map((row) => [row.title, row] as const))('%s is refused', async (_, { provider, one }) => {
    const answer = await stage.call(provider, one.send, key)
    const { status, words } = UNKNOWN[provider] ?? UNKNOWN.openai ?? expect.unreachable()
    expect({ status: answer.status, text: await answer.text() }).toEqual({ status, text: expect.stringMatching(words) })
    expect(stage.provider.requests).toEqual([])
  })
})
