// The REST routes over a real database and ledgers that only remember what they are told.

import type { Hono } from 'hono'
import type { CapStatus, LedgerOf, LedgerRpc, Refusal, Snapshot } from '../../../durable-objects/ledger/types.ts'
import { openApiRoutes } from '../../../src/admin/openapi.ts'
import { adminRoutes } from '../../../src/admin/routes.ts'
import { createPriceBook } from '../../../src/pricing/price-book.ts'
import { restApp } from '../../../src/rest/app.ts'
import { answerNoRoute } from '../../../src/rest/no-route.ts'
import type { UsageCaller } from '../../../src/rest/status.ts'
import { appliedPriceRoutes } from '../../../src/usage/prices.ts'
import { usageRoutes } from '../../../src/usage/routes.ts'
import { ledgerOfOnly } from '../../support/ledger-fixtures.ts'
import { openTestDatabase } from '../../support/postgres.ts'

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers as plain data
  body: any
}

/** An id of nobody and of nothing. */
export const NOBODY = '00000000-0000-7000-8000-000000000000'

const PROVIDERS = ['openai', 'anthropic']

export async function openRest() {
  const test_database = await openTestDatabase()
  const { db } = test_database
  /** What each ledger was told last, by user. */
  const configs = new Map<string, Snapshot>()
  const faults = { configure: 0, status: 0 }
  const usage: Record<string, Pick<CapStatus, 'current_usage' | 'held' | 'refused'>> = {}
  const clock = { now: Date.now }

  const ledgerOf: LedgerOf = (subject) => ledger(subject)

  function ledger(subject: string): LedgerRpc {
    return ledgerOfOnly({
      configure: async (snapshot) => {
        if (faults.configure-- > 0) throw new Error('the ledger is away')
        const known = configs.get(subject)
        if (known && snapshot && known.version > snapshot.version) return known.version
        if (snapshot) configs.set(subject, snapshot)
        else configs.delete(subject)
        return snapshot?.version ?? 0
      },
      status: async (caller) => {
        if (faults.status-- > 0) throw new Error('the ledger is away')
        const config = configs.get(subject)
        if (!config) return { refusal: { reason: 'no_config' } }
        const refusal = caller && refusalOf(config, caller.key_id, caller.scope)
        if (refusal) return { refusal }
        const { version, status, time_zone } = config
        const nothing = { requests: 0, tokens: 0, cost: 0 }
        const caps = config.caps.map(({ id, cap_type, limits }) => ({
          cap_id: id,
          cap_type,
          limits,
          ...(usage[cap_type] ?? { current_usage: nothing, held: nothing, refused: 0 }),
          window_start: cap_type === 'total' ? null : Date.UTC(2030, 0, 1),
          reset_at: cap_type === 'total' ? null : Date.UTC(2030, 0, 2),
        }))
        return { version, status, time_zone, caps, outbox: { waiting: 2, rejected: 1 } }
      },
    })
  }

  const admin = adminRoutes({
    db,
    ledgerOf,
    keys: { issue: async (userId, keyId) => `tg_${userId}${keyId}` },
    now: () => clock.now(),
    newId: () => crypto.randomUUID(),
    providers: PROVIDERS,
    priceStore: { put: async () => {} },
  })
  const appliedPrices = appliedPriceRoutes({ prices: createPriceBook(), providers: PROVIDERS, db, ledgerOf })
  const ownUsage = usageRoutes({ db, ledgerOf })
  const app = restApp<{ caller: UsageCaller }>()
  app.use('*', async (c, next) => {
    c.set('request_id', 'req-1')
    const caller = c.req.header('x-test-caller')
    if (caller) c.set('caller', JSON.parse(caller))
    await next()
  })
  app.route('/admin', admin)
  app.route('/usage', ownUsage)
  app.route('/prices', appliedPrices)
  app.route('/', openApiRoutes({ admin, usage: ownUsage, prices: appliedPrices }))
  app.notFound(answerNoRoute(app))

  const send = sendTo(app)

  return {
    ...test_database,
    configs,
    faults,
    usage,
    clock,
    app,
    send,
    newUser: async (fields: object = {}): Promise<string> =>
      (await send('POST', '/admin/users', { name: 'Ada', ...fields })).body.id,
    newKey: (userId: string, fields: object = {}) =>
      send('POST', `/admin/users/${userId}/keys`, { name: 'k', ...fields }),
    /** Sends as this user would, with one of its keys or as a JWT. */
    sendAs: (caller: Omit<UsageCaller, 'jwt'> & Partial<UsageCaller>, path: string) =>
      send('GET', path, undefined, { 'x-test-caller': JSON.stringify({ jwt: null, ...caller }) }),
  }
}

/** Asks these routes: strings and bytes go as they are, all else as JSON. */
export const sendTo =
  (app: Pick<Hono, 'request'>) =>
  async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> => {
    const init: RequestInit = { method, headers }
    if (body !== undefined) {
      init.body = typeof body === 'string' || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body)
      init.headers = { 'content-type': 'application/json', ...headers }
    }
    const response = await app.request(path, init)
    const text = await response.text()
    const { status, headers: answered } = response
    if (text === '') return { status, headers: answered, body: null }
    const isJson = answered.get('content-type')?.includes('json')
    return { status, headers: answered, body: isJson ? JSON.parse(text) : text }
  }

/** What a list has on all its pages: the ids in their order. */
export async function idsOnPages(send: ReturnType<typeof sendTo>, path: string): Promise<string[]> {
  const ids: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await send('GET', path + (cursor && `&cursor=${cursor}`))
    ids.push(...body.data.map(({ id }: { id: string }) => id))
    cursor = body.next_cursor
  }
  return ids
}

function refusalOf(config: Snapshot, keyId: string | null, scope: string): Refusal | null {
  if (config.status !== 'active') return { reason: config.status }
  if (keyId === null) return null
  const key = config.keys.find(({ id }) => id === keyId)
  if (!key) return { reason: 'unknown_key' }
  return key.scopes.some((one) => one === scope) ? null : { reason: 'missing_scope', scope: 'usage' }
}
