// The middleware on routes that are no LLM calls: a plain Hono app, a ledger in this process.

import { Hono } from 'hono'
import { v7 as newId } from 'uuid'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { Ledger } from '../../durable-objects/ledger/ledger.ts'
import type { Admission, Amount, Cap, LedgerRpc, Snapshot, UsageEvent } from '../../durable-objects/ledger/types.ts'
import { requestId } from '../../src/middleware/request-id.ts'
import {
  type CallAsk,
  type CallEnd,
  type Hold,
  type UsageCapsVariables,
  usageCaps,
} from '../../src/middleware/usage-caps.ts'
import { amount, ask, cap, snapshot } from '../support/ledger-fixtures.ts'
import { nodeSql } from '../support/node-sql.ts'
import { parseOne } from '../support/structured-fields.ts'

const USER = '0190a000-0000-7000-8000-000000000001'
const KEY = '0190a000-0000-7000-8000-00000000000a'

let ledger: Ledger
let events: UsageEvent[]
let app: Hono<{ Variables: UsageCapsVariables }>
let background: Promise<unknown>[]
let thrown: unknown

const inProcess: LedgerRpc = {
  reserve: async (ask) => ledger.reserve(ask, Date.now()),
  mayGoOn: async (call) => ledger.mayGoOn(call, Date.now()),
  settle: async (settlement) => ledger.settle([settlement], Date.now()),
  requestModels: async (ids) => ledger.requestModels(ids),
  conclude: async (conclusions) => ledger.conclude(conclusions, Date.now()),
  configure: async (config) => ledger.configure(config, Date.now()),
  status: async () => ({ refusal: { reason: 'unreachable' } }),
}
const ledgerOf = (subject: string): LedgerRpc => {
  expect(subject).toBe(USER)
  return inProcess
}

beforeEach(() => {
  events = []
  background = []
  thrown = undefined
  ledger = openLedger()
  app = new Hono<{ Variables: UsageCapsVariables }>()
  app.use(requestId(newId))
  app.use(async (c, next) => {
    c.set('caller', { user_id: USER, key_id: KEY })
    await next()
  })
  app.onError((error, c) => {
    thrown = error
    return c.text('a fault', 500)
  })
})

/** An empty one: without the calls of the one before. */
const openLedger = () => new Ledger(nodeSql(), { hold_ttl_ms: 60_000, emit: (event) => events.push(event) }, 0)

const allow = (limits: Cap['limits'], more: Partial<Snapshot> = {}) =>
  ledger.configure(
    snapshot([cap('daily', limits)], { keys: [{ id: KEY, expires_at: null, scopes: ['call'] }], ...more }),
    0,
  )

const context = {
  waitUntil: (work: Promise<unknown>) => void background.push(work),
  passThroughOnException: () => undefined,
  props: {},
}

/** A call, and all that goes on after its answer. */
async function post(path: string): Promise<Response> {
  const response = await app.request(path, { method: 'POST' }, {}, context)
  for (const work of background.splice(0)) await work
  return response
}

const used = () => ledger.status(Date.now())?.caps[0]?.current_usage

/** A route that asks and ends like that. */
function route(ask: number | CallAsk | undefined, end?: () => CallEnd | Promise<CallEnd>): void {
  const options = ask === undefined ? {} : { ask: typeof ask === 'number' ? ask : () => ask }
  app.post('/work', usageCaps({ ledgerOf, ...options }), (c) => {
    if (end) c.var.hold.report(end())
    return c.text('done')
  })
}

const failed = () => Promise.reject(new Error('no report'))

const ALL = { input_tokens: 70, output_tokens: 5, cost_nano_usd: 9 }
const ASKED = { input_tokens: 100, cost_nano_usd: 50 }

