// The model: every call in a list, beside the ledger that it is compared with. Usage is what adding up the list says.

import { setImmediate } from 'node:timers/promises'
import { expect } from 'vitest'
import { COMPONENTS } from '../../../durable-objects/ledger/amounts.ts'
import { Ledger } from '../../../durable-objects/ledger/ledger.ts'
import type { Amount, Ask, Cap, LimitType, Snapshot, UsageEvent } from '../../../durable-objects/ledger/types.ts'
import { LIMIT_TYPES } from '../../../durable-objects/ledger/types.ts'
import { type Window, windowOf } from '../../../durable-objects/ledger/windows.ts'
import { Outbox } from '../../../durable-objects/outbox.ts'
import { Crash, nodeSql } from '../../support/node-sql.ts'
import { type Call, GOES_ON, HOLD_TTL_MS, hasExpired, isHeld, isRecorded, part, recordOf, sumOf } from './model-call.ts'
import { endOthers, HISTORY_ENDS, HISTORY_STARTS, QUARTER_MS, START, writeHistory } from './model-history.ts'
import { ModelPostgres } from './model-postgres.ts'

export const CALL_STATES = ['all', 'held', 'goes on', 'lost', 'expired'] as const
export const WAITED_FOR = ['expiry', 'overdue', 'remnant', 'window'] as const

interface Remnant extends Amount {
  crash: number
  expires_at: number
}

/** `at` a statement, or where the verb has no more of them, `after` it: its answer is lost. */
export type Crashing = { at: number; dies: boolean; after: boolean } | null

export class Life {
  readonly sql = nodeSql()
  readonly postgres = new ModelPostgres()
  readonly calls = new Map<string, Call>()
  readonly asks: Ask[] = []
  /** Committed events by id: the highest revision counts, as in Postgres. */
  readonly events = new Map<string, UsageEvent>()
  /** Calls that a cap refused. A crash loses the count of those that no later write has taken along. */
  refusals: { at: number; written: boolean }[] = []
  /** What may be in flight of lives that crashed: their ceilings, without those of their calls that are known again. */
  remnants: Remnant[] = []
  readonly windows = new Map<string, Window>()
  /** Has a month of usage behind it, and others that call. It forgets by its clock, which then never goes back. */
  readonly old: boolean
  crashes = 0
  pending: UsageEvent[] = []
  now = START
  /** The highest so far: an older one is not taken. */
  config: Snapshot | null
  ledger: Ledger
  outbox: Outbox

  constructor(config: Snapshot, old: boolean) {
    this.config = config
    this.old = old
    this.sql.onEnd = (committed) => (committed ? this.commit() : this.rollBack())
    ;[this.outbox, this.ledger] = this.open()
    if (old) writeHistory(this.sql)
    this.ledger.configure(config, this.now)
  }

  open(): [Outbox, Ledger] {
    // A write that is under way when its object dies may still arrive, but nobody hears of it.
    const write = async (events: UsageEvent[]) => {
      try {
        await this.postgres.write(events)
      } finally {
        if (this.outbox !== outbox) await new Promise(() => undefined)
      }
    }
    const outbox: Outbox = new Outbox(this.sql, { write, now: () => this.now, random: () => 0.5 })
    const emit = (event: UsageEvent) => {
      outbox.append(event)
      this.pending.push(event)
    }
    return [outbox, new Ledger(this.sql, { hold_ttl_ms: HOLD_TTL_MS, emit }, this.now)]
  }

  /** Memory is lost, and with it the holds that have no row. */
  die(crash: Crashing = null): void {
    this.crashes += 1
    const expires_at = this.now + HOLD_TTL_MS
    for (const call of this.unwritten()) Object.assign(call, { lost_in: this.crashes, lost_until: expires_at })
    const ceiling = this.ceiling()
    if (ceiling) this.remnants.push({ ...ceiling, crash: this.crashes, expires_at })
    this.refusals = this.refusals.filter(({ written }) => written)
    this.sql.crashAfter(crash?.at ?? null)
    try {
      ;[this.outbox, this.ledger] = this.open()
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      this.sql.crashAfter(null)
      ;[this.outbox, this.ledger] = this.open()
    }
    this.sql.crashAfter(null)
  }

  /** Runs one verb, failing at a statement if told so, and then tries it again. */
  run<T>(verb: () => T, crash: Crashing): T {
    this.sql.crashAfter(crash?.at ?? null)
    try {
      const answer = verb()
      this.sql.crashAfter(null)
      if (!crash?.after) return answer
      this.die()
      return verb()
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      this.sql.crashAfter(null)
      if (crash?.dies) this.die()
      this.check()
      return verb()
    } finally {
      this.sql.crashAfter(null)
    }
  }

