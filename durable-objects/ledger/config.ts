// The snapshot that a ledger decides by: one row, kept in memory.

import type { Sql } from './sql.ts'
import type { Snapshot } from './types.ts'

const SELECT = 'select snapshot, fetched_at from config'
const SAVE = `
  insert into config (id, snapshot, fetched_at) values (1, ?, ?)
  on conflict (id) do update set snapshot = excluded.snapshot, fetched_at = excluded.fetched_at`
const FORGET = 'delete from config'

interface ConfigRow {
  snapshot: string
  fetched_at: number
}

export class Config {
  readonly #sql: Sql
  #snapshot: Snapshot | null = null
  #fetchedAt: number | null = null

  constructor(sql: Sql) {
    this.#sql = sql
    const [row] = sql.all<ConfigRow>(SELECT)
    if (!row) return
    this.#snapshot = JSON.parse(row.snapshot)
    this.#fetchedAt = row.fetched_at
  }

  /** Null where the ledger does not know its user. */
  get snapshot(): Snapshot | null {
    return this.#snapshot
  }

  /** When the snapshot was last confirmed; null where there is none. */
  get fetchedAt(): number | null {
    return this.#fetchedAt
  }

  /** Keeps the one that it has where that is newer; null forgets it. Returns the version that it has then, 0 for none. */
  take(snapshot: Snapshot | null, now: number): number {
    const { version = 0 } = this.#snapshot ?? {}
    if (snapshot && snapshot.version < version) return version
    if (snapshot) this.#sql.all(SAVE, JSON.stringify(snapshot), now)
    else if (this.#snapshot) this.#sql.all(FORGET)
    this.#snapshot = snapshot
    this.#fetchedAt = snapshot && now
    return snapshot?.version ?? 0
  }
}