describe('a call costs', () => {
  test('one request where nothing is said', async () => {
    allow({ requests: 2 })
    route(undefined)
    const statuses = [await post('/work'), await post('/work'), await post('/work')].map(({ status }) => status)
    expect(statuses).toEqual([200, 200, 429])
    expect(used()).toEqual({ requests: 2, tokens: 0, cost: 0 })
  })

  test('as many requests as the route says', async () => {
    allow({ requests: 12 })
    route(5)
    const statuses = [await post('/work'), await post('/work'), await post('/work')].map(({ status }) => status)
    expect(statuses).toEqual([200, 200, 429])
    expect(events.map(({ requests }) => requests)).toEqual([5, 5])
  })

  test.each<[string, () => CallEnd | Promise<CallEnd>, Partial<Amount>]>([
    ['what is reported', () => ({ usage: ALL }), ALL],
    ['what a promise reports later', async () => ({ usage: { input_tokens: 70 } }), { input_tokens: 70 }],
    ['fewer requests, where that is reported', () => ({ usage: { requests: 1 } }), { requests: 1 }],
    ['what was asked, where usage is unknown', () => ({ usage: null }), ASKED],
    ['what was asked, where the report fails', () => Promise.reject(new Error('no report')), ASKED],
    ['what was asked, where the report is none', async () => undefined as unknown as CallEnd, ASKED],
    ['what was asked, where its usage is none', () => ({ usage: undefined }) as unknown as CallEnd, ASKED],
    [
      'what was asked, where it goes on under what can be the id of no event',
      () => ({ usage: ALL, continues: { request_id: 'job-7', for_ms: 60_000 } }),
      ASKED,
    ],
    [
      'what was asked, where it goes on for nobody knows how long',
      () => ({ usage: ALL, continues: { request_id: newId(), for_ms: Number.NaN } }),
      ASKED,
    ],
    ['what was asked, where its facts are none', () => ({ usage: {}, facts: null }) as unknown as CallEnd, ASKED],
  ])('%s', async (_, end, charged) => {
    allow({ requests: 100, tokens: 1_000, cost: 1_000 })
    route({ requests: 2, input_tokens: 100, input_cost_nano_usd: 50 }, end)
    expect((await post('/work')).status).toBe(200)
    expect(events).toMatchObject([{ ...amount({ requests: 2 }), ...charged, outcome: 'settled' }])
    const { requests = 2, input_tokens = 0, output_tokens = 0, cost_nano_usd = 0 } = charged
    expect(used()).toEqual({ requests, tokens: input_tokens + output_tokens, cost: cost_nano_usd })
  })

  test('what is reported, where it goes on for a fraction of a millisecond', async () => {
    allow({ tokens: 1_000 })
    const continues = { request_id: newId(), for_ms: 1.001 * 1_000 }
    route({ input_tokens: 100 }, () => ({ usage: { input_tokens: 70 }, continues }))
    expect((await post('/work')).status).toBe(200)
    expect(events).toMatchObject([{ input_tokens: 70, usage_source: 'reported' }])
    expect(used()?.tokens).toBe(100)
  })

  test('what was asked, where the handler reports nothing', async () => {
    allow({ tokens: 1_000 })
    route({ input_tokens: 100 })
    await post('/work')
    expect(events).toMatchObject([{ input_tokens: 100, usage_source: 'reported', status: 200 }])
  })

  test('what was asked, where the handler throws', async () => {
    allow({ tokens: 1_000 })
    app.post('/work', usageCaps({ ledgerOf, ask: () => ({ input_tokens: 100 }) }), () => {
      throw new Error('a bug')
    })
    expect((await post('/work')).status).toBe(500)
    expect(String(thrown)).toBe('Error: a bug')
    expect(events).toMatchObject([
      { requests: 1, input_tokens: 100, outcome: 'settled', usage_source: 'hold', status: 500 },
    ])
    expect(used()).toEqual({ requests: 1, tokens: 100, cost: 0 })
  })

  test('what was asked, where the handler throws what is no Error, which nobody answers', async () => {
    allow({ tokens: 1_000 })
    app.post('/work', usageCaps({ ledgerOf, ask: () => ({ input_tokens: 100 }) }), () => Promise.reject('no error'))
    await expect(app.request('/work', { method: 'POST' }, {}, context)).rejects.toBe('no error')
    await Promise.allSettled(background)
    expect(events).toMatchObject([{ input_tokens: 100, outcome: 'settled', usage_source: 'hold', status: null }])
    expect(used()).toEqual({ requests: 1, tokens: 100, cost: 0 })
  })

  test('what was reported last', async () => {
    allow({ requests: 10 })
    app.post('/work', usageCaps({ ledgerOf, ask: 5 }), (c) => {
      c.var.hold.report({ usage: { requests: 2 } })
      c.var.hold.report({ usage: { requests: 3 }, facts: { status: 207, error_class: 'in_part' } })
      return c.text('done')
    })
    await post('/work')
    // What the handler says of it goes before what was seen from outside.
    expect(events).toMatchObject([{ requests: 3, status: 207, error_class: 'in_part' }])
  })

  test('what it is first settled at, however long that takes: all that is said later is void', async () => {
    allow({ tokens: 500 })
    const end = Promise.withResolvers<CallEnd>()
    const recorded: Promise<boolean>[] = []
    app.post('/work', usageCaps({ ledgerOf, ask: () => ASKED }), (c) => {
      const { hold } = c.var
      recorded.push(hold.settle(end.promise), hold.settle({ usage: { input_tokens: 1 } }))
      hold.report({ usage: { input_tokens: 2 } })
      return c.text('done')
    })
    await app.request('/work', { method: 'POST' }, {}, context)
    expect([events.length, used()?.tokens]).toEqual([0, 100])
    end.resolve({ usage: { input_tokens: 70 } })
    expect(await Promise.all(recorded)).toEqual([true, true])
    expect(events).toMatchObject([{ input_tokens: 70 }])
  })

  test.each<[string, (hold: Hold) => void, number]>([
    ['what was asked, where the report fails before the handler is done', (hold) => hold.report(failed()), 100],
    [
      'what was reported last, where the one before it fails',
      (hold) => {
        hold.report(failed())
        hold.report({ usage: { input_tokens: 70 } })
      },
      70,
    ],
    [
      'what it was settled at, where what is said later fails',
      (hold) => {
        void hold.settle({ usage: { input_tokens: 70 } })
        void hold.settle(failed())
        hold.report(failed())
      },
      70,
    ],
  ])('%s; no rejection is left to end the process of Deno or Node', async (_, end, input_tokens) => {
    const left = vi.fn()
    process.on('unhandledRejection', left)
    onTestFinished(() => void process.off('unhandledRejection', left))
    allow({ tokens: 500 })
    app.post('/work', usageCaps({ ledgerOf, ask: () => ASKED }), async (c) => {
      end(c.var.hold)
      await new Promise((resolve) => setTimeout(resolve, 5))
      return c.text('done')
    })
    await post('/work')
    expect(events).toMatchObject([{ input_tokens, outcome: 'settled' }])
    expect(left).not.toHaveBeenCalled()
  })

  test('what was asked, where the handler’s answer is one that no client can be given', async () => {
    allow({ tokens: 500 })
    app.post('/work', usageCaps({ ledgerOf, ask: () => ASKED }), () => Response.error())
    expect((await post('/work')).status).toBe(500)
    expect(events).toMatchObject([{ input_tokens: 100, usage_source: 'hold' }])
  })

  test('nothing, where the call is released', async () => {
    allow({ requests: 1 })
    route(1, () => ({ outcome: 'released', usage: null }))
    for (const expected of [200, 200, 200]) expect((await post('/work')).status).toBe(expected)
    expect(used()).toEqual({ requests: 0, tokens: 0, cost: 0 })
    const ends = events.map(({ outcome, requests, usage_source }) => [outcome, requests, usage_source])
    expect(ends).toEqual(Array(3).fill(['released', 0, 'reported']))
  })

  test('its hold, until a promised report is there', async () => {
    allow({ requests: 10 })
    const { promise, resolve } = Promise.withResolvers<CallEnd>()
    route(5, () => promise)
    const answer = await app.request('/work', { method: 'POST' }, {}, context)
    expect([answer.status, used()?.requests, events.length]).toEqual([200, 5, 0])
    resolve({ usage: { requests: 1 } })
    await Promise.all(background)
    expect([used()?.requests, events.length]).toEqual([1, 1])
  })
})

