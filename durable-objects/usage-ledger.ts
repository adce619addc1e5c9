// The Durable Object around a ledger: RPC, the alarm and background work. All policy is in ./ledger/.
//
// One per subject, because a Durable Object runs one event at a time over storage of its own: a decision over every cap
// needs no lock and no second hop. The output gate holds each answer back until all earlier writes are on disk, those of
// other calls too: so nobody hears of a hold in memory before its ceiling is there.

import { DurableObject } from 'cloudflare:workers'
import { type Config, ConfigError, DEFAULT_HOLD_TTL_SECONDS, parseWorkerConfig } from '../src/config.ts'
import { rootCause } from '../src/errors.ts'
import { conclusionOf } from '../src/gateway/overdue.ts'
import { type Database, openDatabase } from '../src/postgres/client.ts'
import { insertsInto } from '../src/postgres/shared-inserts.ts'
import { bringIntoForce } from '../src/postgres/snapshots.ts'
import { MOST_EVENTS } from '../src/postgres/usage-writer.ts'
import { pricesIn } from '../src/pricing/price-store.ts'
import { Alarm } from './alarm.ts'
import { Ledger } from './ledger/ledger.ts'
import type { Sql, SqlValue } from './ledger/sql.ts'
import type {
  Admission,
  Ask,
  Caller,
  CallUnderWay,
  Conclusion,
  Decision,
  LedgerRpc,
  LedgerStatus,
  OverdueCall,
  Refusal,
  Settlement,
  Snapshot,
  UsageEvent,
} from './ledger/types.ts'
import { Outbox } from './outbox.ts'

/** A snapshot is fetched again in the background after a random part of this, at least half. */
const SNAPSHOT_FRESH_MS = 5 * 60 * 1_000
/**
 * Should the object die before its outbox is drained or while it has a ceiling, the alarm takes over after so long. Without
 * calls an object leaves memory after ten seconds: one that is still there is cheaper to ring than one that must be started.
 */
const GUARD_MS = 8_000
/** How often holds are written: those that were already there the last time, which makes them one to two of these old. */
const WRITE_HOLDS_MS = 20
/**
 * A busy ledger drains its outbox once a beat, and comes to rest when it has admitted nothing for one. At rest it has no
 * beat, because a timer keeps the object from hibernating, which costs.
 */
const BEAT_MS = 1_000
/** When the alarm rings again where storage fails: otherwise it would ring at once, again and again. */
const TIDY_RETRY_MS = 10_000

interface Settling {
  settlement: Settlement
  resolve: () => void
  reject: (error: unknown) => void
}

