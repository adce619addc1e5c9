// The ledgers' memory is lost at every point at which a call, a drain, a refresh or an admin's change waits for somebody
// else. The point is held from outside (by the provider or by Postgres), workerd is ended there as kill -9 would, and
// comes back on the same storage. In the end ledgers alone are evicted, while the worker and its calls live on.

import type { Query } from '../../../src/local/database.ts'
import { statusOf } from '../../support/books.ts'
import { eventually } from '../../support/gateway.ts'
import { audit, type Counted, must } from '../audit.ts'
import { callOnce, nothingSeen, type Seen, type Send, sendTo, startLoad, type User } from '../load.ts'
import { JSON_KIND, STREAM_KIND } from '../request.ts'
import { fourUsers, openStage, type Stage, WIDE } from '../stage.ts'

const ROUNDS = 3
const CALLS_BETWEEN = 30
/** Longer than a snapshot stays fresh. */
const STALE_MS = 6 * 60_000

interface Trial {
  stage: Stage
  victim: User
  /** Lets the victim call, and writes down what it saw. */
  call(kind: 'json' | 'stream'): void
  /** Stops here until `release`. */
  hold: Hold
}

interface Hold {
  isReached: boolean
  /** Called at the point; settles with `release`. */
  stop(): Promise<void>
  release(): void
}

/** Each brings the victim's ledger to its point. */
const POINTS: Record<string, (trial: Trial) => void | Promise<void>> = {
  'reserved, provider silent': ({ stage, victim, call, hold }) => {
    stage.provider.reply = ({ body }, usual) => {
      if (!body.includes(victim.id)) return undefined
      return { ...usual(), steps: [{ until: hold.stop() }, ...usual().steps] }
    }
    call('json')
  },
  'in the middle of a stream': ({ stage, victim, call, hold }) => {
    stage.provider.reply = ({ body }, usual) => {
      if (!body.includes(victim.id)) return undefined
      const [first, ...rest] = usual().steps
      return { ...usual(), steps: [first ?? '', { until: hold.stop() }, ...rest] }
    }
    call('stream')
  },
  'settled, insert on its way': ({ stage, victim, call, hold }) => {
    stage.postgres.server.hooks.beforeQuery = at(insertOf(victim), hold)
    call('json')
  },
  'insert committed, answer not yet back': ({ stage, victim, call, hold }) => {
    stage.postgres.server.hooks.afterQuery = at(insertOf(victim), hold)
    call('stream')
  },
  'snapshot refresh asked': async (trial) => {
    trial.stage.postgres.server.hooks.beforeQuery = at(snapshotOf(trial.victim), trial.hold)
    await makeStale(trial)
  },
  'snapshot refresh answered, answer not yet back': async (trial) => {
    trial.stage.postgres.server.hooks.afterQuery = at(snapshotOf(trial.victim), trial.hold)
    await makeStale(trial)
  },
  'admin change committed, not yet pushed': ({ stage, victim, hold }) => {
    stage.postgres.server.hooks.afterQuery = at(changeOf(victim), hold)
    stage.admin.call('POST', `/admin/users/${victim.id}/caps`, LATE_CAP).catch(() => undefined)
  },
  'hold expired, insert on its way': ({ stage, victim, call, hold }) => {
    const { promise: never } = Promise.withResolvers<void>()
    stage.provider.reply = ({ body }, usual) =>
      body.includes(victim.id) ? { ...usual(), steps: [{ until: never }] } : undefined
    stage.postgres.server.hooks.beforeQuery = at(insertOf(victim), hold)
    call('json')
  },
}

const LATE_CAP = { cap_type: 'daily', limits: { requests: 1_000 } }

const at = (isPoint: (query: Query) => boolean, hold: Hold) => async (queries: Query[]) => {
  if (queries.some(isPoint)) await hold.stop()
}
const names = (query: Query, { id }: User) => query.params.some((param) => param?.includes(id))
const insertOf = (victim: User) => (query: Query) =>
  query.query.startsWith('insert into usage_events') && names(query, victim)
const snapshotOf = (victim: User) => (query: Query) =>
  /^\s*select version, status/.test(query.query) && names(query, victim)