test('an answer says how long the window lasts from when it is given, however long the call took', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 2, 10, 12) })
  allow({ requests: 10 })
  app.post('/work', usageCaps({ ledgerOf }), (c) => {
    vi.setSystemTime(Date.now() + 600_000)
    return c.text('done')
  })
  const { headers } = await post('/work')
  vi.useRealTimers()
  expect(parseOne(headers.get('ratelimit')).params.t).toBe(12 * 3_600 - 600)
})

test('racing calls never exceed the cap', async () => {
  allow({ requests: 10 })
  route(3)
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => app.request('/work', { method: 'POST' }, {}, context)),
  )
  await Promise.all(background)
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
  expect(used()?.requests).toBe(9)
})

test('an answer whose headers cannot be changed, as of what was fetched, has the fields all the same', async () => {
  allow({ requests: 1 })
  const elsewhere = () => Response.redirect('https://elsewhere.example/')
  app.post('/work', usageCaps({ ledgerOf, refuse: elsewhere }), elsewhere)
  for (const left of [0, 0]) {
    const { status, headers } = await post('/work')
    expect([status, headers.get('location')]).toEqual([302, 'https://elsewhere.example/'])
    expect(parseOne(headers.get('ratelimit')).params.r).toBe(left)
    expect(headers.get('x-tollgate-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  }
})

test('a call goes on to its end when its client has left: its host is told to wait before the handler is done', async () => {
  allow({ requests: 5 })
  const { promise, resolve } = Promise.withResolvers<void>()
  app.post('/work', usageCaps({ ledgerOf }), async (c) => {
    await promise
    c.var.hold.report({ usage: { requests: 2 } })
    return c.text('done')
  })
  void app.request('/work', { method: 'POST' }, {}, context)
  const [call] = background
  expect(call).toBeInstanceOf(Promise)
  resolve()
  await call
  await Promise.all(background)
  expect(events).toMatchObject([{ requests: 2, outcome: 'settled' }])
})

test('a call that its handler settles and does not wait for keeps its host until it is on record', async () => {
  allow({ tokens: 500 })
  const settle = vi.spyOn(inProcess, 'settle').mockRejectedValueOnce(new Error('the ledger restarts'))
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const end = Promise.withResolvers<CallEnd>()
  app.post('/work', usageCaps({ ledgerOf, ask: () => ASKED }), (c) => {
    void c.var.hold.settle(end.promise)
    return c.text('done')
  })
  await app.request('/work', { method: 'POST' }, {}, context)
  end.resolve({ usage: { input_tokens: 70 } })
  await Promise.all(background)
  settle.mockRestore()
  warn.mockRestore()
  expect(events).toMatchObject([{ input_tokens: 70 }])
})

test('the handler may see what was granted, and the event says what the route drafted', async () => {
  allow({ tokens: 150 })
  const output = { max_tokens: 100, min_tokens: 10, choices: 1, nano_usd_per_mtok: 0 }
  const draft = { provider: 'house', operation: 'summaries', job_id: 'job-1' }
  app.post('/work', usageCaps({ ledgerOf, ask: () => ({ input_tokens: 100, output, draft }) }), (c) =>
    c.json(c.var.hold.admission),
  )
  const response = await post('/work')
  expect(await response.json()).toMatchObject({ granted_output_tokens: 50, clamped: true })
  expect(events).toMatchObject([
    { ...draft, user_id: USER, key_id: KEY, id: response.headers.get('x-tollgate-request-id') },
  ])
})

test('the event of a route that drafts nothing names it by its pattern', async () => {
  allow({ requests: 1 })
  app.post('/thumbnails/:id', usageCaps({ ledgerOf }), (c) => c.text('done'))
  await post('/thumbnails/7')
  const drafted = { provider: 'app', operation: '/thumbnails/:id', method: 'POST', path: '/thumbnails/7' }
  expect(events).toMatchObject([drafted])
})

describe('a refusal', () => {
  test('is a problem document with the facts of the cap and the RateLimit fields', async () => {
    allow({ requests: 4 })
    route(3)
    await post('/work')
    const refused = await post('/work')
    expect(refused.status).toBe(429)
    expect(refused.headers.get('content-type')).toBe('application/problem+json')
    const { cap: facts, ...problem } = (await refused.json()) as { cap: { retry_after_seconds: number } }
    expect(problem).toMatchObject({ status: 429, code: 'cap_exceeded', type: 'urn:tollgate:problem:cap_exceeded' })
    expect(facts).toMatchObject({ cap_type: 'daily', limit_type: 'requests', current_usage: 3, limit: 4, requested: 3 })
    expect(refused.headers.get('retry-after')).toBe(String(facts.retry_after_seconds))
    expect(parseOne(refused.headers.get('ratelimit'))).toMatchObject({ value: 'daily-requests', params: { r: 1 } })
    expect(parseOne(refused.headers.get('ratelimit-policy')).params).toEqual({ q: 4, w: 86_400 })
  })

  test('runs no handler, makes no event and costs one call of the ledger', async () => {
    allow({ requests: 0 })
    const [ran, asked] = [vi.fn(), vi.fn(ledgerOf)]
    app.post('/work', usageCaps({ ledgerOf: asked }), (c) => {
      ran()
      return c.text('done')
    })
    expect((await post('/work')).status).toBe(429)
    expect([ran, asked].map(({ mock }) => mock.calls.length)).toEqual([0, 1])
    expect(events).toEqual([])
  })

  test('looks as the route wants it', async () => {
    allow({ requests: 0 })
    const refuse = () => new Response('come back later', { status: 402 })
    app.post('/work', usageCaps({ ledgerOf, refuse }), (c) => c.text('done'))
    const refused = await post('/work')
    expect([refused.status, await refused.text()]).toEqual([402, 'come back later'])
    expect(refused.headers.get('ratelimit')).not.toBeNull()
  })

  test('of a key that may not do what the route asks for', async () => {
    allow({ requests: 1 })
    app.use(async (c, next) => {
      c.set('caller', { user_id: USER, key_id: KEY, scope: 'usage' })
      await next()
    })
    route(1)
    expect((await post('/work')).status).toBe(403)
  })

  test.each([
    ['a suspended user', 403, { status: 'suspended' as const }],
    ['an unknown key', 401, { keys: [] }],
  ])('%s', async (_, status, more) => {
    allow({ requests: 1 }, more)
    route(1)
    expect((await post('/work')).status).toBe(status)
  })
})

test('what nothing bounds is refused under a cap on it, and free to go under another', async () => {
  route({ input_tokens: null, input_cost_nano_usd: null })
  allow({ tokens: 10 })
  const refused = await post('/work')
  expect([refused.status, await refused.json()]).toMatchObject([400, { code: 'unbounded_request' }])
  allow({ requests: 1 })
  expect((await post('/work')).status).toBe(200)
})

describe('a ledger that does not know its user', () => {
  test('refuses', async () => {
    route(1)
    expect((await post('/work')).status).toBe(503)
  })

  test('is asked again where the app could tell it', async () => {
    const provision = async () => {
      allow({ requests: 1 })
      return true
    }
    app.post('/work', usageCaps({ ledgerOf, provision }), (c) => c.text('done'))
    expect([(await post('/work')).status, (await post('/work')).status]).toEqual([200, 429])
  })
})

describe('a ledger that cannot be reached', () => {
  const lost = async () => Promise.reject(new Error('lost on the way'))

  test.each([
    ['has taken the hold all the same: it comes off', true],
    ['has heard nothing: there is no event', false],
  ])('refuses; where it %s', async (_, hears) => {
    allow({ requests: 10 })
    const reserve: LedgerRpc['reserve'] = async (ask) => {
      if (hears) ledger.reserve(ask, Date.now())
      return lost()
    }
    app.post('/work', usageCaps({ ledgerOf: () => ({ ...inProcess, reserve }), ask: 4 }), (c) => c.text('done'))
    expect((await post('/work')).status).toBe(503)
    expect(used()?.requests).toBe(0)
    const event = { outcome: 'released', requests: 0, status: 503, error_class: 'ledger_unavailable' }
    expect(events).toMatchObject(hears ? [event] : [])
  })

  test('cuts off no call that it has admitted', async () => {
    allow({ requests: 10 })
    app.post('/work', usageCaps({ ledgerOf: () => ({ ...inProcess, mayGoOn: lost }) }), async (c) =>
      c.json(await c.var.hold.mayGoOn()),
    )
    expect(await (await post('/work')).json()).toBe(true)
  })
})

describe('a call whose hold its ledger has in memory alone', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    allow({ requests: 10_000 })
    // A busy one.
    for (const id of ['a', 'b']) ledger.reserve(ask(id), Date.now())
  })
  afterEach(() => void vi.useRealTimers())

  test('is held again by a ledger that has lost it, once it is out for long', async () => {
    const { promise, resolve } = Promise.withResolvers<CallEnd>()
    let seen: unknown[] = []
    app.post('/long', usageCaps({ ledgerOf, ask: 3 }), async (c) => {
      expect(c.var.hold.admission.epoch).not.toBe(0)
      ledger = openLedger()
      allow({ requests: 10_000 })
      const before = used()?.requests
      await vi.advanceTimersByTimeAsync(30_000)
      seen = [before, used()?.requests, await c.var.hold.mayGoOn()]
      c.var.hold.report(promise)
      return c.text('done')
    })
    const answer = await app.request('/long', { method: 'POST' }, {}, context)
    expect([answer.status, ...seen]).toEqual([200, 0, 3, true])
    resolve({ usage: { requests: 2 } })
    await Promise.all(background)
    expect([used()?.requests, events.length]).toEqual([2, 1])
  })

  test('is settled in its own epoch, so that it comes off what a crash left of that', async () => {
    const told: unknown[] = []
    const settle: LedgerRpc['settle'] = async (settlement) => void told.push(settlement)
    app.post('/work', usageCaps({ ledgerOf: () => ({ ...inProcess, settle }), ask: 3 }), (c) =>
      c.json(c.var.hold.admission),
    )
    const { epoch, reserved_at, hold } = (await (await post('/work')).json()) as Admission
    expect(epoch).not.toBe(0)
    expect(told).toMatchObject([{ epoch, reserved_at, hold }])
  })

  test('is told of until its ledger answers, or it has ended', async () => {
    let asked = 0
    const silent = { ...inProcess, mayGoOn: async () => Promise.reject(new Error(`silent, ${++asked}`)) }
    app.post('/long', usageCaps({ ledgerOf: () => (asked < 3 ? silent : inProcess), ask: 3 }), async (c) => {
      await vi.advanceTimersByTimeAsync(90_000)
      expect([asked, vi.getTimerCount()]).toEqual([3, 1])
      await vi.advanceTimersByTimeAsync(30_000)
      expect([asked, vi.getTimerCount()]).toEqual([3, 0])
      return c.text('done')
    })
    app.post('/short', usageCaps({ ledgerOf, ask: 3 }), (c) => c.text(`timers: ${vi.getTimerCount()}`))
    expect((await post('/long')).status).toBe(200)
    const short = await post('/short')
    expect([await short.text(), vi.getTimerCount()]).toEqual(['timers: 1', 0])
    ledger = openLedger()
    allow({ requests: 10_000 })
    expect(await (await post('/short')).text()).toBe('timers: 0')
  })
})