  /** One that is slow goes on while other verbs run. */
  async drain(crash: Crashing): Promise<void> {
    this.sql.crashAfter(crash?.at ?? null)
    void this.outbox.drain()
    await setImmediate()
    this.sql.crashAfter(null)
    if (crash?.dies) this.die()
  }

  /** Postgres is up for long enough: it has each event, and no other. */
  async end(): Promise<void> {
    this.postgres.state = 'up'
    await setImmediate()
    for (let drains = 0; this.outbox.nextAttempt() !== null && drains < 10; drains++) {
      this.now = this.outbox.nextAttempt() ?? this.now
      await this.drain(null)
    }
    expect(this.postgres.rows).toEqual(this.events)
    this.sql.close()
  }

  moveClock(ms: number): void {
    this.now += this.old ? Math.abs(ms) : ms
    for (const call of this.calls.values()) call.gone ||= call.lost_until !== null && call.lost_until <= this.now
  }

  /** Until the instant at which something ends, or a millisecond before. */
  waitFor(what: (typeof WAITED_FOR)[number], isEarly: boolean): void {
    const held = [...this.calls.values()].filter(isHeld)
    const ends = {
      expiry: () => held.map(({ expires_at }) => expires_at),
      overdue: () => held.filter(({ provider_id }) => provider_id !== null).map(({ expires_at }) => expires_at),
      remnant: () => this.remnants.map(({ expires_at }) => expires_at),
      window: () => (this.config?.caps ?? []).map(({ cap_type }) => this.windowOf(cap_type).end ?? 0),
    }
    const at = Math.min(...ends[what]().filter((end) => end > this.now)) - (isEarly ? 1 : 0)
    if (Number.isFinite(at)) this.moveClock(at - this.now)
  }

  endOthers(): void {
    if (this.old) endOthers(this.sql, this.now)
  }

  hasRow(id: string): boolean {
    return this.sql.peek('select 1 from reservations where request_id = ?', id).length > 0
  }

  /** The ids of all calls, or where there are any of those in this state. */
  callsThat(are: (typeof CALL_STATES)[number]): string[] {
    const all = [...this.calls]
    const some = all.filter(([id, call]) => {
      if (are === 'held') return isHeld(call)
      if (are === 'lost') return call.charged === null && call.lost_until !== null
      return are === 'expired' ? hasExpired(call) : id.startsWith(GOES_ON)
    })
    return (are === 'all' || some.length === 0 ? all : some).map(([id]) => id)
  }

  /** Has ended so long ago, and so many calls since, that the ledger has forgotten it. */
  isForgotten(id: string): boolean {
    return this.old && this.calls.get(id)?.charged != null && !this.hasRow(id)
  }

  /** Calls whose hold is in memory alone. */
  unwritten(): Call[] {
    return [...this.calls].filter(([id, call]) => isHeld(call) && !this.hasRow(id)).map(([, call]) => call)
  }

  /** The ceiling on disk; null where there is none. */
  ceiling(): Amount | null {
    return this.sql.peek<Amount>('select * from epochs where expires_at is null')[0] ?? null
  }

  /** Those that are held in every window. */
  heldRemnants(): Remnant[] {
    return this.remnants.filter(({ expires_at }) => this.now < expires_at)
  }

  hasRemnant({ lost_in }: Call): boolean {
    return this.heldRemnants().some(({ crash }) => crash === lost_in)
  }

  /** A call that a crash took is known again: its hold comes off what is held in its place. */
  takeBack({ lost_in, hold }: Call): void {
    const remnant = this.remnants.find(({ crash }) => crash === lost_in)
    if (!remnant) return
    for (const part of COMPONENTS) remnant[part] = Math.max(0, remnant[part] - hold[part])
    this.remnants = this.remnants.filter((it) => COMPONENTS.some((part) => it[part] > 0))
  }

  commit(): void {
    for (const event of this.pending) {
      const known = this.events.get(event.id)
      expect(known === undefined || known.revision < event.revision).toBe(true)
      this.events.set(event.id, event)
      const call = this.calls.get(event.id)
      if (call && event.outcome === 'expired') {
        expect(call).toMatchObject({ charged: null, provider_id: null })
        expect(call.expires_at).toBeLessThanOrEqual(this.now)
        const how = { usage_source: 'hold', overrun: false, revision: 0 } as const
        Object.assign(call, { charged: call.hold, end: { outcome: 'expired', settled_at: this.now, ...how } })
      }
    }
    this.pending = []
    for (const refusal of this.refusals) refusal.written = true
  }

  rollBack(): void {
    this.pending = []
  }

  /** As the function of that name, which would take a third of the test's time. */
  windowOf(capType: Cap['cap_type']): Window {
    const timeZone = this.config?.time_zone ?? 'UTC'
    const key = `${capType} ${timeZone} ${this.now}`
    const window = this.windows.get(key) ?? windowOf(capType, timeZone, this.now)
    this.windows.set(key, window)
    return window
  }

