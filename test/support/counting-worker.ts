// The worker as it is, but it counts what its ledgers cost besides CPU: rows that storage writes, in tables and in indexes,
// and timers, which keep a ledger awake. GET /cost returns both since it was last asked.

import tollgate, { UsageLedger as Ledger } from '../../src/index.ts'

export interface Cost {
  rows_written: number
  /** Milliseconds of each timer that was set and not cleared, whether it has rung or not. */
  timers: number[]
}

let cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = []
let timers = new Map<unknown, number>()

const { setTimeout, clearTimeout } = globalThis
Object.assign(globalThis, {
  setTimeout(handler: () => void, ms: number, ...rest: unknown[]) {
    const timer = setTimeout(handler, ms, ...(rest as []))
    timers.set(timer, ms)
    return timer
  },
  clearTimeout(timer: ReturnType<typeof setTimeout>) {
    timers.delete(timer)
    clearTimeout(timer)
  },
})

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
    if (new URL(request.url).pathname !== '/cost') return tollgate.fetch(request, env, ctx)
    const rows_written = cursors.reduce((sum, cursor) => sum + cursor.rowsWritten, 0)
    const cost: Cost = { rows_written, timers: [...timers.values()] }
    cursors = []
    timers = new Map()
    return Response.json(cost)
  },
} satisfies ExportedHandler<Env>