test('metadata may have 65,536 characters as JSON', async () => {
  allow({ requests: 1 })
  route({ draft: { metadata: { a: 'x'.repeat(65_528) } } })
  expect((await post('/work')).status).toBe(200)
})

describe('an ask that no ledger could hold throws and names its field', () => {
  test.each<[string, number | CallAsk, string]>([
    ['requests', -1, 'ask.requests'],
    ['requests', 1.5, 'ask.requests'],
    ['input_tokens', { input_tokens: Number.NaN }, 'ask.input_tokens'],
    ['input_cost_nano_usd', { input_cost_nano_usd: 2 ** 53 }, 'ask.input_cost_nano_usd'],
    [
      'output.max_tokens',
      { output: { max_tokens: -5, min_tokens: 0, choices: 1, nano_usd_per_mtok: 0 } },
      'ask.output.max_tokens',
    ],
    [
      'output.choices',
      { output: { max_tokens: 5, min_tokens: 0, choices: 0.5, nano_usd_per_mtok: 0 } },
      'ask.output.choices',
    ],
    ['requests that nobody knows', { requests: null as unknown as number }, 'ask.requests'],
    [
      'output for nobody',
      { output: { max_tokens: 5, min_tokens: 0, choices: 0, nano_usd_per_mtok: 0 } },
      'ask.output.choices',
    ],
    ['metadata of 65,537 characters', { draft: { metadata: { a: 'x'.repeat(65_529) } } }, 'ask.draft.metadata'],
    ['a session id of 501 characters', { draft: { session_id: 'x'.repeat(501) } }, 'ask.draft.session_id'],
    ['ids in a list', { draft: { job_id: ['x'.repeat(9_000)] } } as unknown as CallAsk, 'ask.draft.job_id'],
    ['a model that is no text', { draft: { request_model: {} } } as unknown as CallAsk, 'ask.draft.request_model'],
    ['stream as a word', { draft: { stream: 'maybe' } } as unknown as CallAsk, 'ask.draft.stream'],
    ['metadata that is no JSON', { draft: { metadata: { order: 12n } } }, 'BigInt'],
  ])('%s', async (_, ask, field) => {
    allow({ requests: 10 })
    route(ask)
    expect((await post('/work')).status).toBe(500)
    expect(thrown).toBeInstanceOf(TypeError)
    expect(String(thrown)).toContain(field)
    expect([used()?.requests, events]).toEqual([0, []])
  })
})

