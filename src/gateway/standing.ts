// Whether a caller whose answer is still flowing would still be let in: keys are revoked and caps lowered meanwhile.

import type { Caller, LedgerOf } from '../../durable-objects/ledger/types.ts'

/** False once the ledger refuses this caller or a cap of theirs was lowered to nothing. A ledger that is silent says yes. */
export async function mayGoOn(ledgerOf: LedgerOf, user_id: string, caller: Caller): Promise<boolean> {
  try {
    const standing = await ledgerOf(user_id).status(caller)
    if ('refusal' in standing) return false
    return standing.caps.every(({ limits }) => Object.values(limits).every((limit) => limit > 0))
  } catch (error) {
    console.warn(JSON.stringify({ message: 'a ledger could not be asked', error: String(error) }))
    return true
  }
}
