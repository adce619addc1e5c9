// The worker as it is, but its ledgers make some calls wait until the test lets them in: those with the session id `waits`
// before they are admitted, those with `waits-at-end` before they are settled.

import type { Ask, Decision, Settlement } from '../../durable-objects/ledger/types.ts'
import tollgate, { UsageLedger as Ledger } from '../../src/index.ts'

export class UsageLedger extends Ledger {
  #waiting = 0
  #door = Promise.withResolvers<void>()

  override async reserve(ask: Ask): Promise<Decision> {
    if (ask.draft.session_id === 'waits') await this.#wait()
    return super.reserve(ask)
  }

  override async settle(settlement: Settlement): Promise<void> {
    if (settlement.draft.session_id === 'waits-at-end') await this.#wait()
    return super.settle(settlement)
  }

  async #wait(): Promise<void> {
    this.#waiting += 1
    await this.#door.promise
  }

  async waiting(): Promise<number> {
    return this.#waiting
  }

  async letIn(): Promise<void> {
    this.#door.resolve()
    this.#door = Promise.withResolvers()
    this.#waiting = 0
  }
}

export default tollgate
