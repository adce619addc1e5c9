// Checks the books: what Postgres has is what the ledgers enforce, to the nano-dollar, and no cap is exceeded. Throws plain
// errors, so that it serves tests and benchmarks alike.

import type { LocalDatabase } from '../../src/local/database.ts'
import { NANO_USD_PER_CENT } from '../../src/pricing/money.ts'
import { eventually, type Gateway } from './gateway.ts'

/** Amounts as the API shows them; only what the books compare. */
interface Amounts {
  requests: number
  tokens: number
  cost_cents: number
}

export interface CapBook {
  id: string
  cap_type: string
  current_usage: Amounts
  held: Amounts
  limits: Partial<Record<keyof Amounts, number | null>>
  window_start: string | null
  reset_time: string | null
  refused: number
  is_exceeded: boolean
}

interface UserBook {
  version: number
  status: string
  time_zone: string
  data: CapBook[]
  outbox: { waiting: number; rejected: number }
}

/** A row of `usage_events` as far as the books need it. */
export interface EventRow {
  id: string
  user_id: string
  job_id: string | null
  occurred_at: number
  outcome: string
  usage_source: string
  overrun: boolean
  revision: number
  requests: number
  tokens: number
  input_tokens: number
  output_tokens: number
  cost_nano_usd: number
}

export interface Books {
  events: EventRow[]
  /** By user id. */
  status: Map<string, UserBook>
}

/** What `checkBooks` needs of a gateway. */
export interface Audited {
  admin: Pick<Gateway['admin'], 'call'>
  postgres: { database: Pick<LocalDatabase, 'query'> }
}

export const statusOf = ({ admin }: Pick<Audited, 'admin'>, userId: string): Promise<UserBook> =>
  admin.call<UserBook>('GET', `/admin/users/${userId}/caps/status`)

/**
 * Waits until nothing is in flight and every event has arrived, then checks every user's every cap.
 *
 * @param admitted request ids of all calls that were admitted, where they are known: each has one event, and no other call has.
 * @throws {Error} naming every fault
 */
export async function checkBooks(gateway: Audited, userIds: string[], admitted?: string[]): Promise<Books> {
  const status = new Map<string, UserBook>()
  for (const id of userIds) status.set(id, await eventually(() => statusOf(gateway, id), isSettled))
  const events = await eventRowsOf(gateway, userIds)
  const faults = [...status].flatMap(([id, book]) =>
    faultsOf(
      id,
      book,
      events.filter(({ user_id }) => user_id === id),
    ),
  )
  if (admitted) faults.push(...faultsOfAdmitted(events, admitted))
  if (faults.length > 0) throw new Error(`The books are wrong:\n${faults.join('\n')}`)
  return { events, status }
}

/** Every event of these users, the oldest first. */
export async function eventRowsOf({ postgres }: Pick<Audited, 'postgres'>, userIds: string[]): Promise<EventRow[]> {
  const { rows } = await postgres.database.query({ query: SELECT_EVENTS, params: [`{${userIds.join(',')}}`] })
  return rows.map(([row]) => JSON.parse(row ?? ''))
}

const SELECT_EVENTS = `
  select json_build_object('id', id, 'user_id', user_id, 'job_id', job_id, 'outcome', outcome, 'usage_source', usage_source,
    'occurred_at', (extract(epoch from occurred_at) * 1000)::bigint, 'overrun', overrun, 'revision', revision,
    'requests', requests, 'tokens', input_tokens + output_tokens,
    'input_tokens', input_tokens, 'output_tokens', output_tokens, 'cost_nano_usd', cost_nano_usd)
  from usage_events where user_id = any($1::uuid[]) order by occurred_at, id`

/** Nothing is in flight, and no event waits. */
export const isSettled = ({ data, outbox }: UserBook) =>
  outbox.waiting === 0 && data.every(({ held }) => held.requests === 0 && held.tokens === 0 && held.cost_cents === 0)

function faultsOf(userId: string, book: UserBook, events: EventRow[]): string[] {
  const faults: string[] = []
  const say = (fault: string) => faults.push(`user ${userId}: ${fault}`)
  if (book.outbox.rejected > 0) say(`Postgres rejected ${book.outbox.rejected} events`)
  if (new Set(events.map(({ id }) => id)).size < events.length) say('a call has more than one event')
  const overrun = events.some((event) => event.overrun)
  for (const { cap_type, current_usage, limits, window_start, reset_time } of book.data) {
    const [from, to] = [Date.parse(window_start ?? '1970-01-01'), Date.parse(reset_time ?? '9999-01-01')]
    const inWindow = events.filter(({ occurred_at }) => from <= occurred_at && occurred_at < to)
    const sums = sumOf(inWindow)
    const ledger = nano(current_usage)
    for (const dimension of ['requests', 'tokens', 'cost_nano_usd'] as const) {
      if (sums[dimension] !== ledger[dimension])
        say(`${cap_type} ${dimension}: Postgres has ${sums[dimension]}, the ledger ${ledger[dimension]}`)
    }
    if (overrun) continue
    for (const dimension of ['requests', 'tokens', 'cost_cents'] as const) {
      const limit = limits[dimension] ?? null
      if (limit !== null && current_usage[dimension] > limit)
        say(`${cap_type} ${dimension}: ${current_usage[dimension]} used of ${limit}`)
    }
  }
  return faults
}

function faultsOfAdmitted(events: EventRow[], admitted: string[]): string[] {
  const recorded = new Set(events.map(({ id }) => id))
  const expected = new Set(admitted)
  return [
    ...[...expected].filter((id) => !recorded.has(id)).map((id) => `call ${id} has no event`),
    ...[...recorded].filter((id) => !expected.has(id)).map((id) => `event ${id} is of no admitted call`),
  ]
}

export function sumOf(events: EventRow[]): { requests: number; tokens: number; cost_nano_usd: number } {
  const sums = { requests: 0, tokens: 0, cost_nano_usd: 0 }
  for (const event of events) {
    sums.requests += event.requests
    sums.tokens += event.tokens
    sums.cost_nano_usd += event.cost_nano_usd
  }
  return sums
}

/** The API's cents are exact nano-dollars over ten million. */
export const nano = ({ requests, tokens, cost_cents }: Amounts) => ({
  requests,
  tokens,
  cost_nano_usd: Math.round(cost_cents * NANO_USD_PER_CENT),
})
