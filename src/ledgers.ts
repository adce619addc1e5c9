// Where the ledgers are: a namespace of Durable Objects, in this Worker or bound from another.

import type { LedgerOf, LedgerRpc } from '../durable-objects/ledger/types.ts'

/** A `DurableObjectNamespace`, however it is typed: of another Worker's objects `wrangler types` does not know the class. */
interface LedgerNamespace<Id> {
  idFromName(name: string): Id
  get(id: Id): unknown
}

/**
 * @example
 * ```ts
 * const ledgerOf = ledgersIn(env.USAGE_LEDGER)
 * ```
 */
export function ledgersIn<Id>(namespace: LedgerNamespace<Id>): LedgerOf {
  return (subject) => namespace.get(namespace.idFromName(subject)) as LedgerRpc
}
