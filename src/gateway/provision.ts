// Gives a ledger that does not know its user the snapshot from Postgres. The only time that a call waits for the database.

import type { LedgerOf, Refusal } from '../../durable-objects/ledger/types.ts'
import { rootCause } from '../errors.ts'
import { GatewayFault } from '../fault.ts'
import type { CallerIdentity } from '../middleware/authenticate.ts'
import { askLedger } from '../middleware/ledger-calls.ts'
import type { Database } from '../postgres/client.ts'
import { bringIntoForce } from '../postgres/snapshots.ts'
import { provisionUser } from '../postgres/users.ts'

interface Services {
  db: Database
  ledgerOf: LedgerOf
}

/**
 * True where the ledger has its user's snapshot now; false where Postgres cannot be asked (the call is refused).
 * A JWT's unknown subject becomes a user with the default caps.
 *
 * @throws {GatewayFault} `unauthenticated` where there is no such user.
 */
export async function provision(
  { db, ledgerOf }: Services,
  caller: Pick<CallerIdentity, 'user_id' | 'jwt'>,
  request_id: string | undefined,
): Promise<boolean> {
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

/**
 * Why a caller may not call, whatever its caps say; null where it may, as may a JWT's subject who is not a user yet. A key's
 * user must be known.
 * @throws {GatewayFault} `ledger_unavailable`, and what `provision` throws.
 */
export async function callerRefusal(
  services: Services,
  { user_id, key_id }: Pick<CallerIdentity, 'user_id' | 'key_id'>,
  request_id: string | undefined,
): Promise<Refusal | null> {
  const refusal = async () => {
    const answer = await askLedger(() => services.ledgerOf(user_id).status({ key_id, scope: 'call' }))
    return 'refusal' in answer ? answer.refusal : null
  }
  const first = await refusal()
  if (first?.reason !== 'no_config') return first
  if (key_id === null) return null
  return (await provision(services, { user_id, jwt: null }, request_id)) ? refusal() : first
}
