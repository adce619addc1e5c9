// The clock of the worker and of its ledgers jumps, forwards and back, with calls in flight, and once more while Postgres
// is down. No window is exceeded, whichever it was at the time of the call.

import { setTimeout as sleep } from 'node:timers/promises'
import { type EventRow, statusOf } from '../../support/books.ts'
import { eventually } from '../../support/gateway.ts'
import { audit, type Counted, must } from '../audit.ts'
import { sendTo, startLoad, type User } from '../load.ts'
import { openStage, WIDE } from '../stage.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** How far ahead of the true time the clock is, in turn. */
const JUMPS = [5 * MINUTE, HOUR, HOUR - 90_000, -2 * HOUR, DAY + HOUR, 20 * MINUTE, 0]
/** At this jump Postgres goes down. */
const DOWN_AT = DAY + HOUR
const DOWN_MS = 3_000
const CALLS_BETWEEN = 40
const HOURLY = 30
const DAILY = 50
/** Of users whose windows `exceedsNo` reads. */
export const IN_UTC = { time_zone: 'UTC' }

export async function clockJumps(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stage = await openStage()
  try {
    const users = await Promise.all([
      stage.admin.user([WIDE]),
      stage.admin.user([WIDE]),
      stage.admin.user([{ cap_type: 'hourly', limits: { requests: HOURLY } }], IN_UTC),
      stage.admin.user([{ cap_type: 'daily', limits: { requests: DAILY } }, WIDE], IN_UTC),
    ])
    // Slow enough that every jump has calls in flight.
    stage.provider.reply = (_, usual) => ({ ...usual(), steps: [{ delay_ms: 30 }, ...usual().steps] })
    const load = startLoad(sendTo(stage), users, { clients: 3 })
    await load.more(CALLS_BETWEEN)
    for (const ahead_ms of JUMPS) {
      await stage.moveClock(ahead_ms)
      if (ahead_ms === DOWN_AT) {
        stage.postgres.server.pause()
        await sleep(DOWN_MS)
      }
      await load.more(CALLS_BETWEEN)
    }
    stage.postgres.server.resume()
    const seen = await load.stop()
    // Events leave, whatever the clock was when Postgres failed.
    await eventually(
      async () => (await Promise.all(users.map(({ id }) => statusOf(stage, id)))).filter(isWaiting).length,
      (count) => count === 0,
      60_000,
    )
    const { counted, events } = await audit(stage, users, seen)
    exceedsNo(HOUR, HOURLY, events, users[2])
    exceedsNo(DAY, DAILY, events, users[3])
    tell('clock jumps', { jumps: JUMPS.length, ...counted, corrected: events.filter((it) => it.revision > 0).length })
  } finally {
    await stage.close()
  }
}

const isWaiting = ({ outbox }: { outbox: { waiting: number } }) => outbox.waiting > 0

/** Windows of a user who lives in UTC: whole hours and days of the epoch. */
export function exceedsNo(window_ms: number, limit: number, events: EventRow[], user: User | undefined): void {
  const counts = new Map<number, number>()
  for (const { user_id, occurred_at, requests } of events) {
    if (user_id !== user?.id) continue
    const window = Math.floor(occurred_at / window_ms)
    counts.set(window, (counts.get(window) ?? 0) + requests)
  }
  must(
    [...counts.values()].every((count) => count <= limit),
    `no window of ${window_ms} ms has more than ${limit}`,
    [...counts],
  )
  must([...counts.values()].includes(limit), `a window of ${window_ms} ms was full`, [...counts])
}
