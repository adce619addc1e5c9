// The worker as it is, but its ledgers' disk fails the commit that settles a call with the session id `disk-fails`.

import type { Settlement } from '../../durable-objects/ledger/types.ts'
import tollgate, { UsageLedger as Ledger } from '../../src/index.ts'

export class UsageLedger extends Ledger {
  /** What is written in one turn commits together, or not at all. */
  override async settle(settlement: Settlement): Promise<void> {
    await super.settle(settlement)
    if (settlement.draft.session_id !== 'disk-fails') return
    const { sql } = this.ctx.storage
    sql.exec('create table if not exists parent (id integer primary key)')
    sql.exec('create table if not exists child (id integer references parent (id))')
    sql.exec('pragma defer_foreign_keys = on')
    sql.exec('insert into child values (1)')
  }
}

export default tollgate
