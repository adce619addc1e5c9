// Postgres stopped, slow, refusing, full, and losing its answers. Calls go on, caps hold, every event arrives once.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Query } from '../../../src/local/database.ts'
import { statusOf } from '../../support/books.ts'
import { eventually } from '../../support/gateway.ts'
import { audit, type Counted, must } from '../audit.ts'
import { sendTo, startLoad } from '../load.ts'
import { fourUsers, openStage, type Stage } from '../stage.ts'

const CALLS_BEFORE = 50
const CALLS_DURING = 200
const CALLS_AFTER = 50
const TROUBLE_MS = 4_000
const SLOW_MS = 2_000

export interface Trouble {
  begin(stage: Stage): Promise<unknown>
  end(stage: Stage): Promise<unknown>
  /** True where no event reaches Postgres while it lasts. */
  blocks: boolean
}

const sql = ({ postgres }: Stage, query: string) => postgres.database.query({ query, params: [] })

/** Postgres itself refuses every insert of events with this SQLSTATE. */
const refusing = (sqlState: string): Trouble => ({
  async begin(stage) {
    await sql(
      stage,
      `create function trouble() returns trigger language plpgsql as
       $$ begin raise exception 'made by a test' using errcode = '${sqlState}'; end $$`,
    )
    await sql(
      stage,
      'create trigger trouble before insert on usage_events for each statement execute function trouble()',
    )
  },
  end: (stage) => sql(stage, 'drop function trouble cascade'),
  blocks: true,
})

const isInsert = (queries: Query[]) => queries.some(({ query }) => query.startsWith('insert into usage_events'))

/** Every second insert loses its connection. */
const dropping = (when: 'beforeQuery' | 'afterQuery'): Trouble => {
  let inserts = 0
  return {
    async begin({ postgres }) {
      postgres.server.hooks[when] = async (queries) => {
        if (isInsert(queries) && inserts++ % 2 === 0) throw new Error('a wire broke')
      }
    },
    async end({ postgres }) {
      delete postgres.server.hooks[when]
      must(inserts > 1, 'inserts lost their connection', inserts)
    },
    blocks: false,
  }
}

export const TROUBLES: Record<string, Trouble> = {
  stopped: {
    begin: async ({ postgres }) => postgres.server.pause(),
    end: async ({ postgres }) => postgres.server.resume(),
    blocks: true,
  },
  'slow, 2 s a query': {
    async begin({ postgres }) {
      postgres.server.hooks.beforeQuery = () => sleep(SLOW_MS)
    },
    async end({ postgres }) {
      delete postgres.server.hooks.beforeQuery
    },
    blocks: false,
  },
  'refusing queries (57P03)': refusing('57P03'),
  'full (53100)': refusing('53100'),
  'dropping connections before the insert': dropping('beforeQuery'),
  'dropping connections after the commit': dropping('afterQuery'),
}

export async function postgresTroubles(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stage = await openStage()
  try {
    for (const [name, trouble] of Object.entries(TROUBLES)) tell(`Postgres ${name}`, await withTrouble(stage, trouble))
  } finally {
    await stage.close()
  }
}

async function withTrouble(stage: Stage, trouble: Trouble): Promise<Counted> {
  const users = await fourUsers(stage.admin)
  const load = startLoad(sendTo(stage), users)
  await load.more(CALLS_BEFORE)
  await trouble.begin(stage)
  const over = sleep(TROUBLE_MS)
  const before = load.seen.latencies_ms.length
  await load.more(CALLS_DURING)
  await over
  const latencies = load.seen.latencies_ms.slice(before).toSorted((one, other) => one - other)
  const p99 = latencies[Math.floor(latencies.length * 0.99)] ?? 0
  const waiting = async () => {
    const books = await Promise.all(users.map(({ id }) => statusOf(stage, id)))
    return books.reduce((sum, { outbox }) => sum + outbox.waiting, 0)
  }
  if (trouble.blocks) await eventually(waiting, (count) => count > 0)
  await trouble.end(stage)
  await load.more(CALLS_AFTER)
  const seen = await load.stop()
  must(p99 < SLOW_MS, 'no call waits for Postgres', { p99 })
  const { counted, events } = await audit(stage, users, seen)
  must(
    events.every(({ outcome }) => outcome !== 'expired' || seen.failed.length > 0),
    'no call was charged its hold',
  )
  return { ...counted, 'ms p99': Math.round(p99) }
}
