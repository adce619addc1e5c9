// 100,000 events wait in one outbox while Postgres is down. When it is back they leave in order, while calls go on, and
// workerd's memory stays flat.
//
// Memory is looked at right after full collections of the heap. What the drain keeps is then plain: with an empty outbox there
// are 13 MB of live objects, with this one at most 1.5 more, in a process that is some 20 MB larger (12 of which it takes in as
// long a time with an empty outbox, too). Left alone, V8 lets garbage lie: the same drain then adds 65 MB and one of 300,000
// events 135, while 100,000 events that arrive without a backlog leave 240 MB behind. Nobody holds any of it.

import { setTimeout as sleep } from 'node:timers/promises'
import { type MemorySample, sampleMemory } from '../../fuzz/memory.ts'
import { statusOf } from '../../support/books.ts'
import { eventually } from '../../support/gateway.ts'
import { amount, DRAFT, settlement } from '../../support/ledger-fixtures.ts'
import { audit, type Counted, must } from '../audit.ts'
import { merged, sendTo, startLoad } from '../load.ts'
import { ask, openStage, type Stage, WIDE } from '../stage.ts'
import { CALL_ID_PREFIX, callId } from '../worker/call-id.ts'

const WAITING = 100_000
const AT_ONCE = 5_000
const DRAINED_WITHIN_MS = 150_000
/** The clients call only now and then, because it is the drain's memory that is watched. */
const PAUSE_MS = 100
/** Over an empty outbox. All events are 90 MB as text: a drain that kept a tenth of them would show. */
const MOST_HEAP_GROWTH_MB = 4
const MOST_RSS_GROWTH_MB = 48
const CALLS_BEFORE = 20
const SAMPLED_EVERY_MS = 250
const LEAST_SAMPLES = 4

export async function manyWaiting(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stage = await openStage({ inspect: true })
  try {
    const user = await stage.admin.user([WIDE])
    const before = startLoad(sendTo(stage), [user])
    await before.more(CALLS_BEFORE)
    const seenBefore = await before.stop()
    const waiting = async () => (await statusOf(stage, user.id)).outbox.waiting
    await eventually(waiting, (count) => count === 0)
    const empty = await lookAtMemory(stage)
    stage.postgres.server.pause()
    const filling = Date.now()
    const usage = amount({ requests: 1, input_tokens: 3, output_tokens: 2, cost_nano_usd: 1_234 })
    const call = settlement('', 0, { draft: { ...DRAFT, user_id: user.id }, usage, hold: usage })
    for (let from = 0; from < WAITING; from += AT_ONCE)
      await ask(stage, '/chaos/settle', { settlement: call, from, count: AT_ONCE })
    const filled_s = (Date.now() - filling) / 1_000
    must((await waiting()) === WAITING, `${WAITING} events wait`)

    const { arrived, order } = watchArrivals(stage)
    await stage.restart()
    const load = startLoad(sendTo(stage), [user], { pause_ms: PAUSE_MS })
    const draining = Date.now()
    stage.postgres.server.resume()
    const memory: MemorySample[] = []
    await eventually(
      async () => {
        const count = arrived()
        memory.push(await lookAtMemory(stage))
        await sleep(SAMPLED_EVERY_MS)
        return count
      },
      (count) => count >= WAITING,
      DRAINED_WITHIN_MS,
    )
    const drained_s = (Date.now() - draining) / 1_000
    const seen = await load.stop()
    const besides = new Set(Array.from({ length: WAITING }, (_, number) => callId(number)))
    const { counted } = await audit(stage, [user], merged(seenBefore, seen), { besides })
    const { answered, latencies_ms: _, ...others } = seen
    const missed = Object.values(others).flat()
    must(answered.length > 0 && missed.length === 0, 'calls go on while they leave', missed)
    const waited = order.filter((id) => id.startsWith(CALL_ID_PREFIX))
    const misplaced = waited.findIndex((id, index) => id !== callId(index))
    must(waited.length === WAITING && misplaced < 0, 'they leave in order', { misplaced, count: waited.length })
    must(
      order.slice(0, WAITING).every((id) => id.startsWith(CALL_ID_PREFIX)),
      'no later event overtakes them',
    )
    const more = (of: 'heap_mb' | 'rss_mb') => Math.max(...memory.map((sample) => sample[of])) - empty[of]
    const [heap, resident] = [more('heap_mb'), more('rss_mb')]
    must(memory.length >= LEAST_SAMPLES, 'memory is looked at often enough', memory)
    must(heap <= MOST_HEAP_GROWTH_MB, `live objects are no more than ${MOST_HEAP_GROWTH_MB} MB more`, { empty, memory })
    must(resident <= MOST_RSS_GROWTH_MB, `workerd is no more than ${MOST_RSS_GROWTH_MB} MB larger`, { empty, memory })
    tell(`${WAITING.toLocaleString('en')} events in one outbox`, {
      ...counted,
      's to fill': filled_s.toFixed(1),
      's to drain': drained_s.toFixed(1),
      'looks at memory': memory.length,
      'MB more of live objects': heap.toFixed(1),
      'MB more of workerd': resident,
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

/** Tries twice: the inspector of a workerd that has just started may go away once. */
function lookAtMemory(stage: Stage): Promise<MemorySample> {
  const look = () => sampleMemory(stage, 0)
  return look().catch(look)
}
