// What a call of a guarded route costs, and what its answer and its event say.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Context } from 'hono'
import { v7 as newId } from 'uuid'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Amount } from '../../../durable-objects/ledger/types.ts'
import { type CallEnd, type Hold, usageCaps } from '../../../src/middleware/usage-caps.ts'
import { amount } from '../../support/ledger-fixtures.ts'
import { parseOne } from '../../support/structured-fields.ts'
import {
  allow,
  app,
  background,
  begin,
  call,
  events,
  inProcess,
  KEY,
  ledgerOf,
  post,
  route,
  thrown,
  USER,
  used,
} from './guarded-app.ts'

beforeEach(begin)

const failed = () => Promise.reject(new Error('no report'))

const ALL = { input_tokens: 70, output_tokens: 5, cost_nano_usd: 9 }
const ASKED = { input_tokens: 100, cost_nano_usd: 50 }
const ASK = { input_tokens: 100, input_cost_nano_usd: 50 }

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
    route({ ...ASK, requests: 2 }, end)
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
    await expect(call('/work')).rejects.toBe('no error')
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
    app.post('/work', usageCaps({ ledgerOf, ask: () => ASK }), (c) => {
      const { hold } = c.var
      recorded.push(hold.settle(end.promise), hold.settle({ usage: { input_tokens: 1 } }))
      hold.report({ usage: { input_tokens: 2 } })
      return c.text('done')
    })
    await call('/work')
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
    app.post('/work', usageCaps({ ledgerOf, ask: () => ASK }), async (c) => {
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
    app.post('/work', usageCaps({ ledgerOf, ask: () => ASK }), () => Response.error())
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
    const answer = await call('/work')
    expect([answer.status, used()?.requests, events.length]).toEqual([200, 5, 0])
    resolve({ usage: { requests: 1 } })
    await Promise.all(background)
    expect([used()?.requests, events.length]).toEqual([1, 1])
  })
})

test('an answer says how long the window lasts from when it is given, however long the call took', async () => {
  onTestFinished(() => void vi.useRealTimers())
  vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 2, 10, 12) })
  allow({ requests: 10 })
  app.post('/work', usageCaps({ ledgerOf }), (c) => {
    vi.setSystemTime(Date.now() + 600_000)
    return c.text('done')
  })
  const { headers } = await post('/work')
  expect(parseOne(headers.get('ratelimit')).params.t).toBe(12 * 3_600 - 600)
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

test('an answer that was fetched where there are limits, too, says what is left of the caller’s caps', async () => {
  const theirs = { ratelimit: '"theirs";r=7', 'ratelimit-policy': '"theirs";q=9', 'x-tollgate-request-id': 'theirs' }
  const elsewhere = createServer((_, response) => void response.writeHead(200, theirs).end('done')).listen(0)
  onTestFinished(() => void elsewhere.close())
  await once(elsewhere, 'listening')
  const { port } = elsewhere.address() as AddressInfo
  allow({ requests: 5 })
  app.post('/work', usageCaps({ ledgerOf }), () => fetch(`http://127.0.0.1:${port}`))
  app.post('/free', () => fetch(`http://127.0.0.1:${port}`))

  const answer = await post('/work')
  expect(await answer.text()).toBe('done')
  expect(parseOne(answer.headers.get('ratelimit'))).toMatchObject({ value: 'daily-requests', params: { r: 4 } })
  expect(parseOne(answer.headers.get('ratelimit-policy')).params.q).toBe(5)
  expect(answer.headers.get('x-tollgate-request-id')).toBe(events[0]?.id)
  expect((await post('/free')).headers.get('x-tollgate-request-id')).not.toBe('theirs')
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

test.each<[string, (c: Context) => Record<string, unknown>]>([
  ['a query, as Hono reads it', (c) => c.req.query()],
  ['an object that writes itself as text', () => ({ team: { toJSON: () => 'search' } })],
])(
  'metadata of %s goes to the ledger as JSON: Workers send no objects of classes, nor without a prototype',
  async (_, metadataOf) => {
    const reserve = vi.spyOn(inProcess, 'reserve')
    onTestFinished(() => reserve.mockRestore())
    allow({ requests: 1 })
    app.post('/work', usageCaps({ ledgerOf, ask: (c) => ({ draft: { metadata: metadataOf(c) } }) }), (c) =>
      c.text('done'),
    )
    expect((await post('/work?team=search')).status).toBe(200)
    expect(reserve.mock.lastCall?.[0].draft.metadata).toStrictEqual({ team: 'search' })
    expect(events[0]?.metadata).toStrictEqual({ team: 'search' })
  },
)

test('the event of a route that drafts nothing names it by its pattern', async () => {
  allow({ requests: 1 })
  app.post('/thumbnails/:id', usageCaps({ ledgerOf }), (c) => c.text('done'))
  await post('/thumbnails/7')
  const drafted = { provider: 'app', operation: '/thumbnails/:id', method: 'POST', path: '/thumbnails/7' }
  expect(events).toMatchObject([drafted])
})
