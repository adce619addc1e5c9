// A ledger's storage on node:sqlite, with a way to crash at any statement.

import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Sql, SqlValue } from '../../durable-objects/ledger/sql.ts'

export class Crash extends Error {}

export interface NodeSql extends Sql {
  /** The n-th statement from now (0: the next) throws `Crash`; null: none. */
  crashAfter(statements: number | null): void
  /** Reads without a step towards a crash. */
  peek<Row>(statement: string, ...bindings: SqlValue[]): Row[]
  /** Told how each transaction ended. */
  onEnd: (committed: boolean) => void
  close(): void
}

export function nodeSql(): NodeSql {
  const database = new DatabaseSync(':memory:')
  const prepared = new Map<string, StatementSync>()
  let left: number | null = null
  const step = () => {
    if (left === null) return
    if (left === 0) throw new Crash()
    left -= 1
  }
  const sql: NodeSql = {
    onEnd: () => undefined,
    all<Row>(statement: string, ...bindings: SqlValue[]) {
      step()
      return sql.peek<Row>(statement, ...bindings)
    },
    peek<Row>(statement: string, ...bindings: SqlValue[]) {
      const known = prepared.get(statement) ?? database.prepare(statement)
      prepared.set(statement, known)
      return known.all(...bindings) as Row[]
    },
    transaction(body) {
      database.exec('begin')
      try {
        body()
        step()
        database.exec('commit')
        sql.onEnd(true)
      } catch (error) {
        if (database.isTransaction) database.exec('rollback')
        sql.onEnd(false)
        throw error
      }
    },
    crashAfter(statements) {
      left = statements
    },
    close() {
      database.close()
    },
  }
  return sql
}
