// Checks the books of a run: every answered call is one event in Postgres, and the sums there are the ledgers'.

import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { CAP_TYPES } from '../../durable-objects/ledger/types.ts'
import { openDatabase } from '../../src/postgres/client.ts'
import { NANO_USD_PER_CENT } from '../../src/pricing/money.ts'
import { NANO_USD_PER_CALL, TOKENS_PER_CALL } from './chat.ts'

/** Three windows at once, with limits so high that nothing is refused or clamped. */
const CAPS = CAP_TYPES.filter((type) => type !== 'hourly' && type !== 'weekly')
const LIMITS = { requests: 1e9, tokens: 1e12, cost_cents: 1e8 }
const LANDED_WITHIN_MS = 60_000
const AT_REST_WITHIN_MS = 10_000
const POLL_MS = 10
const ADMIN_CALLS_AT_ONCE = 8

export interface User {
  id: string
  key: string
}

export interface Books {
  createUsers(count: number): Promise<User[]>
  /** Notes calls that were answered 200. */
  expect(calls: number): void
  /** Waits until there is an event for every call. @returns how long that took. @throws where one is missing. */
  landed(): Promise<number>
  /** @throws where the sums in Postgres are not those of all calls, or a user's sums are not those of its ledger. */
  balance(): Promise<void>
}

interface Sums {
  requests: number
  tokens: number
  cost_nano_usd: number
}

export function openBooks(options: {
  url: URL
  adminToken: string
  databaseUrl: string
  databaseHttpUrl: string
}): Books {
  const { url, adminToken, databaseUrl, databaseHttpUrl } = options
  const db = openDatabase({ DATABASE_URL: databaseUrl, DATABASE_HTTP_URL: databaseHttpUrl })
  const users: User[] = []
  let expected = 0

  async function admin<T>(method: string, path: string, body?: unknown): Promise<T> {
    const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' }
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) }
    const response = await fetch(new URL(path, url), init)
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text)
  }

  async function inPostgres(): Promise<Map<string, Sums>> {
    const { rows } = await db.execute<{ user_id: string } & Record<keyof Sums | 'events', string>>(sql`
      select user_id, count(*) as events, sum(requests) as requests, sum(input_tokens + output_tokens) as tokens,
        sum(cost_nano_usd) as cost_nano_usd
      from usage_events group by user_id`)
    return new Map(
      rows.map(({ user_id, events, requests, tokens, cost_nano_usd }) => {
        if (events !== requests) throw new Error(`${events} events count ${requests} requests`)
        return [user_id, { requests: Number(requests), tokens: Number(tokens), cost_nano_usd: Number(cost_nano_usd) }]
      }),
    )
  }

  /** Postgres has the last events a moment before their ledger hears of it. */
  async function inLedger({ id }: User): Promise<Sums> {
    const start = performance.now()
    for (;;) {
      const { data, outbox } = await admin<Status>('GET', `/admin/users/${id}/caps/status`)
      const total = data.find(({ cap_type }) => cap_type === 'total')
      if (total?.held.requests === 0 && outbox.waiting === 0 && outbox.rejected === 0) return sumsOf(total)
      if (performance.now() - start > AT_REST_WITHIN_MS) {
        throw new Error(`the ledger of ${id} is not at rest: ${JSON.stringify({ total, outbox })}`)
      }
      await sleep(POLL_MS)
    }
  }

  function sumsOf(total: CapView): Sums {
    const { requests, tokens, cost_cents } = total.current_usage
    return { requests, tokens, cost_nano_usd: Math.round(cost_cents * NANO_USD_PER_CENT) }
  }

  async function countEvents(): Promise<number> {
    const { rows } = await db.execute<{ events: string }>(sql`select count(*) as events from usage_events`)
    return Number(rows[0]?.events)
  }

  return {
    async createUsers(count) {
      for (const type of CAPS) await admin('PUT', `/admin/default-caps/${type}`, { limits: LIMITS })
      const names = Array.from({ length: count }, (_, index) => `bench ${index}`)
      await forEach(names, async (name) => {
        const { id } = await admin<User>('POST', '/admin/users', { name })
        users.push({ id, key: (await admin<User>('POST', `/admin/users/${id}/keys`, { name })).key })
      })
      return users
    },
    expect(calls) {
      expected += calls
    },
    async landed() {
      const start = performance.now()
      let events = await countEvents()
      while (events < expected && performance.now() - start < LANDED_WITHIN_MS) {
        await sleep(POLL_MS)
        events = await countEvents()
      }
      const landed_ms = performance.now() - start
      if (events !== expected) throw new Error(`${expected} calls were answered, ${events} events are in Postgres`)
      return landed_ms
    },
    async balance() {
      const postgres = await inPostgres()
      const total = (part: keyof Sums) => [...postgres.values()].reduce((sum, of) => sum + of[part], 0)
      const [tokens, nano_usd] = [total('tokens'), total('cost_nano_usd')]
      if (tokens !== expected * TOKENS_PER_CALL) throw new Error(`${expected} calls used ${tokens} tokens in Postgres`)
      if (nano_usd !== expected * NANO_USD_PER_CALL)
        throw new Error(`${expected} calls cost ${nano_usd} nano-dollars in Postgres`)
      await forEach(users, async (user) => {
        const [there, here] = [postgres.get(user.id), await inLedger(user)]
        const nothing = { requests: 0, tokens: 0, cost_nano_usd: 0 }
        const [a, b] = [JSON.stringify(there ?? nothing), JSON.stringify(here)]
        if (a !== b) throw new Error(`the books of ${user.id} do not balance: Postgres ${a}, ledger ${b}`)
      })
    },
  }
}

interface Status {
  data: CapView[]
  outbox: { waiting: number; rejected: number }
}

interface CapView {
  cap_type: string
  current_usage: { requests: number; tokens: number; cost_cents: number }
  held: { requests: number }
}

async function forEach<T>(items: T[], body: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await body(item)
  }
  await Promise.all(Array.from({ length: ADMIN_CALLS_AT_ONCE }, worker))
}
