// Asks and reports that no ledger and no event could hold: what is named, cut or left out.

import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type CallAsk, type CallEnd, usageCaps } from '../../../src/middleware/usage-caps.ts'
import { output } from '../../support/ledger-fixtures.ts'
import { allow, app, begin, events, ledgerOf, post, route, thrown, USER, used } from './guarded-app.ts'

beforeEach(begin)

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
    ['output.max_tokens', { output: output(-5) }, 'ask.output.max_tokens'],
    ['output.choices', { output: output(5, { choices: 0.5 }) }, 'ask.output.choices'],
    ['requests that nobody knows', { requests: null as unknown as number }, 'ask.requests'],
    ['an amount by a name that is none', { tokens: 4_000 } as unknown as CallAsk, 'ask.tokens'],
    ['output without its bound', { output: { choices: 1 } } as CallAsk, 'ask.output.max_tokens'],
    ['output for nobody', { output: output(5, { choices: 0 }) }, 'ask.output.choices'],
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

test.each([5, '5', null, undefined, [5]])('an ask of %j, where an object is due, throws', async (ask) => {
  allow({ requests: 10 })
  app.post('/work', usageCaps({ ledgerOf, ask: () => ask as CallAsk }), (c) => c.text('done'))
  expect((await post('/work')).status).toBe(500)
  expect(String(thrown)).toContain('usageCaps: ask must be an object')
  expect([used()?.requests, events]).toEqual([0, []])
})

test.each(['0190a000-0000-7000-8000-0000000000ab', 'req-1', undefined])(
  'the id %s of a request, which is not from requestId(), throws: a client that chose it could send it again, for nothing',
  async (request_id) => {
    allow({ requests: 1 })
    app.use(async (c, next) => {
      c.set('request_id', request_id as string)
      await next()
    })
    route(1)
    expect((await post('/work')).status).toBe(500)
    expect(String(thrown)).toContain('c.var.request_id must be as requestId() has set it')
    expect(used()?.requests).toBe(0)
  },
)

test('a caller that nobody has set throws and is named', async () => {
  allow({ requests: 1 })
  app.use(async (c, next) => {
    c.set('caller', undefined as never)
    await next()
  })
  route(1)
  expect((await post('/work')).status).toBe(500)
  expect(String(thrown)).toContain('c.var.caller')
  expect(String(thrown)).toContain('authenticate()')
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

test.each<[string, unknown]>([
  ['usage by the names of another API', { usage: { prompt_tokens: 60, completion_tokens: 10, total_tokens: 70 } }],
  ['usage with a name that is none', { usage: { input_tokens: 1, cache_read_input_tokens: 70 } }],
  ['usage with a name that every object has', { usage: { valueOf: 70 } }],
  ['usage as a number', { usage: 70 }],
  ['usage as a list', { usage: [] }],
  ['an outcome that is none', { usage: { input_tokens: 70 }, outcome: 'expired' }],
  ['a source that is none', { usage: { input_tokens: 70 }, usage_source: 'guessed' }],
])('a report of %s is no usage: what was asked is charged', async (_, end) => {
  allow({ tokens: 1_000 })
  route({ input_tokens: 100 }, () => end as CallEnd)
  expect((await post('/work')).status).toBe(200)
  expect(used()).toEqual({ requests: 1, tokens: 100, cost: 0 })
  expect(events).toMatchObject([{ input_tokens: 100, outcome: 'settled', usage_source: 'hold' }])
})

test('a report that comes when the call is settled changes nothing, and is logged', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  onTestFinished(() => error.mockRestore())
  allow({ tokens: 1_000 })
  const { promise, resolve } = Promise.withResolvers<void>()
  let reported: Promise<void> | undefined
  app.post('/work', usageCaps({ ledgerOf, ask: () => ({ input_tokens: 100 }) }), (c) => {
    reported = promise.then(() => c.var.hold.report({ usage: { input_tokens: 1 } }))
    return c.text('done')
  })
  await post('/work')
  resolve()
  await reported
  expect(events).toMatchObject([{ input_tokens: 100 }])
  expect(error.mock.lastCall?.[0]).toContain('a report came when its call was settled')
})

test('a handler that forgets its answer is charged what was asked, as one that throws', async () => {
  allow({ tokens: 1_000 })
  const forgets = (async () => undefined) as unknown as () => Promise<Response>
  app.post('/work', usageCaps({ ledgerOf, ask: () => ({ input_tokens: 100 }) }), forgets)
  expect((await post('/work')).status).toBe(500)
  expect(events).toMatchObject([{ input_tokens: 100, usage_source: 'hold', status: null }])
})

test('facts that a report leaves undefined are as if they were left out', async () => {
  allow({ requests: 1 })
  route(1, () => ({ usage: {}, facts: { status: undefined, cached_input_tokens: undefined } }) as unknown as CallEnd)
  await post('/work')
  expect(events).toMatchObject([{ status: 200, cached_input_tokens: 0 }])
})

test('a report of facts that no event can hold loses these, and says so, and not the event', async () => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  onTestFinished(() => error.mockRestore())
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
    // No fact, but a column of another kind.
    user_id: 5,
  }
  route(1, () => ({ usage: {}, facts: { ...facts, cached_input_tokens: 7, service_tier: 'fast' } }))
  expect((await post('/work')).status).toBe(200)
  expect(events).toMatchObject([
    {
      ...{ reasoning_tokens: 0, web_search_requests: 0, latency_ms: 2, error_class: 'x'.repeat(500) },
      ...{ audio_input_tokens: 0, time_to_first_byte_ms: null },
      ...{ clamped_output_tokens: null, response_model: null, user_id: USER },
      ...{ cached_input_tokens: 7, service_tier: 'fast', status: 200 },
    },
  ])
  expect(error).toHaveBeenCalledOnce()
  expect(error.mock.lastCall?.[0]).toContain(
    'reasoning_tokens,NaN,web_search_requests,-1,status,3000000000,audio_input_tokens,,clamped_output_tokens,some,',
  )
})
