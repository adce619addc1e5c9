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
 * Runs a change, then `enforce`, even if the change was refused: it may repeat one that was saved but did not come into
 * force.
 * @throws what `refusalOf` makes of the change's error; the error itself, at once, where that is null.
 */
export async function changeInForce<T>(
  change: () => Promise<T>,
  refusalOf: (error: unknown) => GatewayFault | null,
  enforce: () => Promise<void>,
): Promise<T> {
  const result = await change().catch(async (error) => {
    const refusal = refusalOf(error)
    if (refusal) await enforce()
    throw refusal ?? error
  })
  await enforce()
  return result
}

/**
 * Call it after every commit that a ledger must know; also if the change found nothing to do, as it may repeat one that did
 * not come into force; and if there is no such user, as a ledger may know one whom a restored database has lost.
 * @throws {GatewayFault} `not_yet_in_force`
 */
export async function pushSnapshot({ db, ledgerOf }: Deps, userId: string): Promise<void> {
  await untilInForce(WAITS_MS, async () => {
    if (!(await bringIntoForce(db, userId, ledgerOf(userId)))) {
      await ledgerOf(userId).configure(null)
      // The user may have been created meanwhile.
      await bringIntoForce(db, userId, ledgerOf(userId))
    }
    return true
  })
}

/** Tries once after each wait, until `isInForce` is true. @throws {GatewayFault} `not_yet_in_force` */
export async function untilInForce(waits_ms: number[], isInForce: () => Promise<boolean>): Promise<void> {
  let cause: unknown
  for (const wait of waits_ms) {
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    try {
      if (await isInForce()) return
    } catch (error) {
      cause = error
    }
  }
  // Not "your change is saved": where it was refused, what is saved may be the same change, made by an earlier request.
  const message =
    'What is saved is not yet in force. Repeat the request until it is not a 503: that brings it into force.'
  throw new GatewayFault({ code: 'not_yet_in_force', message }, { cause })
}
