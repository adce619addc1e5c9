// Brings a saved change into force: the user's ledger gets the new snapshot before the answer goes out.

import type { LedgerOf } from '../../durable-objects/ledger/types.ts'
import { GatewayFault } from '../fault.ts'
import type { Database } from '../postgres/client.ts'
import { loadSnapshot } from '../postgres/snapshots.ts'

const WAITS_MS = [0, 50, 250]

export interface Deps {
  db: Database
  ledgerOf: LedgerOf
}

/**
 * Call it after every commit that a ledger must know, also where the change found nothing to do: it may be the
 * repetition of one that did not come into force.
 * @throws {GatewayFault} `not_yet_in_force`
 */
export async function pushSnapshot({ db, ledgerOf }: Deps, userId: string): Promise<void> {
  let cause: unknown
  for (const wait of WAITS_MS) {
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    try {
      const snapshot = await loadSnapshot(db, userId)
      if (!snapshot || (await ledgerOf(userId).configure(snapshot))) return
      // Another change was faster: loaded again, both are in it. Unless the database has gone back to an older state.
      cause = new Error(`the ledger has a newer snapshot than version ${snapshot.version}`)
    } catch (error) {
      cause = error
    }
  }
  const message =
    'The change is saved and not yet in force. Repeat the request until it is not a 503: that brings it into force.'
  throw new GatewayFault({ code: 'not_yet_in_force', message }, { cause })
}
