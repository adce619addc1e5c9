// Sums of usage per window, read from the buckets and the holds and then kept up in memory: what `reserve` compares with
// the limits. The cache has one writer, this class; after a rollback it is forgotten and read again.

import { add, amountOf, columnsOf, NOTHING, plus } from './amounts.ts'
import type { Holds } from './holds.ts'
import { FOLDED_BUCKET } from './schema.ts'
import type { Sql } from './sql.ts'
import type { Amount, CapType } from './types.ts'
import { floorToQuarter, isWithin, type Window, windowOf } from './windows.ts'

/** A calendar window is 2,984 buckets at most (a month of 31 days and two hours of daylight saving). */
export const BUCKETS_KEPT = 3_072

export interface WindowUsage extends Window {
  settled: Amount
  held: Amount
  refused: number
}

// Not `sum`, which throws beyond 2^63: the ledger could answer nobody. `total` is exact to 2^53, as all numbers here are.
const SUM_AMOUNTS = `total(requests) as requests, total(input_tokens) as input_tokens,
    total(output_tokens) as output_tokens, total(cost_nano_usd) as cost_nano_usd`

const SUM_BUCKETS = `
  select ${SUM_AMOUNTS}, total(refused) as refused from usage_buckets where bucket >= ? and bucket < ?`

const SUM_HOLDS = `
  select ${SUM_AMOUNTS}
  from reservations where outcome is null and reserved_at >= ? and reserved_at < ?`

const SUM_LASTING_HOLDS = `${SUM_HOLDS} and expires_at > ?`

const ADD_TO_BUCKET = `
  insert into usage_buckets (bucket, requests, input_tokens, output_tokens, cost_nano_usd, refused)
  values (?, ?, ?, ?, ?, ?)
  on conflict (bucket) do update set requests = requests + excluded.requests,
    input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
    cost_nano_usd = cost_nano_usd + excluded.cost_nano_usd, refused = refused + excluded.refused`

const NEWEST = 'select max(bucket) as bucket from usage_buckets'
const OLDEST_KEPT = 'select bucket from usage_buckets order by bucket desc limit 1 offset ?'
const DELETE_BUCKETS = 'delete from usage_buckets where bucket > ? and bucket < ?'

export class Counters {
  readonly #sql: Sql
  readonly #holds: Holds
  readonly #windows = new Map<CapType, WindowUsage>()
  /** Charges of this transaction by bucket: many settlements of one bucket are one statement. */
  readonly #charges = new Map<number, Amount>()
  /** Refusals by bucket, which wait for the next write, whatever it is for, or a beat: hammering must stay cheap. */
  readonly #refusals = new Map<number, number>()
  #timeZone = 'UTC'

  constructor(sql: Sql, holds: Holds) {
    this.#sql = sql
    this.#holds = holds
  }

  /** The one with the latest usage or refusal; the folded one where there is none. */
  get newestBucket(): number {
    return this.#sql.all<{ bucket: number | null }>(NEWEST)[0]?.bucket ?? FOLDED_BUCKET
  }

  /** Usage of the window that `now` is in. The record is live: read it, do not keep it. */
  usageOf(capType: CapType, timeZone: string, now: number): WindowUsage {
    if (timeZone !== this.#timeZone) {
      this.#timeZone = timeZone
      this.#windows.clear()
    }
    const cached = this.#windows.get(capType)
    if (cached && isWithin(cached, now)) return cached
    const usage = this.#read(capType, timeZone, now)
    this.#windows.set(capType, usage)
    return usage
  }

  /** What stays held in that window beyond an instant: only calls that go on at their provider do, and all have rows. */
  heldBeyond(instant: number, capType: CapType, now: number): Amount {
    const { start, end } = this.usageOf(capType, this.#timeZone, now)
    const [held] = this.#sql.all<Amount>(SUM_LASTING_HOLDS, start, end ?? Number.MAX_SAFE_INTEGER, instant)
    return held ?? NOTHING
  }

  #read(capType: CapType, timeZone: string, now: number): WindowUsage {
    const window = windowOf(capType, timeZone, now)
    const { start, end } = window
    const until = end ?? Number.MAX_SAFE_INTEGER
    const [settled] = this.#sql.all<Amount & { refused: number }>(SUM_BUCKETS, start, until)
    const [held] = this.#sql.all<Amount>(SUM_HOLDS, start, until)
    let refused = settled?.refused ?? 0
    for (const [bucket, count] of this.#refusals) if (isWithin(window, bucket)) refused += count
    return {
      ...window,
      settled: amountOf(settled ?? NOTHING),
      held: plus(this.#holds.unwrittenBetween(start, until), held ?? NOTHING),
      refused,
    }
  }

  /** Adds a hold (1) or takes it off (-1), in the windows that it was admitted in. */
  hold(reservedAt: number, amount: Amount, times: 1 | -1): void {
    for (const usage of this.#around(reservedAt)) add(usage.held, amount, times)
  }

  /** Adds usage to the bucket of the admission: in memory now, in SQL by `write`. Negative where a charge is corrected. */
  charge(reservedAt: number, amount: Amount): void {
    const bucket = floorToQuarter(reservedAt)
    const charged = this.#charges.get(bucket) ?? amountOf(NOTHING)
    add(charged, amount)
    this.#charges.set(bucket, charged)
    for (const usage of this.#around(reservedAt)) add(usage.settled, amount)
  }

  refuse(now: number): void {
    const bucket = floorToQuarter(now)
    this.#refusals.set(bucket, (this.#refusals.get(bucket) ?? 0) + 1)
    for (const usage of this.#around(now)) usage.refused += 1
  }

  get areRefusalsWritten(): boolean {
    return this.#refusals.size === 0
  }

  /** At the end of every transaction: what memory has counted and SQL has not. */
  write(): void {
    for (const [bucket, count] of this.#refusals) this.#addToBucket(bucket, NOTHING, count)
    for (const [bucket, amount] of this.#charges) this.#addToBucket(bucket, amount, 0)
  }

  committed(): void {
    this.#refusals.clear()
    this.#charges.clear()
  }

  rolledBack(): void {
    this.#charges.clear()
    this.#windows.clear()
  }

  /** Moves what no window asks for any more into row 0. By count and not by the clock, which may jump. */
  fold(): void {
    const [oldest] = this.#sql.all<{ bucket: number }>(OLDEST_KEPT, BUCKETS_KEPT - 1)
    if (!oldest) return
    const [old] = this.#sql.all<Amount & { refused: number }>(SUM_BUCKETS, FOLDED_BUCKET + 1, oldest.bucket)
    if (!old) return
    this.#addToBucket(FOLDED_BUCKET, old, old.refused)
    this.#sql.all(DELETE_BUCKETS, FOLDED_BUCKET, oldest.bucket)
  }

  #addToBucket(bucket: number, amount: Amount, refused: number): void {
    this.#sql.all(ADD_TO_BUCKET, bucket, ...columnsOf(amount), refused)
  }

  *#around(instant: number): Iterable<WindowUsage> {
    for (const usage of this.#windows.values()) {
      if (isWithin(usage, instant)) yield usage
    }
  }
}
