// The Durable Object around a ledger: RPC, the alarm and background work. All policy is in ./ledger/.
//
// One per subject, because a Durable Object runs one event at a time over storage of its own: a decision over every cap
// needs no lock and no second hop. The output gate holds each answer back until what it rests on is on disk.

import { DurableObject } from 'cloudflare:workers'
import { parseConfig } from '../src/config.ts'
import { rootCause } from '../src/errors.ts'
import { openDatabase } from '../src/postgres/client.ts'
import { loadSnapshot } from '../src/postgres/snapshots.ts'
import { writeEvents } from '../src/postgres/usage-writer.ts'
import { Ledger } from './ledger/ledger.ts'
import type { Sql, SqlValue } from './ledger/sql.ts'
import type { Ask, Caller, Decision, LedgerRpc, LedgerStatus, Refusal, Settlement, Snapshot } from './ledger/types.ts'
import { Outbox } from './outbox.ts'

/** A snapshot older than this is fetched again in the background, at half to all of this age. */
const SNAPSHOT_FRESH_MS = 5 * 60 * 1_000
/** Should the object die before its outbox is drained, the alarm takes over after so long. */
const OUTBOX_GUARD_MS = 15_000
/** When storage fails the alarm, which would else ring at once and again. */
const TIDY_RETRY_MS = 10_000

export class UsageLedger extends DurableObject<Env> implements LedgerRpc {
  readonly #ledger: Ledger
  readonly #outbox: Outbox
  readonly #database
  readonly #hold_ttl_ms
  #alarmAt: number | null = null
  #refreshAt = 0

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    const config = parseConfig(env)
    const database = openDatabase(config)
    const sql = durableSql(ctx.storage)
    this.#database = database
    this.#outbox = new Outbox(sql, {
      write: (events) => writeEvents(database, events),
      now: Date.now,
      random: Math.random,
    })
    this.#hold_ttl_ms = config.HOLD_TTL_SECONDS * 1_000
    this.#ledger = new Ledger(sql, {
      hold_ttl_ms: this.#hold_ttl_ms,
      emit: (event) => this.#outbox.append(event),
    })
    this.#scheduleRefresh()
    void ctx.blockConcurrencyWhile(async () => {
      this.#alarmAt = await ctx.storage.getAlarm()
    })
  }

  async reserve(ask: Ask): Promise<Decision> {
    const decision = this.#ledger.reserve(ask, Date.now())
    if (decision.admitted) this.#wakeBy(decision.reserved_at + this.#hold_ttl_ms)
    if (Date.now() > this.#refreshAt) this.ctx.waitUntil(this.#refresh(ask.draft.user_id))
    return decision
  }

  async settle(settlement: Settlement): Promise<void> {
    this.#ledger.settle(settlement, Date.now())
    this.#wakeBy(Date.now() + OUTBOX_GUARD_MS)
    this.ctx.waitUntil(this.#drain())
  }

  async configure(snapshot: Snapshot): Promise<void> {
    this.#ledger.configure(snapshot, Date.now())
    this.#scheduleRefresh()
  }

  async status(caller: Caller | null): Promise<LedgerStatus | { refusal: Refusal }> {
    const now = Date.now()
    const refusal = this.#ledger.refusalOf(caller, now)
    const status = this.#ledger.status(now)
    return refusal || !status
      ? { refusal: refusal ?? { reason: 'no_config' } }
      : { ...status, outbox: this.#outbox.counts() }
  }

  /** The one alarm, for all duties. */
  override async alarm(): Promise<void> {
    this.#alarmAt = null
    try {
      let expired = 0
      do expired = this.#ledger.expire(Date.now())
      while (expired > 0)
      this.#ledger.prune(Date.now())
      this.#outbox.forgetDelivered()
      this.#wakeBy(this.#ledger.nextExpiry())
    } catch (error) {
      console.error(JSON.stringify({ message: 'a ledger could not tidy up', error: String(error) }))
      this.#wakeBy(Date.now() + TIDY_RETRY_MS)
    }
    await this.#drain()
  }

  async #drain(): Promise<void> {
    await this.#outbox.drain()
    this.#wakeBy(this.#outbox.nextAttempt())
  }

  /** Sees to it that the alarm rings no later than `at`. */
  #wakeBy(at: number | null): void {
    if (at === null || (this.#alarmAt !== null && this.#alarmAt <= at)) return
    this.#alarmAt = at
    void this.ctx.storage.setAlarm(at)
  }

  /** Postgres down: the ledger goes on with what it has and asks again later. */
  async #refresh(userId: string): Promise<void> {
    this.#scheduleRefresh(Date.now())
    try {
      const snapshot = await loadSnapshot(this.#database, userId)
      if (snapshot) this.#ledger.configure(snapshot, Date.now())
    } catch (error) {
      console.warn(
        JSON.stringify({ message: 'a ledger could not refresh its snapshot', error: String(rootCause(error)) }),
      )
    }
  }

  #scheduleRefresh(from = this.#ledger.configuredAt ?? Date.now()): void {
    this.#refreshAt = from + SNAPSHOT_FRESH_MS * (0.5 + Math.random() / 2)
  }
}

const durableSql = (storage: DurableObjectStorage): Sql => ({
  all: <Row>(statement: string, ...bindings: SqlValue[]) => storage.sql.exec(statement, ...bindings).toArray() as Row[],
  transaction: (body) => storage.transactionSync(body),
})
