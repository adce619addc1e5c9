// After a fault: exact books, and each call that a client saw where it belongs.

import { type Audited, checkBooks, type EventRow, statusOf, type UserBook } from '../support/books.ts'
import { eventually } from '../support/gateway.ts'
import type { Seen, User } from './load.ts'

/** What was counted, in the order in which it is told. */
export type Counted = Record<string, number | string>

/** @throws {Error} unless it holds. */
export function must(holds: boolean, promise: string, evidence?: unknown): asserts holds {
  if (!holds)
    throw new Error(evidence === undefined ? promise : `${promise}: ${JSON.stringify(evidence).slice(0, 2_000)}`)
}

export interface AuditOptions {
  /**
   * Nothing was killed, so that every call had an answer: the events are those of the calls that were admitted, no more.
   * A call that failed is one of them where the provider may have been reached.
   */
  exact?: boolean
  /** For what waits to arrive: an outbox that met failures is patient. */
  within_ms?: number
}

/**
 * Every call with a 200 has one event, no refused call has one, and ledgers and Postgres agree to the nano-dollar.
 * Answers that broke off because Tollgate itself was killed need none.
 */
export async function audit(
  gateway: Audited,
  users: User[],
  seen: Seen,
  { exact = false, within_ms = 60_000 }: AuditOptions = {},
): Promise<{ counted: Counted; events: EventRow[] }> {
  const ids = users.map(({ id }) => id)
  const isSettled = ({ outbox, data }: UserBook) =>
    outbox.waiting === 0 && data.every(({ held }) => held.requests === 0)
  const stuck = (
    await Promise.all(ids.map((id) => eventually(() => statusOf(gateway, id), isSettled, within_ms)))
  ).filter((book) => !isSettled(book))
  must(stuck.length === 0, `${stuck.length} ledgers do not come to rest within ${within_ms} ms`, stuck)
  const { events } = await checkBooks(gateway, ids)
  const recorded = new Set(events.map(({ id }) => id))
  const mustHave = exact ? [...seen.answered, ...seen.begun] : seen.answered
  const lost = mustHave.filter((id) => !recorded.has(id))
  must(lost.length === 0, `${lost.length} calls with a 200 have no event`, lost)
  const wrong = seen.refused.filter((id) => recorded.has(id))
  must(wrong.length === 0, `${wrong.length} refused calls have an event`, wrong)
  if (exact) {
    const known = new Set([...mustHave, ...seen.failed])
    const unknown = [...recorded].filter((id) => !known.has(id))
    must(unknown.length === 0, `${unknown.length} events are of no call that a client made`, unknown)
    must(seen.unanswered === 0, `${seen.unanswered} calls had no answer`)
  }
  must(new Set(seen.answered).size === seen.answered.length, 'a request id was given twice')
  const { answered, begun, refused, failed, unanswered } = seen
  const calls = answered.length + begun.length + refused.length + failed.length + unanswered
  return {
    counted: {
      calls,
      '200s': answered.length + begun.length,
      refused: refused.length,
      failed: failed.length + unanswered,
      events: events.length,
    },
    events,
  }
}
