// One ledger on node:sqlite, a new one for each test, and the events that it has committed.

import { Ledger } from '../../../durable-objects/ledger/ledger.ts'
import type { Cap, UsageEvent } from '../../../durable-objects/ledger/types.ts'
import { snapshot } from '../../support/ledger-fixtures.ts'
import { type NodeSql, nodeSql } from '../../support/node-sql.ts'

export const NOON = Date.UTC(2026, 5, 15, 12, 0)
export const HOUR = 3_600_000
export const TTL = 600_000

export let sql: NodeSql
export let ledger: Ledger
export const events: UsageEvent[] = []
let uncommitted: UsageEvent[]

/** Without a user and without calls. */
export function begin(): void {
  sql = nodeSql()
  sql.onEnd = (committed) => {
    if (committed) events.push(...uncommitted)
    uncommitted = []
  }
  events.length = 0
  uncommitted = []
  restart()
}

/** A new life: memory is lost. */
export const open = (now = NOON) => new Ledger(sql, { hold_ttl_ms: TTL, emit: (event) => uncommitted.push(event) }, now)

export function restart(now = NOON): void {
  ledger = open(now)
}

export const configure = (...caps: Cap[]) => ledger.configure(snapshot(caps), NOON)
