// What one call costs a ledger in CPU: the same policy as in a Durable Object, alone, on node:sqlite in memory.

import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { Ledger } from '../../durable-objects/ledger/ledger.ts'
import type { Sql } from '../../durable-objects/ledger/sql.ts'
import { CAP_TYPES } from '../../durable-objects/ledger/types.ts'
import { Outbox } from '../../durable-objects/outbox.ts'
import { admitted, amount, ask, cap, settlement, snapshot } from '../support/ledger-fixtures.ts'

/** Microseconds of CPU for one reserve and one settle, event in the outbox, under five caps of three dimensions. */
export function ledgerCost(calls: number): number {
  const sql = cachedSql(new DatabaseSync(':memory:'))
  const outbox = new Outbox(sql, { write: async () => undefined, now: Date.now, random: Math.random })
  const ledger = new Ledger(sql, { hold_ttl_ms: 1_200_000, emit: (event) => outbox.append(event) }, 0)
  const limits = { requests: 1e9, tokens: 1e12, cost: 1e15 }
  ledger.configure(snapshot(CAP_TYPES.map((type) => cap(type, limits))), 0)

  const usage = amount({ requests: 1, input_tokens: 180, output_tokens: 40, cost_nano_usd: 51_000 })
  const output = { max_tokens: 256, min_tokens: 16, choices: 1, nano_usd_per_mtok: 600_000_000 }
  const call = (now: number) => {
    const asked = ask(`call-${now}`, { input_tokens: 700, input_cost_nano_usd: 105_000, output })
    const { hold, epoch } = admitted(ledger.reserve(asked, now))
    ledger.settle([settlement(asked.request_id, now, { usage, hold, epoch })], now)
  }
  const warmUp = Math.ceil(calls / 10)
  for (let now = 0; now < warmUp; now++) call(now)
  const before = process.cpuUsage()
  for (let now = warmUp; now < warmUp + calls; now++) call(now)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / calls
}

/** Statements are prepared once, as a Durable Object's storage does. */
function cachedSql(database: DatabaseSync): Sql {
  const prepared = new Map<string, StatementSync>()
  return {
    all<Row>(statement: string, ...bindings: (string | number | null)[]) {
      const known = prepared.get(statement) ?? database.prepare(statement)
      prepared.set(statement, known)
      return known.all(...bindings) as Row[]
    },
    transaction(body) {
      database.exec('begin')
      body()
      database.exec('commit')
    },
  }
}