describe('an id that is no UUID throws and is named: Postgres would refuse the event', () => {
  test('of a draft', async () => {
    allow({ requests: 1 })
    route({ draft: { key_id: 'the house' } })
    expect((await post('/work')).status).toBe(500)
    expect(String(thrown)).toContain('ask.draft.key_id must be a UUID, not the house')
    expect(used()?.requests).toBe(0)
  })

  test.each([
    ['of a request', { request_id: 'req-1' }, 'c.var.request_id must be a UUID, not req-1'],
    ['of a request that has none', { request_id: undefined }, 'c.var.request_id must be a UUID, not undefined'],
    ['of a user', { caller: { user_id: 'ada', key_id: null } }, 'c.var.caller.user_id must be a UUID, not ada'],
    ['of a key', { caller: { user_id: USER, key_id: 'mine' } }, 'c.var.caller.key_id must be a UUID, not mine'],
  ])('%s', async (_, variables, fault) => {
    allow({ requests: 1 })
    app.use(async (c, next) => {
      for (const [name, value] of Object.entries(variables)) c.set(name as 'request_id', value as string)
      await next()
    })
    route(1)
    expect((await post('/work')).status).toBe(500)
    expect(String(thrown)).toContain(fault)
  })
})

test('what a draft leaves null or undefined is as if it were left out: Postgres would refuse the event', async () => {
  allow({ requests: 1 })
  const draft = { stream: undefined, provider: null, operation: undefined, request_model: 'small' }
  route({ draft } as unknown as CallAsk)
  expect((await post('/work')).status).toBe(200)
  expect(events).toMatchObject([{ stream: false, provider: 'app', operation: '/work', request_model: 'small' }])
})

