// Postgres as an outbox finds it, with what the statement of the usage writer promises: a higher revision replaces a lower.

import type { UsageEvent } from '../../../durable-objects/ledger/types.ts'

export const POSTGRES_STATES = ['up', 'down', 'mute', 'slow'] as const
/** `mute`: it takes the events, but its answer is lost. `slow`: it takes them, and answers, when it is something else. */
export type PostgresState = (typeof POSTGRES_STATES)[number]

export class ModelPostgres {
  readonly rows = new Map<string, UsageEvent>()
  #state: PostgresState = 'up'
  #resume: (() => void)[] = []

  set state(state: PostgresState) {
    this.#state = state
    if (state === 'slow') return
    for (const resume of this.#resume) resume()
    this.#resume = []
  }

  async write(events: UsageEvent[]): Promise<void> {
    if (this.#state === 'slow') await new Promise<void>((resolve) => this.#resume.push(resolve))
    if (this.#state === 'down') throw new Error('Postgres is down')
    for (const event of events) {
      const known = this.rows.get(event.id)
      if (!known || known.revision < event.revision) this.rows.set(event.id, event)
    }
    if (this.#state === 'mute') throw new Error('the answer is lost')
  }
}
