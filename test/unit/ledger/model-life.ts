// The model: every call in a list, beside the ledger that it is compared with. Usage is what adding up the list says.

import { expect } from 'vitest'
import { COMPONENTS } from '../../../durable-objects/ledger/amounts.ts'
import { Ledger } from '../../../durable-objects/ledger/ledger.ts'
import type { Amount, Ask, Cap, LimitType, Snapshot, UsageEvent } from '../../../durable-objects/ledger/types.ts'
import { LIMIT_TYPES } from '../../../durable-objects/ledger/types.ts'
import { type Window, windowOf } from '../../../durable-objects/ledger/windows.ts'
import { Crash, nodeSql } from '../../support/node-sql.ts'

export const HOLD_TTL_MS = 20 * 60 * 1_000
export const START = Date.UTC(2026, 2, 28, 22, 50)

export interface Call {
  reserved_at: number
  expires_at: number
  hold: Amount
  epoch: number
  /** Null while it is held. */
  charged: Amount | null
  expired: boolean
  /** A crash took the hold before it was written: it counts as in flight until then, or until it settles. */
  lost_until: number | null
  /** That has passed. */
  gone: boolean
}

export const HELD = { charged: null, expired: false, lost_until: null, gone: false }

/** `at` a statement, or where the verb has no more of them, `after` it: its answer is lost. */
export type Crashing = { at: number; dies: boolean; after: boolean } | null

export class Life {
  readonly sql = nodeSql()
  readonly calls = new Map<string, Call>()
  readonly asks: Ask[] = []
  /** Committed events by id: the highest revision counts, as in Postgres. */
  readonly events = new Map<string, UsageEvent>()
  readonly windows = new Map<string, Window>()
  pending: UsageEvent[] = []
  now = START
  config: Snapshot
  ledger: Ledger

  constructor(config: Snapshot) {
    this.config = config
    this.sql.onEnd = (committed) => (committed ? this.commit() : this.rollBack())
    this.ledger = this.open()
    this.ledger.configure(config, this.now)
  }

  open(): Ledger {
    const emit = (event: UsageEvent) => this.pending.push(event)
    return new Ledger(this.sql, { hold_ttl_ms: HOLD_TTL_MS, emit }, this.now)
  }

  /** Memory is lost, and with it the holds that have no row. */
  die(crash: Crashing = null): void {
    for (const call of this.unwritten()) call.lost_until = this.now + HOLD_TTL_MS
    this.sql.crashAfter(crash?.at ?? null)
    try {
      this.ledger = this.open()
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      this.sql.crashAfter(null)
      this.ledger = this.open()
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

  moveClock(ms: number): void {
    this.now += ms
    for (const call of this.calls.values()) call.gone ||= call.lost_until !== null && call.lost_until <= this.now
  }

  hasRow(id: string): boolean {
    return this.sql.peek('select 1 from reservations where request_id = ?', id).length > 0
  }

  /** Calls whose hold is in memory alone. */
  unwritten(): Call[] {
    return [...this.calls]
      .filter(([id, { charged, lost_until }]) => charged === null && lost_until === null && !this.hasRow(id))
      .map(([, call]) => call)
  }

  /** The ceiling on disk; null where there is none. */
  ceiling(): Amount | null {
    return this.sql.peek<Amount>('select * from epochs where expires_at is null')[0] ?? null
  }

  remnants(): (Amount & { epoch: number })[] {
    return this.sql.peek('select * from epochs where expires_at > ?', this.now)
  }

  commit(): void {
    for (const event of this.pending) {
      const known = this.events.get(event.id)
      expect(known === undefined || known.revision < event.revision).toBe(true)
      this.events.set(event.id, event)
      const call = this.calls.get(event.id)
      if (call && event.outcome === 'expired') {
        expect(call.expires_at).toBeLessThanOrEqual(this.now)
        expect(call.charged).toBeNull()
        Object.assign(call, { charged: call.hold, expired: true })
      }
    }
    this.pending = []
  }

  rollBack(): void {
    this.pending = []
  }

  /** As the function of that name, which would take a third of the test's time. */
  windowOf(capType: Cap['cap_type']): Window {
    const key = `${capType} ${this.config.time_zone} ${this.now}`
    const window = this.windows.get(key) ?? windowOf(capType, this.config.time_zone, this.now)
    this.windows.set(key, window)
    return window
  }

  /** What a cap's window holds, added up call by call: those that the ledger can know, or also those that it has lost. */
  usage(capType: Cap['cap_type'], limitType: LimitType, calls: 'known' | 'all' = 'known'): number {
    const { start, end } = this.windowOf(capType)
    let sum = 0
    for (const { reserved_at, charged, hold, lost_until, gone } of this.calls.values()) {
      if (charged === null && lost_until !== null && (gone || calls === 'known')) continue
      if (reserved_at >= start && (end === null || reserved_at < end)) sum += part(charged ?? hold, limitType)
    }
    return sum
  }

  /** Every limit, with the usage that it is measured against and the least that this may be. */
  limits() {
    const remnants = this.remnants()
    return this.config.caps.flatMap((cap) =>
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
    const remnants = this.remnants()
    for (const cap of status?.caps ?? []) {
      for (const limitType of LIMIT_TYPES) {
        const usage = cap.current_usage[limitType]
        expect(usage).toBe(this.usage(cap.cap_type, limitType) + sumOf(remnants, limitType))
        expect(usage).toBeGreaterThanOrEqual(this.usage(cap.cap_type, limitType, 'all'))
      }
    }
    const lost = [...this.calls.values()].filter((call) => call.charged === null && call.lost_until !== null)
    for (const remnant of remnants) {
      const holds = lost.filter(({ epoch, gone }) => epoch === remnant.epoch && !gone).map(({ hold }) => hold)
      for (const part of COMPONENTS) expect(total(holds, part)).toBeLessThanOrEqual(remnant[part])
    }
    const unwritten = this.unwritten().map(({ hold }) => hold)
    for (const part of COMPONENTS) expect(total(unwritten, part)).toBeLessThanOrEqual(this.ceiling()?.[part] ?? 0)
    // One assertion for all calls: one for each would take a fifth of the test's time.
    const wrong = [...this.calls].filter(([id, { charged }]) => !isChargedAs(this.events.get(id), charged))
    expect(wrong.map(([id, call]) => ({ call, event: this.events.get(id) }))).toEqual([])
    expect(this.events.size).toBe([...this.calls.values()].filter(({ charged }) => charged !== null).length)
  }
}

const isChargedAs = (event: UsageEvent | undefined, charged: Amount | null): boolean =>
  event && charged ? COMPONENTS.every((part) => event[part] === charged[part]) : !event && !charged

const total = (amounts: Amount[], component: keyof Amount) => amounts.reduce((sum, it) => sum + it[component], 0)
export const sumOf = (amounts: Amount[], limitType: LimitType) =>
  amounts.reduce((sum, it) => sum + part(it, limitType), 0)

export const part = (of: Amount, limitType: LimitType): number =>
  limitType === 'requests' ? of.requests : limitType === 'cost' ? of.cost_nano_usd : of.input_tokens + of.output_tokens