test('the texts of a draft are cut: no ledger could keep a call with megabytes of a name', async () => {
  allow({ requests: 1 })
  route({ draft: { request_model: 'm'.repeat(3_000_000) } })
  expect((await post('/work')).status).toBe(200)
  expect(events).toMatchObject([{ request_model: 'm'.repeat(500) }])
})

test('a second ask of one request throws: its ledger would take it for a repetition of the first', async () => {
  allow({ requests: 3 })
  app.use(usageCaps({ ledgerOf }))
  route(5)
  expect((await post('/work')).status).toBe(500)
  expect(String(thrown)).toContain('guard each route once')
  expect(used()?.requests).toBe(1)
})

test.each([Number.NaN, -70, 0.5, Number.POSITIVE_INFINITY, 5n as unknown as number])(
  'a report of %s tokens is no usage: what was asked is charged',
  async (input_tokens) => {
    allow({ tokens: 1_000 })
    route({ input_tokens: 100 }, () => ({ usage: { input_tokens }, usage_source: 'reported' }))
    expect((await post('/work')).status).toBe(200)
    expect(used()).toEqual({ requests: 1, tokens: 100, cost: 0 })
    expect(events).toMatchObject([{ input_tokens: 100, usage_source: 'hold' }])
  },
)

test('facts that a report leaves undefined are as if they were left out', async () => {
  allow({ requests: 1 })
  route(1, () => ({ usage: {}, facts: { status: undefined, cached_input_tokens: undefined } }) as unknown as CallEnd)
  await post('/work')
  expect(events).toMatchObject([{ status: 200, cached_input_tokens: 0 }])
})

