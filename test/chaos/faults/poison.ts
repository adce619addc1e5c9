// Events that Postgres rejects: set aside where the operator sees them, in nobody's way, and in once Postgres takes them.

import { eventRowsOf, statusOf } from '../../support/books.ts'
import { eventually } from '../../support/gateway.ts'
import { audit, type Counted, must } from '../audit.ts'
import { merged, sendTo, startLoad } from '../load.ts'
import { openStage, WIDE } from '../stage.ts'

const CALLS = 300
/** One call in so many is poisoned. */
const ONE_IN = 25
const POISON = 'poison'
/** By then, events that were set aside are tried again. */
const TRIED_AGAIN_MS = 61 * 60_000

export async function poisonedEvent(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stage = await openStage()
  try {
    const sql = (query: string) => stage.postgres.database.query({ query, params: [] })
    await sql(`alter table usage_events add constraint no_poison check (session_id <> '${POISON}')`)
    const users = await Promise.all([1, 2, 3, 4].map(() => stage.admin.user([WIDE])))
    const ids = users.map(({ id }) => id)
    let sent = 0
    const headers = () => ({ 'x-tollgate-session-id': sent++ % ONE_IN === 0 ? POISON : 'fits' })
    const load = startLoad(sendTo(stage), users, { headers })
    await load.more(CALLS)
    const seen = await load.stop()

    const outboxes = async () => {
      const books = await Promise.all(ids.map((id) => statusOf(stage, id)))
      return {
        waiting: books.reduce((sum, { outbox }) => sum + outbox.waiting, 0),
        rejected: books.reduce((sum, { outbox }) => sum + outbox.rejected, 0),
      }
    }
    // A poisoned event blocks nothing behind it.
    const { rejected } = await eventually(outboxes, (now) => now.waiting === 0, 30_000)
    const arrived = (await eventRowsOf(stage, ids)).length
    must(rejected > 0, 'poisoned events are visible', rejected)
    must(arrived + rejected === seen.answered.length, 'all others are in Postgres', {
      arrived,
      rejected,
      answered: seen.answered.length,
    })

    await sql('alter table usage_events drop constraint no_poison')
    await stage.moveClock(TRIED_AGAIN_MS)
    const again = startLoad(sendTo(stage), users)
    await again.more(50)
    const later = await again.stop()
    // What was set aside is tried again.
    await eventually(outboxes, (now) => now.waiting + now.rejected === 0, 30_000)
    const { counted } = await audit(stage, users, merged(seen, later))
    tell('events that Postgres rejects', { ...counted, 'set aside meanwhile': rejected })
  } finally {
    await stage.close()
  }
}
