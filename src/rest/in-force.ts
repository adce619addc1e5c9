// Brings a saved change into force: the user's ledger gets the new snapshot before the answer goes out.

import type { LedgerOf } from '../../durable-objects/ledger/types.ts'
import { GatewayFault } from '../fault.ts'
import type { Database } from '../postgres/client.ts'
import { bringIntoForce } from '../postgres/snapshots.ts'

const WAITS_MS = [0, 50, 250]

export interface Deps {
  db: Database
  ledgerOf: LedgerOf
}

/**
 * Call it after every commit that a ledger must know, also where the change found nothing to do: it may be the
 * repetition of one that did not come into force, and where there is no such user: a ledger may know one whom a restored
 * database has lost.
 * @throws {GatewayFault} `not_yet_in_force`
 */
export async function pushSnapshot({ db, ledgerOf }: Deps, userId: string): Promise<void> {
  let cause: unknown
  for (const wait of WAITS_MS) {
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    try {
      if (await bringIntoForce(db, userId, ledgerOf(userId))) return
      await ledgerOf(userId).configure(null)
      // Who came meanwhile is known again.
      await bringIntoForce(db, userId, ledgerOf(userId))
      return
    } catch (error) {
      cause = error
    }
  }
  throw notYetInForce(cause)
}

/**
 * Not "your change is saved": where the change was refused, what is saved may be the same change, made by an earlier request.
 */
export function notYetInForce(cause: unknown): GatewayFault {
  const message =
    'What is saved is not yet in force. Repeat the request until it is not a 503: that brings it into force.'
  return new GatewayFault({ code: 'not_yet_in_force', message }, { cause })
}
