// Tells a ledger that does not know its user yet, from Postgres. The only time that a call waits for the database.

import type { LedgerOf } from '../../durable-objects/ledger/types.ts'
import { rootCause } from '../errors.ts'
import { GatewayFault } from '../fault.ts'
import type { CallerIdentity } from '../middleware/authenticate.ts'
import type { Database } from '../postgres/client.ts'
import { bringIntoForce } from '../postgres/snapshots.ts'
import { provisionUser } from '../postgres/users.ts'

/**
 * True where the ledger has its user's snapshot now; false where Postgres cannot be asked (the call is refused).
 * A JWT's unknown subject becomes a user with the default caps.
 *
 * @throws {GatewayFault} `unauthenticated` where there is no such user.
 */
export async function provision(
  services: { db: Database; ledgerOf: LedgerOf },
  caller: Pick<CallerIdentity, 'user_id' | 'jwt'>,
  request_id: string | undefined,
): Promise<boolean> {
  const { db, ledgerOf } = services
  try {
    if (caller.jwt) await provisionUser(db, { id: caller.user_id, ...caller.jwt })
    const snapshot = await bringIntoForce(db, caller.user_id, ledgerOf(caller.user_id))
    if (!snapshot) throw new GatewayFault({ code: 'unauthenticated', message: 'This user does not exist.' })
    return true
  } catch (error) {
    if (error instanceof GatewayFault) throw error
    const { user_id } = caller
    const message = 'could not provision a ledger'
    console.error(JSON.stringify({ message, request_id, user_id, error: String(rootCause(error)) }))
    return false
  }
}
