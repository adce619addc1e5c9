// The policy of a ledger: four verbs over SQLite. Pure but for its storage: synchronous, `now` passed in, no I/O.
//
//   reserve -> (writeHolds) -> (settle | release | expire) -> event
//                            `-goes on-> (conclude | expire) -> event
//
// How calls end is in ./endings.ts. A hold is in memory alone at first where the ceiling allows it: see `epochs` in
// ./schema.ts. Every public method is one transaction (`expire`: one per call). One that throws has written nothing and
// remembers nothing.

import { amountOf, covers, isNothing, plus } from './amounts.ts'
import { raisedCeiling } from './ceiling.ts'
import { Config } from './config.ts'
import { Counters } from './counters.ts'
import { decide, type Fit, type Limit } from './decide.ts'
import { Endings } from './endings.ts'
import { Epochs } from './epochs.ts'
import { type Hold, Holds } from './holds.ts'
import { type KnownCall, Reservations } from './reservations.ts'
import { createSchema } from './schema.ts'
import type { Sql } from './sql.ts'
import { capStatus, limitsOf, partOf, refuseCaller, tightestOf, withLasting } from './standing.ts'
import type {
  Admission,
  Amount,
  Ask,
  Caller,
  CallUnderWay,
  Cap,
  Conclusion,
  Decision,
  LedgerStatus,
  OverdueCall,
  Refusal,
  Settlement,
  Snapshot,
  UsageEvent,
} from './types.ts'

/** A call that comes this soon after another is one of many: a ceiling pays. */
const BUSY_MS = 1_000
const HOUR_MS = 3_600_000
/** How long the provider of an overdue call has to say how it ended. */
const OVERDUE_MS = 60_000
const hourOf = (instant: number) => Math.floor(instant / HOUR_MS)

export interface LedgerOptions {
  /** A call that has not come back after this long is charged its hold. */
  hold_ttl_ms: number
  /** Takes an event into the outbox, inside the transaction that ends its call. */
  emit: (event: UsageEvent) => void
}

export class Ledger {
  readonly #sql: Sql
  readonly #options: LedgerOptions
  readonly #counters: Counters
  readonly #reservations: Reservations
  readonly #holds = new Holds()
  readonly #epochs: Epochs
  readonly #endings: Endings
  readonly #config: Config
  #reservedAt = Number.NEGATIVE_INFINITY
  #prunedHour: number

