// Ledgers are killed under load again and again while the holds' time to live is long: what the crashes took with them is
// held as remnants all the while, so that each user's caps hold for whatever reached the provider, lost or not. Then the
// clock moves past the time to live: the remnants go, and the caps fill up to their last request.

import { setTimeout as sleep } from 'node:timers/promises'
import { type CapBook, nano, statusOf } from '../../support/books.ts'
import { eventually } from '../../support/gateway.ts'
import { audit, type Counted, must } from '../audit.ts'
import { merged, sendTo, startLoad, type User } from '../load.ts'
import type { Used } from '../provider-record.ts'
import { openStage, type Stage, WIDE } from '../stage.ts'

const KILLS = 12
const HOLD_TTL_S = 3_600
/** How long the load runs before each kill, in turn. In the longest, some holds are old enough to be on disk by then. */
const RUNS_MS = [2_500, 300, 100]
const SLOW_EVERY = 40
const SLOW_MS = 4_000
const CLIENTS = 6
const SAMPLED_EVERY_MS = 15
/** The cap of a user who meets it at once, and of one who meets it only after many kills. */
const FEW_REQUESTS = 60
const MANY_REQUESTS = 2_000
/** On a busy machine a user may have ten answers a second. */
const FILLED_WITHIN_MS = 300_000
const PARTS = ['requests', 'tokens', 'cost_nano_usd'] as const

export async function liveRemnants(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stage = await openStage({ vars: { HOLD_TTL_SECONDS: String(HOLD_TTL_S) } })
  try {
    const users = await Promise.all([
      stage.admin.user([WIDE]),
      stage.admin.user([{ cap_type: 'total', limits: { requests: FEW_REQUESTS } }]),
      stage.admin.user([{ cap_type: 'monthly', limits: { requests: MANY_REQUESTS } }, WIDE]),
      stage.admin.user([{ cap_type: 'total', limits: { tokens: 60_000 } }]),
      stage.admin.user([{ cap_type: 'total', limits: { cost_cents: 3 } }]),
    ])
    const limits = [FEW_REQUESTS, MANY_REQUESTS]
    const limited = users.slice(1, 3)
    let calls = 0
    stage.provider.reply = (_, usual) => {
      if (calls++ % SLOW_EVERY !== 0) return undefined
      const [first = '', ...rest] = usual().steps
      return { ...usual(), steps: [first, { delay_ms: SLOW_MS }, ...rest] }
    }
    const load = startLoad(sendTo(stage), users, { clients: CLIENTS })
    const watch = watchCaps(stage, users)
    for (let kill = 0; kill < KILLS; kill++) {
      await sleep(RUNS_MS[kill % RUNS_MS.length])
      await stage.restart()
      await load.more(1)
    }
    const seen = await load.stop()
    const { samples, breaches } = await watch.stop()
    must(
      breaches.length === 0,
      'while remnants are live, all that was forwarded is counted, and no cap exceeded',
      breaches,
    )
    const shut = await Promise.all(users.map(({ id }) => statusOf(stage, id)))
    const held = shut.map(({ data }) => Math.max(...data.map((cap) => cap.held.requests)))
    must(held[0] !== undefined && held[0] > 0, 'crashes leave something held', held)

    stage.provider.reply = undefined
    await stage.moveClock((HOLD_TTL_S + 60) * 1_000)
    const { counted: first } = await audit(stage, users, seen)
    must(Number(first['of them lost']) > 0, 'crashes lose calls', first)

    const again = startLoad(sendTo(stage), users, { clients: CLIENTS })
    const settled = () =>
      Promise.all(limited.map(async ({ id }) => (await statusOf(stage, id)).data[0]?.current_usage.requests))
    const isFull = (counts: (number | undefined)[]) => counts.every((count, index) => count === limits[index])
    // Caps fill to their last request once the remnants are gone.
    await eventually(settled, isFull, FILLED_WITHIN_MS)
    const later = await again.stop()
    const { counted } = await audit(stage, users, merged(seen, later))
    tell('remnants of ledgers killed under load', {
      kills: stage.kills.length,
      'looks at caps': samples,
      'requests shut until their time was up': held.join(' + '),
      ...counted,
    })
  } finally {
    await stage.close()
  }
}

interface Breach {
  user_id: string
  cap_type: string
  forwarded: Used
  counted: Used
  held: Used
  limits: object
}

function mostOf({ requests, tokens, cost_cents }: CapBook['limits']): Used {
  const orNone = (limit: number | null | undefined) => limit ?? Number.MAX_SAFE_INTEGER
  return nano({ requests: orNone(requests), tokens: orNone(tokens), cost_cents: orNone(cost_cents) })
}

/**
 * Compares what a user's ledger counts (settled, held, remnants) with what the provider has seen, again and again: nothing
 * that was forwarded is uncounted, and nothing beyond a cap was forwarded or settled. What is counted may pass a cap by a
 * part of a remnant, which is never less than what was in flight: then nothing is admitted.
 */
function watchCaps(stage: Stage, users: User[]): { stop(): Promise<{ samples: number; breaches: Breach[] }> } {
  const breaches: Breach[] = []
  let samples = 0
  let isOver = false
  const look = async ({ id: user_id }: User) => {
    // Before the ledger is asked: what is forwarded meanwhile need not be in its answer.
    const forwarded = stage.record.usedBy(user_id)
    const book = await statusOf(stage, user_id).catch(() => null)
    if (!book) return
    samples += 1
    for (const { cap_type, current_usage, held, limits } of book.data) {
      const [counted, inFlight] = [nano(current_usage), nano(held)]
      const most = mostOf(limits)
      const isRight = PARTS.every(
        (part) =>
          forwarded[part] <= counted[part] &&
          forwarded[part] <= most[part] &&
          counted[part] - inFlight[part] <= most[part],
      )
      if (!isRight) breaches.push({ user_id, cap_type, forwarded, counted, held: inFlight, limits })
    }
  }
  const running = Promise.all(
    users.map(async (user) => {
      while (!isOver) {
        await look(user)
        await sleep(SAMPLED_EVERY_MS)
      }
      // Once more when nothing is in flight.
      await look(user)
    }),
  )
  return {
    async stop() {
      isOver = true
      await running
      return { samples, breaches }
    },
  }
}