const changeOf = (victim: User) => (query: Query) => /insert into "?caps"?/i.test(query.query) && names(query, victim)

async function makeStale({ stage, call }: Trial): Promise<void> {
  stage_ms += STALE_MS
  await stage.moveClock(stage_ms)
  call('json')
}
/** Only ever forwards, so that every snapshot is stale once more. */
let stage_ms = 0

export async function lostMemory(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stage = await openStage()
  stage_ms = 0
  try {
    const send = sendTo(stage)
    const users = await fourUsers(stage.admin)
    const load = startLoad(send, users)
    const victims: User[] = []
    let restarts = 0
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, reach] of Object.entries(POINTS)) {
        await load.more(CALLS_BETWEEN)
        const victim = await stage.admin.user([WIDE])
        victims.push(victim)
        await loseAt(stage, send, { name, reach, victim, seen: load.seen })
        restarts += 1
      }
    }
    await load.more(CALLS_BETWEEN)
    const seen = await load.stop()
    const { counted } = await audit(stage, [...users, ...victims], seen)
    tell(`memory lost at ${Object.keys(POINTS).length} await points`, { restarts, ...counted })
    tell('a ledger evicted under a call that lives on', await evictions(stage, send))
  } finally {
    await stage.close()
  }
}

interface Loss {
  name: string
  reach: (trial: Trial) => void | Promise<void>
  victim: User
  seen: Seen
}

async function loseAt(stage: Stage, send: Send, { name, reach, victim, seen }: Loss): Promise<void> {
  const hold = newHold()
  const calls: Promise<unknown>[] = []
  const call = (kind: 'json' | 'stream') => {
    calls.push(callOnce(send, victim, kind === 'stream' ? STREAM_KIND : JSON_KIND, {}, seen))
  }
  await reach({ stage, victim, call, hold })
  await eventually(
    async () => ({ name, isReached: hold.isReached }),
    ({ isReached }) => isReached,
  )
  await stage.restart()
  hold.release()
  await Promise.all(calls)
  stage.provider.reply = undefined
  delete stage.postgres.server.hooks.beforeQuery
  delete stage.postgres.server.hooks.afterQuery

  if (!name.startsWith('admin change')) return
  // Saved and not in force: the operator repeats it, is told that it is there already, and has it in force.
  const capTypes = async () => (await statusOf(stage, victim.id)).data.map(({ cap_type }) => cap_type)
  const repeated = await stage.admin.call('POST', `/admin/users/${victim.id}/caps`, LATE_CAP).catch(String)
  must(String(repeated).includes('409'), 'the repeated change was already saved', repeated)
  must((await capTypes()).includes('daily'), 'the repeated change is in force')
}

function newHold(): Hold {
  const { promise, resolve } = Promise.withResolvers<void>()
  const hold: Hold = {
    isReached: false,
    stop() {
      hold.isReached = true
      return promise
    },
    release: resolve,
  }
  return hold
}

/** Evicts as workerd itself does, which takes ten seconds: the worker keeps its calls and settles them with a new ledger. */
async function evictions(stage: Stage, send: Send): Promise<Counted> {
  const victims = [await stage.admin.user([WIDE]), await stage.admin.user([WIDE])]
  const seen = nothingSeen()
  const hold = newHold()
  stage.provider.reply = (_, usual) => {
    const [first, ...rest] = usual().steps
    return {
      ...usual(),
      steps: rest.length > 0 ? [first ?? '', { until: hold.stop() }, ...rest] : [{ until: hold.stop() }, first ?? ''],
    }
  }
  const before = stage.provider.requests.length
  const calls = victims.map((victim, index) => callOnce(send, victim, index, {}, seen))
  await eventually(
    async () => stage.provider.requests.length - before,
    (count) => count === victims.length,
  )
  await Promise.all(victims.map(({ id }) => stage.evict(id)))
  hold.release()
  await Promise.all(calls)
  must(seen.answered.length === victims.length, 'calls outlive their ledgers', seen)
  const { counted, events } = await audit(stage, victims, seen)
  must(
    events.every(({ outcome, usage_source }) => outcome === 'settled' && usage_source === 'reported'),
    'they are charged as reported',
    events,
  )
  return { evictions: victims.length, ...counted }
}
