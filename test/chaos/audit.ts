// The check after a fault: the books are exact, and every call that a client made is where it belongs, see ./match.ts.

import { type Audited, checkBooks, type EventRow, isSettled, statusOf } from '../support/books.ts'
import { eventually } from '../support/gateway.ts'
import type { Seen, User } from './load.ts'
import { CLASSES, type Evidence, type Kill, matchCalls } from './match.ts'
import type { ProviderRecord } from './provider-record.ts'

/** What was counted, in the order in which it is printed. */
export type Counted = Record<string, number | string>

/** @throws {Error} unless it holds. */
export function must(holds: boolean, promise: string, evidence?: unknown): asserts holds {
  if (!holds)
    throw new Error(evidence === undefined ? promise : `${promise}: ${JSON.stringify(evidence).slice(0, 2_000)}`)
}

/** What is audited, with what the provider knows and when everything died. */
export interface Witnessed extends Audited {
  record: ProviderRecord
  kills: Kill[]
}

type AuditOptions = Pick<Evidence, 'provider_went' | 'some_break_off' | 'besides' | 'ledger_losses'>

/** Long, because an outbox that met failures waits before it tries again. */
const SETTLED_WITHIN_MS = 60_000
const MOST_FAULTS_TOLD = 10

/**
 * No user's settled usage is above a cap, ledgers and Postgres agree to the nano-dollar, and call by call the events are
 * those that they must be. `seen`: every call that clients made as these users.
 */
export async function audit(
  stage: Witnessed,
  users: User[],
  seen: Seen,
  options: AuditOptions = {},
): Promise<{ counted: Counted; events: EventRow[] }> {
  const ids = users.map(({ id }) => id)
  await Promise.all(ids.map((id) => eventually(() => statusOf(stage, id), isSettled, SETTLED_WITHIN_MS)))
  const { events } = await checkBooks(stage, ids)
  const forwarded = stage.record.forwarded.filter(({ user_id }) => ids.includes(user_id))
  const { classes, lost, faults } = matchCalls({ seen, events, forwarded, kills: stage.kills, ...options })
  if (faults.length > 0)
    throw new Error(`${faults.length} faults, call by call:\n${faults.slice(0, MOST_FAULTS_TOLD).join('\n')}`)
  const told = CLASSES.flatMap((name) => (classes[name] ? [[name, classes[name]] as const] : []))
  const calls = told.reduce((sum, [, count]) => sum + count, 0)
  return {
    counted: {
      calls,
      ...Object.fromEntries(told),
      forwarded: forwarded.length,
      ...(stage.kills.length > 0 && { 'of them lost': lost }),
      events: events.length,
    },
    events,
  }
}