  /** Adds up, call by call, what those in a cap's window count for. */
  sum(capType: Cap['cap_type'], limitType: LimitType, counted: (call: Call) => Amount | null): number {
    const { start, end } = this.windowOf(capType)
    let sum = 0
    for (const call of this.calls.values()) {
      if (call.reserved_at < start || (end !== null && call.reserved_at >= end)) continue
      const amount = counted(call)
      if (amount) sum += part(amount, limitType)
    }
    return sum
  }

  /** What a cap's window holds: usage and holds, those that the ledger can know, or also those that it has lost. */
  usage(capType: Cap['cap_type'], limitType: LimitType, calls: 'known' | 'all' = 'known'): number {
    const isCounted = ({ lost_until, gone }: Call) => lost_until === null || (!gone && calls === 'all')
    const sum = this.sum(capType, limitType, (call) => call.charged ?? (isCounted(call) ? call.hold : null))
    return sum + this.history(capType)
  }

  /** What is in flight. */
  held(capType: Cap['cap_type'], limitType: LimitType): number {
    return this.sum(capType, limitType, (call) => (isHeld(call) ? call.hold : null))
  }

  /** Each quarter of an hour of the history counts one of everything. */
  history(capType: Cap['cap_type']): number {
    if (!this.old) return 0
    const { start, end } = this.windowOf(capType)
    const quarters = (Math.min(end ?? HISTORY_ENDS, HISTORY_ENDS) - Math.max(start, HISTORY_STARTS)) / QUARTER_MS
    return Math.max(0, quarters)
  }

  /** Every limit, with the usage that it is measured against and the least that this may be. */
  limits() {
    const remnants = this.heldRemnants()
    return (this.config?.caps ?? []).flatMap((cap) =>
      LIMIT_TYPES.flatMap((limitType) => {
        const limit = cap.limits[limitType]
        if (limit === undefined) return []
        const usage = this.usage(cap.cap_type, limitType) + sumOf(remnants, limitType)
        return { cap, limitType, limit, usage, atLeast: this.usage(cap.cap_type, limitType, 'all') }
      }),
    )
  }

  check(): void {
    const status = this.ledger.status(this.now)
    same(status === null, this.config === null)
    const remnants = this.heldRemnants()
    for (const cap of status?.caps ?? []) {
      const { cap_type } = cap
      const { start, end } = this.windowOf(cap_type)
      for (const limitType of LIMIT_TYPES) {
        const usage = cap.current_usage[limitType]
        const left = sumOf(remnants, limitType)
        same(usage, this.usage(cap_type, limitType) + left)
        same(cap.held[limitType], this.held(cap_type, limitType) + left)
        if (remnants.length > 0) expect(usage).toBeGreaterThanOrEqual(this.usage(cap_type, limitType, 'all'))
      }
      const refused = this.refusals.filter(({ at }) => start <= at && (end === null || at < end)).length
      same(cap.refused, refused + this.history(cap_type))
    }
    const lost = [...this.calls.values()].filter((call) => call.charged === null && call.lost_until !== null)
    for (const remnant of remnants) {
      const holds = lost.filter(({ lost_in, gone }) => lost_in === remnant.crash && !gone).map(({ hold }) => hold)
      for (const part of COMPONENTS) expect(total(holds, part)).toBeLessThanOrEqual(remnant[part])
    }
    const unwritten = this.unwritten()
    const holds = unwritten.map(({ hold }) => hold)
    if (holds.length > 0) {
      const ceiling = this.ceiling()
      for (const part of COMPONENTS) expect(total(holds, part)).toBeLessThanOrEqual(ceiling?.[part] ?? 0)
    }
    const written = [...this.calls.values()].filter((call) => isHeld(call) && !unwritten.includes(call))
    const next = Math.min(...written.map(({ expires_at }) => expires_at))
    same(this.ledger.nextExpiry(), written.length > 0 ? next : null)
    // One assertion for all calls: one for each would take a fifth of the test's time.
    const wrong = [...this.calls].filter(([id, call]) => !isRecorded(this.events.get(id), call))
    for (const [id, call] of wrong) expect(this.events.get(id)).toMatchObject({ id, ...recordOf(call) })
    same(this.events.size, [...this.calls.values()].filter(({ charged }) => charged !== null).length)
  }
}

/** `toBe`, which would take a third of the test's time. */
function same<T>(actual: T, expected: T): void {
  if (actual !== expected) expect(actual).toBe(expected)
}

const total = (amounts: Amount[], component: keyof Amount) => amounts.reduce((sum, it) => sum + it[component], 0)