export class UsageLedger extends DurableObject<Env> implements LedgerRpc {
  readonly #ledger: Ledger
  readonly #outbox: Outbox
  readonly #alarm: Alarm
  /** Null where the Worker is not configured: then nobody is admitted, and events wait. */
  readonly #config
  readonly #database: Database | null
  readonly #hold_ttl_ms
  #isRinging = false
  #refreshAt = 0
  #settling: Settling[] = []
  #admittedThisBeat = false
  #drainedAt = Number.NEGATIVE_INFINITY
  #refusalsWrittenAt = Number.NEGATIVE_INFINITY
  /** Events since the last drain. */
  #undrained = 0

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    const config = configIn(env)
    this.#config = config
    const sql = durableSql(ctx.storage)
    this.#database = config && openDatabase(config)
    const insert = config ? insertsInto(config) : refuse
    this.#outbox = new Outbox(sql, {
      write: async (events) => {
        await ctx.storage.sync()
        await insert(events)
      },
      now: Date.now,
      random: Math.random,
    })
    this.#hold_ttl_ms = (config?.HOLD_TTL_SECONDS ?? DEFAULT_HOLD_TTL_SECONDS) * 1_000
    const emit = (event: UsageEvent) => this.#outbox.append(event)
    this.#ledger = new Ledger(sql, { hold_ttl_ms: this.#hold_ttl_ms, emit }, Date.now())
    this.#scheduleRefresh(this.#ledger.configuredAt ?? Date.now())
    this.#alarm = new Alarm(ctx.storage)
    void ctx.blockConcurrencyWhile(() => this.#alarm.recall())
  }

  async reserve(ask: Ask): Promise<Decision> {
    const database = this.#database ?? refuse()
    const decision = this.#ledger.reserve(ask, Date.now())
    if (decision.admitted) this.#admitted(decision)
    else if (!this.#ledger.areRefusalsWritten) this.#writeRefusalsSoon()
    if (this.#isStale) this.ctx.waitUntil(this.#refresh(database, ask.draft.user_id))
    return decision
  }

  async mayGoOn(call: CallUnderWay): Promise<boolean> {
    const mayGoOn = this.#ledger.mayGoOn(call, Date.now())
    this.#wakeForHold(this.#ledger.nextExpiry())
    return mayGoOn
  }

  #admitted({ epoch, reserved_at }: Admission): void {
    this.#admittedThisBeat = true
    if (!this.#ledger.isAtRest) this.#beatIn(BEAT_MS)
    if (epoch !== 0) this.#writeHoldsIn(WRITE_HOLDS_MS)
    // Under a ceiling the alarm rings soon: what a crash leaves of it begins to expire only at the restart.
    else this.#wakeForHold(reserved_at + (this.#ledger.isAtRest ? this.#hold_ttl_ms : GUARD_MS))
  }

  /**
   * Soon, because an object without calls leaves memory after seconds, and its refusals with it. A lone one is written once its
   * answer is out: a timer of a second would cost more than the row. Many are written together, once a beat.
   */
  #writeRefusalsSoon(): void {
    const isLone = Math.abs(Date.now() - this.#refusalsWrittenAt) >= BEAT_MS
    this.#writeRefusalsIn(isLone ? 0 : BEAT_MS)
  }

  readonly #writeRefusalsIn = delayed(() => {
    this.#refusalsWrittenAt = Date.now()
    attempt('could not write its refusals', () => this.#ledger.writeRefusals(Date.now()))
  })

  readonly #writeHoldsIn = delayed(() => {
    const done = attempt('could not write its holds', () => this.#wakeForHold(this.#ledger.writeHolds()))
    if (!this.#ledger.areHoldsWritten) this.#writeHoldsIn(done ? WRITE_HOLDS_MS : BEAT_MS)
  })

  /**
   * Settlements that arrive while the disk is busy with an earlier write commit together. Where it is not, `sync` returns at
   * once; a timer would cost each call its millisecond.
   */
  settle(settlement: Settlement): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#settling.push({ settlement, resolve, reject })
    const settleAll = () => this.#settleAll()
    if (this.#settling.length === 1) void this.ctx.storage.sync().then(settleAll, settleAll)
    return promise
  }

  #settleAll(): void {
    const settling = this.#settling
    this.#settling = []
    this.#settleTogether(settling)
  }

  /** Where they fail together each is tried alone, so that one which cannot be settled fails no other. */
  #settleTogether(settling: Settling[]): void {
    if (settling.length === 0) return
    try {
      this.#ledger.settle(
        settling.map(({ settlement }) => settlement),
        Date.now(),
      )
      this.#wakeBy(Date.now() + GUARD_MS)
    } catch (error) {
      if (settling.length > 1) for (const one of settling) this.#settleTogether([one])
      else settling[0]?.reject(error)
      return
    }
    for (const { resolve } of settling) resolve()
    this.#undrained += settling.length
    const isDue = Math.abs(Date.now() - this.#drainedAt) >= BEAT_MS
    if (isDue || this.#undrained >= MOST_EVENTS) this.#drainNow()
    else this.#beatIn(BEAT_MS)
  }

  async requestModels(request_ids: string[]): Promise<(string | null)[]> {
    this.#settleAll()
    return this.#ledger.requestModels(request_ids)
  }

  async conclude(conclusions: Conclusion[]): Promise<void> {
    this.#settleAll()
    this.#ledger.conclude(conclusions, Date.now())
    this.#wakeBy(Date.now() + GUARD_MS)
    this.#drainNow()
  }

  readonly #beatIn = delayed(() => {
    if (this.#undrained > 0) this.#drainNow()
    if (!this.#admittedThisBeat) attempt('could not come to rest', () => this.#rest())
    this.#admittedThisBeat = false
    if (!this.#ledger.isAtRest) this.#beatIn(BEAT_MS)
  })

  #rest(): void {
    if (this.#ledger.isAtRest) return
    this.#ledger.rest()
    this.#outbox.forgetDelivered()
  }

  #drainNow(): void {
    this.#undrained = 0
    this.#drainedAt = Date.now()
    this.ctx.waitUntil(this.#drain())
  }

  async configure(snapshot: Snapshot | null): Promise<number> {
    return this.#ledger.configure(snapshot, Date.now())
  }

  async status(caller: Caller | null): Promise<LedgerStatus | { refusal: Refusal }> {
    this.#settleAll()
    const now = Date.now()
    const refusal = this.#ledger.refusalOf(caller, now)
    const status = this.#ledger.status(now)
    return refusal || !status
      ? { refusal: refusal ?? { reason: 'no_config' } }
      : { ...status, outbox: this.#outbox.counts() }
  }

  override async alarm(): Promise<void> {
    this.#alarm.rang()
    this.#isRinging = true
    let overdue: OverdueCall | null | undefined
    const isTidy = attempt('could not tidy up', () => {
      this.#ledger.expire(Date.now())
      overdue = this.#ledger.takeOverdue(Date.now())
      this.#ledger.prune(Date.now())
      this.#outbox.forgetDelivered()
    })
    if (!isTidy) this.#wakeBy(Date.now() + TIDY_RETRY_MS)
    await Promise.all([this.#drain(), overdue && this.#askForEnd(overdue)])
    this.#isRinging = false
    this.#outbox.forgetDelivered()
    // Last of all: should the object die before, this alarm rings again, as long as no other was set. The next try of the
    // outbox may be an hour away, an expiry days.
    this.#wakeForEvents()
    if (!isTidy) return
    // Rings at once where more were due than one `expire` ends: the next expiry is then in the past.
    this.#wakeBy(this.#ledger.nextExpiry())
    if (!this.#ledger.isAtRest) this.#wakeBy(Date.now() + GUARD_MS)
  }

  /** One at a time, as alarms ring one at a time. Where the provider does not tell, nothing changes: the call expires. */
  async #askForEnd(overdue: OverdueCall): Promise<void> {
    if (!this.#config) return
    try {
      const conclusion = await conclusionOf(overdue, this.#config, pricesIn(this.env.PRICES))
      if (conclusion) await this.conclude([conclusion])
    } catch (error) {
      const message = 'a ledger could not learn how a call ended'
      const { provider_id, draft } = overdue
      console.warn(JSON.stringify({ message, user_id: draft.user_id, provider_id, error: String(rootCause(error)) }))
    }
  }

  async #drain(): Promise<void> {
    await this.#outbox.drain()
    this.#wakeForEvents()
  }

  /** Not while the alarm rings, which does so at its end. */
  #wakeForEvents(): void {
    if (this.#outbox.isBehind && !this.#isRinging) this.#wakeBy(this.#outbox.nextAttempt())
  }

  /**
   * While the alarm rings, one that is set replaces its retry: so it is set soon, for the work that is left should the object
   * die meanwhile.
   */
  #wakeForHold(at: number | null): void {
    this.#wakeBy(at !== null && this.#isRinging ? Math.min(at, Date.now() + GUARD_MS) : at)
  }

  #wakeBy(at: number | null): void {
    this.#alarm.wakeBy(at, Date.now())
  }

  /** Postgres down: the ledger goes on with what it has and asks again later. */
  async #refresh(database: Database, userId: string): Promise<void> {
    this.#scheduleRefresh(Date.now())
    try {
      await bringIntoForce(database, userId, this)
    } catch (error) {
      const message = 'a ledger could not refresh its snapshot'
      console.warn(JSON.stringify({ message, user_id: userId, error: String(rootCause(error)) }))
    }
  }

  /** Also where `#refreshAt` is farther ahead than it is ever set, because the clock was set back. */
  get #isStale(): boolean {
    const now = Date.now()
    return now > this.#refreshAt || this.#refreshAt > now + SNAPSHOT_FRESH_MS
  }

  #scheduleRefresh(from: number): void {
    this.#refreshAt = from + SNAPSHOT_FRESH_MS * (0.5 + Math.random() / 2)
  }
}

/**
 * Null where a variable is wrong or a binding is missing. Not thrown: calls under way could not be settled, and the alarm of an
 * object that cannot be made rings ever more rarely.
 */
function configIn(env: Env): Config | null {
  try {
    return parseWorkerConfig(env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    console.error(error.message)
    return null
  }
}

function refuse(): never {
  throw new Error('Tollgate is not configured.')
}

/** Does the work so much later: once, however often it is asked for until then. */
function delayed(work: () => void): (after_ms: number) => void {
  let isAhead = false
  return (after_ms) => {
    if (isAhead) return
    isAhead = true
    setTimeout(() => {
      isAhead = false
      work()
    }, after_ms)
  }
}

/** For work that nobody waits for and that is tried again: logs a failure. False where it failed. */
function attempt(what: string, work: () => void): boolean {
  try {
    work()
    return true
  } catch (error) {
    console.error(JSON.stringify({ message: `a ledger ${what}`, error: String(error) }))
    return false
  }
}

const durableSql = (storage: DurableObjectStorage): Sql => ({
  all: <Row>(statement: string, ...bindings: SqlValue[]) => storage.sql.exec(statement, ...bindings).toArray() as Row[],
  transaction: (body) => storage.transactionSync(body),
})
