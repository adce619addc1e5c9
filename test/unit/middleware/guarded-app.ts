// A plain Hono app whose routes the usage caps guard, with a ledger in this process: both new for each test.

import { Hono } from 'hono'
import { v7 as newId } from 'uuid'
import { expect } from 'vitest'
import { Ledger } from '../../../durable-objects/ledger/ledger.ts'
import type { Cap, LedgerRpc, Snapshot, UsageEvent } from '../../../durable-objects/ledger/types.ts'
import { requestId } from '../../../src/middleware/request-id.ts'
import { type CallAsk, type CallEnd, type UsageCapsVariables, usageCaps } from '../../../src/middleware/usage-caps.ts'
import { cap, snapshot } from '../../support/ledger-fixtures.ts'
import { nodeSql } from '../../support/node-sql.ts'

export const USER = '0190a000-0000-7000-8000-000000000001'
export const KEY = '0190a000-0000-7000-8000-00000000000a'

export let app: Hono<{ Variables: UsageCapsVariables }>
export let ledger: Ledger
export let events: UsageEvent[]
/** What the host was told to wait for. */
export let background: Promise<unknown>[]
/** What the app's error handler was given last. */
export let thrown: unknown

export const inProcess: LedgerRpc = {
  reserve: async (ask) => ledger.reserve(ask, Date.now()),
  mayGoOn: async (call) => ledger.mayGoOn(call, Date.now()),
  settle: async (settlement) => ledger.settle([settlement], Date.now()),
  requestModels: async (ids) => ledger.requestModels(ids),
  conclude: async (conclusions) => ledger.conclude(conclusions, Date.now()),
  configure: async (config) => ledger.configure(config, Date.now()),
  status: async () => ({ refusal: { reason: 'unreachable' } }),
}
export const ledgerOf = (subject: string): LedgerRpc => {
  expect(subject).toBe(USER)
  return inProcess
}

export function begin(): void {
  events = []
  background = []
  thrown = undefined
  openLedger()
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
}

/** An empty one: without the calls of the one before. */
export function openLedger(): void {
  ledger = new Ledger(nodeSql(), { hold_ttl_ms: 60_000, emit: (event) => events.push(event) }, 0)
}

export const allow = (limits: Cap['limits'], more: Partial<Snapshot> = {}) =>
  ledger.configure(
    snapshot([cap('daily', limits)], { keys: [{ id: KEY, expires_at: null, scopes: ['call'] }], ...more }),
    0,
  )

const context = {
  waitUntil: (work: Promise<unknown>) => void background.push(work),
  passThroughOnException: () => undefined,
  props: {},
}

/** A call, until its answer begins. */
export const call = async (path: string): Promise<Response> => app.request(path, { method: 'POST' }, {}, context)

/** A call, and all that goes on after its answer. */
export async function post(path: string): Promise<Response> {
  const response = await call(path)
  for (const work of background.splice(0)) await work
  return response
}

export const used = () => ledger.status(Date.now())?.caps[0]?.current_usage

/** A route that asks and ends like that. */
export function route(ask: number | CallAsk | undefined, end?: () => CallEnd | Promise<CallEnd>): void {
  const options = ask === undefined ? {} : { ask: typeof ask === 'number' ? ask : () => ask }
  app.post('/work', usageCaps({ ledgerOf, ...options }), (c) => {
    if (end) c.var.hold.report(end())
    return c.text('done')
  })
}
