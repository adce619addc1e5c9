// The worker as it is, but for its ledgers' storage, which counts rows that are written, in tables and in indexes: GET /rows-written
// tells how many were since the last time.

import tollgate, { UsageLedger as Ledger } from '../../src/index.ts'

let cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = []

export class UsageLedger extends Ledger {
  constructor(ctx: DurableObjectState, env: Env) {
    const { sql } = ctx.storage
    const exec = (statement: string, ...bindings: SqlStorageValue[]) => {
      const cursor = sql.exec(statement, ...bindings)
      cursors.push(cursor)
      return cursor
    }
    Object.defineProperty(ctx.storage, 'sql', { value: { exec } })
    super(ctx, env)
  }
}

export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname !== '/rows-written') return tollgate.fetch(request, env, ctx)
    const rows = cursors.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0)
    cursors = []
    return Response.json(rows)
  },
} satisfies ExportedHandler<Env>
