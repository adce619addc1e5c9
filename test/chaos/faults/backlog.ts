// 100,000 events wait in one outbox while Postgres is down. When it is back they leave in order, while calls go on, and
// workerd's memory stays flat.

import { readFileSync } from 'node:fs'
import { workerdPids } from '../../bench/processes.ts'
import { statusOf } from '../../support/books.ts'
import { eventually } from '../../support/gateway.ts'
import { amount, DRAFT, settlement } from '../../support/ledger-fixtures.ts'
import { audit, type Counted, must } from '../audit.ts'
import { sendTo, startLoad } from '../load.ts'
import { ask, openStage, type Stage, WIDE } from '../stage.ts'
import { CALL_ID_PREFIX, callId } from '../worker/call-id.ts'

const WAITING = 100_000
const AT_ONCE = 5_000
const DRAINED_WITHIN_MS = 150_000
/** The clients call now and then: it is the drain's memory that is watched. */
const PAUSE_MS = 100
/**
 * Against what workerd had taken when a tenth was drained: V8 lets that much garbage lie before it collects, and three times
 * the events take no more.
 */
const MOST_GROWTH_MB = 128

export async function manyWaiting(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stage = await openStage()
  try {
    const user = await stage.admin.user([WIDE])
    await stage.postgres.server.pause()
    const filling = Date.now()
    const usage = amount({ requests: 1, input_tokens: 3, output_tokens: 2, cost_nano_usd: 1_234 })
    const call = settlement('', 0, { draft: { ...DRAFT, user_id: user.id }, usage, hold: usage })
    for (let from = 0; from < WAITING; from += AT_ONCE)
      await ask(stage, '/chaos/settle', { settlement: call, from, count: AT_ONCE })
    const filled_s = (Date.now() - filling) / 1_000
    const { outbox } = await statusOf(stage, user.id)
    must(outbox.waiting === WAITING, `${WAITING} events wait`, outbox)

    const { arrived, order } = watchArrivals(stage)
    await stage.restart()
    const draining = Date.now()
    const load = startLoad(sendTo(stage), [user], { pause_ms: PAUSE_MS })
    await stage.postgres.server.resume()
    const rss: number[] = []
    const told = await eventually(
      async () => {
        rss.push(rssMb())
        return arrived()
      },
      (count) => count >= WAITING,
      DRAINED_WITHIN_MS,
    )
    const drained_s = (Date.now() - draining) / 1_000
    must(told >= WAITING, `all arrived within ${DRAINED_WITHIN_MS} ms`, told)
    const seen = await load.stop()
    const { counted } = await audit(stage, [user], seen)
    must(seen.refused.length + seen.failed.length === 0, 'calls go on while they leave', seen.failed.length)
    const waited = order.filter((id) => id.startsWith(CALL_ID_PREFIX))
    const misplaced = waited.findIndex((id, index) => id !== callId(index))
    must(waited.length === WAITING && misplaced < 0, 'they leave in order', { misplaced, count: waited.length })
    must(
      order.slice(0, WAITING).every((id) => id.startsWith(CALL_ID_PREFIX)),
      'no later event overtakes them',
    )
    const [early = 0, most] = [rss[Math.floor(rss.length / 10)], Math.max(...rss)]
    must(most - early <= MOST_GROWTH_MB, `workerd grew by no more than ${MOST_GROWTH_MB} MB`, { early, most })
    tell(`${WAITING.toLocaleString('en')} events in one outbox`, {
      ...counted,
      's to fill': filled_s.toFixed(1),
      's to drain': drained_s.toFixed(1),
      'MB of workerd early': early,
      'MB at most': most,
    })
  } finally {
    await stage.close()
  }
}

/** Ids in the order in which Postgres first had them. */
function watchArrivals({ postgres }: Stage): { arrived(): number; order: string[] } {
  const known = new Set<string>()
  const order: string[] = []
  postgres.server.hooks.afterQuery = async (queries) => {
    for (const { query, params } of queries) {
      if (!query.startsWith('insert into usage_events')) continue
      for (const { id } of JSON.parse(params[0] ?? '[]') as { id: string }[]) {
        if (!known.has(id)) order.push(id)
        known.add(id)
      }
    }
  }
  return { arrived: () => order.length, order }
}

/** Of all workerd that this process runs; 0 where there is no /proc. */
function rssMb(): number {
  const PAGE_BYTES = 4_096
  const pages = workerdPids().map((pid) => Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]))
  return Math.round((pages.reduce((sum, count) => sum + count, 0) * PAGE_BYTES) / 2 ** 20)
}