  constructor(sql: Sql, options: LedgerOptions, now: number) {
    createSchema(sql)
    this.#sql = sql
    this.#options = options
    this.#counters = new Counters(sql, this.#holds)
    this.#reservations = new Reservations(sql)
    this.#epochs = new Epochs(sql, now + options.hold_ttl_ms)
    this.#endings = new Endings({
      counters: this.#counters,
      reservations: this.#reservations,
      holds: this.#holds,
      epochs: this.#epochs,
      emit: options.emit,
    })
    this.#config = new Config(sql)
    // Whichever life wrote that bucket has pruned. Most live for seconds, and pruning in each would read thousands of rows.
    this.#prunedHour = hourOf(this.#counters.newestBucket)
  }

  /** When the snapshot was last confirmed; null where there is none. */
  get configuredAt(): number | null {
    return this.#config.fetchedAt
  }

  /**
   * Takes a snapshot, unless it has one of a higher version, which it keeps; null: forgets the one that it has. What is in
   * flight stays held. Returns the version by which it decides from now on, 0 where it has none.
   */
  configure(snapshot: Snapshot | null, now: number): number {
    return this.#config.take(snapshot, now)
  }

  /**
   * Holds the worst case of a call, or says why not. Repeating an admitted request id repeats its admission. Writes only
   * where the ceiling does not allow the hold: then the hold itself, and where calls come fast a higher ceiling.
   */
  reserve(ask: Ask, now: number): Decision {
    const known = this.#endings.find(ask.request_id)
    if (known) return admission(known, this.#limits(now))

    const refusal = this.refusalOf(ask.caller, now)
    if (refusal) return { admitted: false, refusal, tightest: null }

    const limits = this.#limits(now)
    const fit = this.#decide(limits, ask, now)
    if (!fit.fits) {
      this.#counters.refuse(now)
      return { admitted: false, refusal: fit.refusal, tightest: fit.limit }
    }
    const { hold: amount, granted_output_tokens, clamped } = fit
    for (const limit of limits) {
      limit.current_usage += partOf(amount, limit.limit_type)
      limit.held += partOf(amount, limit.limit_type)
    }
    const { request_id, draft } = ask
    const expires_at = now + this.#options.hold_ttl_ms
    const epoch = this.#epochOf(amount)
    const hold = { request_id, reserved_at: now, expires_at, amount, granted_output_tokens, clamped, draft, epoch }
    if (epoch === 0) this.#write(hold, limits)
    this.#holds.add(hold)
    this.#counters.hold(now, amount, 1)
    this.#reservedAt = now
    return admission(hold, limits)
  }

  #limits(now: number, snapshot = this.#config.snapshot): Limit[] {
    return snapshot ? limitsOf(this.#counters, this.#epochs.remnantsAt(now), snapshot, now) : []
  }

  /** A hold that lasts for days (a batch's) makes a cap full, not busy: nobody is told to come back in seconds for its sake. */
  #decide(limits: Limit[], ask: Ask, now: number): Fit {
    const fit = decide(limits, ask, now)
    const isHeld = limits.some(({ held }) => held > 0)
    if (fit.fits || fit.refusal.reason !== 'cap_exceeded' || !isHeld) return fit
    return decide(withLasting(limits, this.#counters, now + this.#options.hold_ttl_ms, now), ask, now)
  }

  /** The epoch whose ceiling allows this hold to be in memory alone; 0: it must be written. */
  #epochOf(amount: Amount): number {
    return covers(this.#epochs.ceiling, plus(this.#holds.unwritten, amount)) ? this.#epochs.current : 0
  }

  #write(hold: Hold, limits: Limit[]): void {
    const isBusy = hold.reserved_at - this.#reservedAt < BUSY_MS
    const ceiling = isBusy ? raisedCeiling(this.#epochs.ceiling, this.#holds.unwritten, hold.amount, limits) : null
    this.#transaction(() => {
      this.#reservations.hold(hold)
      if (ceiling) this.#epochs.raise(ceiling)
    })
  }

  /**
   * Whether an admitted call may still have its answer: false once its caller is refused, or a cap was lowered to 0 on
   * something that the call uses. Puts the call on record: a hold that is in memory alone is written, one that a crash took
   * before that is held again.
   */
  mayGoOn(call: CallUnderWay, now: number): boolean {
    if (this.#holds.find(call.request_id)?.epoch) this.writeHolds('all')
    else if (this.#endings.isLost(call, now)) {
      this.#transaction(() => this.#endings.holdAgain(call, call.reserved_at + this.#options.hold_ttl_ms))
    }
    // Only limits of 0 count, and as if nothing were used: a cap that is merely full ends no call. The other caps
    // are left out: to learn how full they are, a new life would read thousands of rows.
    const { snapshot } = this.#config
    const caps = snapshot?.caps.filter(({ limits }) => Object.values(limits).includes(0)) ?? []
    const closed = this.#limits(now, snapshot && { ...snapshot, caps }).filter(({ limit }) => limit === 0)
    const unused = closed.map((limit) => ({ ...limit, current_usage: 0, held: 0 }))
    return this.refusalOf(call.caller, now) === null && decide(unused, call, now).fits
  }

  /**
   * Gives the holds that are in memory alone their rows: all, or those that were already there the last time. From then on
   * a crash leaves the call on record. Returns when the first of them expires; null where none was due.
   */
  writeHolds(which: 'all' | 'aged' = 'aged'): number | null {
    const due = this.#holds.due(which)
    if (due.length === 0) return null
    this.#transaction(() => {
      for (const hold of due) this.#reservations.hold(hold)
    })
    for (const hold of due) this.#holds.written(hold)
    return Math.min(...due.map(({ expires_at }) => expires_at))
  }

  get areHoldsWritten(): boolean {
    return this.#holds.areAllWritten
  }

  /** Whether there is no ceiling: the object may end and leave nothing behind. */
  get isAtRest(): boolean {
    return this.#epochs.current === 0
  }

  /** Takes the ceiling away, unless a hold is in memory alone. */
  rest(): void {
    if (this.isAtRest || !this.#holds.areAllWritten) return
    this.#transaction(() => this.#epochs.end())
  }

  /**
   * Ends calls: hold off, usage on, event out; `released` charges nothing. Repeating it changes nothing. A call that had
   * expired is corrected by the difference, and its event replaced by one of a higher revision. All of them or none.
   */
  settle(settlements: Settlement[], now: number): void {
    const byId = new Map<string, Settlement>()
    for (const settlement of settlements) {
      if (!byId.has(settlement.request_id)) byId.set(settlement.request_id, settlement)
    }
    this.#transaction(() => {
      for (const settlement of byId.values()) this.#endings.settle(settlement, now)
    })
    for (const id of byId.keys()) this.#holds.remove(id)
  }

  /** The models that these calls asked for, by which they are priced; null where a call is not known. */
  requestModels(request_ids: string[]): (string | null)[] {
    return request_ids.map((id) => this.#endings.find(id)?.draft?.request_model ?? null)
  }

  /**
   * Ends calls that had gone on at the provider: for each the first conclusion counts. Calls that are not known here are
   * ignored; one that had expired is corrected. All of them or none.
   */
  conclude(conclusions: Conclusion[], now: number): void {
    const settlements = conclusions.flatMap((conclusion) => this.#endings.settlementOf(conclusion) ?? [])
    this.settle(settlements, now)
  }

  /**
   * The call that has been overdue for longest, or null. Its provider is to be asked how it ended. It is handed out once, so
   * that a crash makes nobody ask twice: unless it is concluded, it expires a minute from now.
   */
  takeOverdue(now: number): OverdueCall | null {
    return this.#reservations.takeOverdue(now, now + OVERDUE_MS)
  }

  /** Charges the hold of calls that never came back, each on its own. Returns how many; more may be due. */
  expire(now: number): number {
    this.writeHolds('all')
    this.#transaction(() => this.#epochs.expire(now))
    const due = this.#reservations.expired(now)
    for (const row of due) {
      this.#transaction(() => this.#endings.expire(row, now))
      this.#holds.remove(row.request_id)
    }
    return due.length
  }

  /** Forgets what no answer depends on any more. Once an hour: it reads a day's calls, and alarms ring each few seconds. */
  prune(now: number): void {
    if (hourOf(now) === this.#prunedHour) return
    this.#prunedHour = hourOf(now)
    // A forgotten call that is settled again would be taken for one that a crash took if its epoch had left a remnant. So this
    // life's epoch ends first, and nothing is forgotten while there are remnants.
    this.writeHolds('all')
    this.rest()
    const hasRemnants = !isNothing(this.#epochs.remnantsAt(now))
    this.#transaction(() => {
      if (!hasRemnants) this.#reservations.forgetEnded(now)
      this.#counters.fold()
    })
  }

  /** When the next hold that is written expires or is overdue; null where none is. */
  nextExpiry(): number | null {
    return this.#reservations.nextExpiry()
  }

  /** Why this caller may not act, or null; a null caller is the operator. */
  refusalOf(caller: Caller | null, now: number): Refusal | null {
    const { snapshot } = this.#config
    if (!snapshot) return { reason: 'no_config' }
    return caller && refuseCaller(snapshot, caller, now)
  }

  /** Usage as it is enforced; null where there is no snapshot. */
  status(now: number): Omit<LedgerStatus, 'outbox'> | null {
    const { snapshot } = this.#config
    if (!snapshot) return null
    const { version, status, time_zone, caps } = snapshot
    const remnants = this.#epochs.remnantsAt(now)
    const statusOf = (cap: Cap) => capStatus(this.#counters, remnants, cap, time_zone, now)
    return { version, status, time_zone, caps: caps.map(statusOf) }
  }

  get areRefusalsWritten(): boolean {
    return this.#counters.areRefusalsWritten
  }

  /** For a user who is only refused: otherwise every transaction writes the refusals so far. Prunes, as no alarm rings for them. */
  writeRefusals(now: number): void {
    this.#transaction(() => {})
    this.prune(now)
  }

  /** What memory has counted is only true if the transaction commits. */
  #transaction(body: () => void): void {
    try {
      this.#sql.transaction(() => {
        body()
        this.#counters.write()
      })
    } catch (error) {
      this.#counters.rolledBack()
      this.#epochs.forget()
      throw error
    }
    this.#counters.committed()
  }
}

function admission(
  { granted_output_tokens, clamped, amount, reserved_at, epoch }: Omit<KnownCall, 'outcome' | 'draft'>,
  limits: Limit[],
): Admission {
  return {
    admitted: true,
    granted_output_tokens,
    clamped,
    tightest: tightestOf(limits),
    hold: amountOf(amount),
    reserved_at,
    epoch,
  }
}
