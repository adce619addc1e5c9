// Where the ledgers are: a namespace of Durable Objects, in this Worker or bound from another.

import type { LedgerOf, LedgerRpc } from '../durable-objects/ledger/types.ts'

/** A `DurableObjectNamespace`, however it is typed: `wrangler types` does not know the class of another Worker's objects. */
interface LedgerNamespace<Id> {
  idFromName(name: string): Id
  get(id: Id): unknown
}

/**
 * Finds each user's ledger in a binding.
 *
 * @example
 * ```ts
 * const ledgerOf = ledgersIn(env.USAGE_LEDGER)
 * ```
 */
export function ledgersIn<Id>(namespace: LedgerNamespace<Id>): LedgerOf {
  return (subject) => namespace.get(namespace.idFromName(subject)) as LedgerRpc
}