test('a report of facts that no event can hold loses these, and says so, and not the event', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  allow({ requests: 1 })
  const facts = {
    reasoning_tokens: Number.NaN,
    web_search_requests: -1,
    latency_ms: 1.5,
    status: 3_000_000_000,
    error_class: 'x'.repeat(9_000),
    audio_input_tokens: null as unknown as number,
    time_to_first_byte_ms: null,
    clamped_output_tokens: 'some' as unknown as number,
    response_model: { id: 'small' } as unknown as string,
  }
  route(1, () => ({ usage: {}, facts: { ...facts, cached_input_tokens: 7, service_tier: 'fast' } }))
  expect((await post('/work')).status).toBe(200)
  expect(events).toMatchObject([
    {
      ...{ reasoning_tokens: 0, web_search_requests: 0, latency_ms: 2, error_class: 'x'.repeat(500) },
      ...{ audio_input_tokens: 0, time_to_first_byte_ms: null },
      ...{ clamped_output_tokens: null, response_model: null },
      ...{ cached_input_tokens: 7, service_tier: 'fast', status: 200 },
    },
  ])
  expect(error).toHaveBeenCalledOnce()
  expect(error.mock.lastCall?.[0]).toContain(
    'reasoning_tokens,NaN,web_search_requests,-1,status,3000000000,audio_input_tokens,,clamped_output_tokens,some,',
  )
  error.mockRestore()
})
