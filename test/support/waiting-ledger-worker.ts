// The worker as it is, but for a ledger that lets calls with this session id wait until the test says so.

import type { Ask, Decision } from '../../durable-objects/ledger/types.ts'
import tollgate, { UsageLedger as Ledger } from '../../src/index.ts'

export class UsageLedger extends Ledger {
  #waiting = 0
  #door = Promise.withResolvers<void>()

  override async reserve(ask: Ask): Promise<Decision> {
    if (ask.draft.session_id === 'waits') {
      this.#waiting += 1
      await this.#door.promise
    }
    return super.reserve(ask)
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
