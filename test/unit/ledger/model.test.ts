// The ledger against a model that keeps every call in a list and adds them up. Random lives: racing calls, settlements
// lost, repeated, late and together, calls that go on and are concluded, caps changed, clocks moved, crashes at any
// statement and between any two verbs, with holds that are in memory alone. Promises are checked after every step.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { add, amountOf, COMPONENTS, leftOf } from '../../../durable-objects/ledger/amounts.ts'
import { Ledger } from '../../../durable-objects/ledger/ledger.ts'
import type {
  Amount,
  Ask,
  Cap,
  Conclusion,
  Continuation,
  LimitType,
  Settlement,
  Snapshot,
  UsageEvent,
} from '../../../durable-objects/ledger/types.ts'
import { CAP_TYPES, LIMIT_TYPES } from '../../../durable-objects/ledger/types.ts'
import { windowOf } from '../../../durable-objects/ledger/windows.ts'
import { amount, ask, settlement, snapshot } from '../../support/ledger-fixtures.ts'
import { Crash, nodeSql } from '../../support/node-sql.ts'

const HOLD_TTL_MS = 20 * 60 * 1_000
const DAY_MS = 24 * 3_600 * 1_000
const START = Date.UTC(2026, 2, 28, 22, 50)

interface Call {
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

const HELD = { charged: null, expired: false, lost_until: null, gone: false }

/** `at` a statement, or where the verb has no more of them, `after` it: its answer is lost. */
type Crashing = { at: number; dies: boolean; after: boolean } | null

const minutes = (least: number, most: number) => fc.integer({ min: least, max: most }).map((it) => it * 60_000)

const wideOf = (wide: number) => fc.integer({ min: wide / 2, max: wide })
/** Tight ones, where every hold is written, and wide ones, under which there is a ceiling. */
const limitUpTo = (tight: number, wide: number) =>
  fc.option(fc.oneof(fc.nat(tight), wideOf(wide), wideOf(wide)), { nil: undefined })

const caps = fc
  .uniqueArray(
    fc.record({
      id: fc.uuid(),
      cap_type: fc.constantFrom(...CAP_TYPES),
      limits: fc
        .record({
          requests: limitUpTo(12, 600),
          tokens: limitUpTo(4_000, 400_000),
          cost: limitUpTo(5_000_000, 2_000_000_000),
        })
        .map((limits) => Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined))),
      on_exceed: fc.constantFrom<Cap['on_exceed']>('clamp', 'refuse'),
    }),
    { selector: (cap) => cap.cap_type, maxLength: 4 },
  )
  .map((list): Cap[] => list)

const timeZone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe')

const output = fc.record({
  max_tokens: fc.oneof(fc.constantFrom(16, 500), fc.integer({ min: 1, max: 2_000 })),
  min_tokens: fc.integer({ min: 1, max: 64 }),
  choices: fc.integer({ min: 1, max: 3 }),
  nano_usd_per_mtok: fc.constantFrom(0, 600_000_000, 75_000_000_000),
})

/** What a call used, as a part of its hold; null: unknown. */
const used = {
  share: fc.constantFrom(0, 0.5, 1, null),
  overrun: fc.boolean(),
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('reserve' as const),
      // Many at a time and much alike: that is when a ceiling is of use.
      times: fc.integer({ min: 1, max: 4 }),
      requests: fc.constantFrom(1, 1, 1, 1, 0, 20),
      input_tokens: fc.oneof(fc.constantFrom(0, 100, 5_000), fc.nat(500)),
      input_cost_nano_usd: fc.oneof(fc.constantFrom(0, 50_000), fc.nat(300_000)),
      output: fc.option(output),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('repeat' as const), call: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('ask' as const), call: fc.nat() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      calls: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
      ...used,
      release: fc.boolean(),
      // Few ids, so that calls meet at one; or the id of another call.
      continues: fc.option(fc.record({ as: fc.nat(11), for_ms: minutes(1, 60 * 48) })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('conclude' as const),
      calls: fc.array(fc.record({ goesOn: fc.boolean(), call: fc.nat() }), { minLength: 1, maxLength: 4 }),
      ...used,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.oneof(fc.nat(1_500), minutes(1, 90)) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('jump' as const), ms: minutes(-60 * 24 * 40, 60 * 24 * 40) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('expire' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('prune' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('configure' as const), caps, time_zone: timeZone }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      which: fc.constantFrom('all' as const, 'aged' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rest' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

/** A statement fails: the object dies with it, or only the verb does and the object lives on. */
const crash = fc.record({ at: fc.nat(8), dies: fc.boolean(), after: fc.boolean() })

const life = fc.record({
  caps,
  time_zone: timeZone,
  steps: fc.array(fc.record({ step, crash: fc.option(crash, { freq: 3 }) }), { maxLength: 60, size: 'max' }),
})

class Life {
  readonly sql = nodeSql()
  readonly calls = new Map<string, Call>()
  readonly asks: Ask[] = []
  /** Committed events by id: the highest revision counts, as in Postgres. */
  readonly events = new Map<string, UsageEvent>()
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

  /** What a cap's window holds, added up call by call: those that the ledger can know, or also those that it has lost. */
  usage(capType: Cap['cap_type'], limitType: LimitType, calls: 'known' | 'all' = 'known'): number {
    const { start, end } = windowOf(capType, this.config.time_zone, this.now)
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
    for (const [id, call] of this.calls) {
      const event = this.events.get(id)
      expect(event === undefined).toBe(call.charged === null)
      if (event && call.charged) expect(event).toMatchObject(call.charged)
    }
    expect(this.events.size).toBe([...this.calls.values()].filter(({ charged }) => charged !== null).length)
  }
}

const total = (amounts: Amount[], component: keyof Amount) => amounts.reduce((sum, it) => sum + it[component], 0)
const sumOf = (amounts: Amount[], limitType: LimitType) => amounts.reduce((sum, it) => sum + part(it, limitType), 0)

const part = (of: Amount, limitType: LimitType): number =>
  limitType === 'requests' ? of.requests : limitType === 'cost' ? of.cost_nano_usd : of.input_tokens + of.output_tokens

/** What an ask takes when each answer is bounded by so many tokens: by hand, in floats that are exact at this size. */
const taken = (asked: Ask, outputTokens: number): Amount => {
  const tokens = outputTokens * (asked.output?.choices ?? 1)
  return {
    requests: asked.requests,
    input_tokens: asked.input_tokens ?? 0,
    output_tokens: tokens,
    cost_nano_usd:
      (asked.input_cost_nano_usd ?? 0) + Math.ceil((tokens * (asked.output?.nano_usd_per_mtok ?? 0)) / 1e6),
  }
}

function reserve(life: Life, asked: Ask, crash: Crashing): void {
  let before = life.limits()
  let ceiling = life.ceiling()
  const decision = life.run(() => {
    // A hold that was written before its answer was lost is only told again.
    if (!life.hasRow(asked.request_id)) [before, ceiling] = [life.limits(), life.ceiling()]
    return life.ledger.reserve(asked, life.now)
  }, crash)
  const fits = (amount: Amount, limits = before) =>
    limits.every(({ limit, usage, limitType }) => usage + part(amount, limitType) <= limit)
  const whole = taken(asked, asked.output?.max_tokens ?? 0)
  const strict = before.filter(({ cap }) => cap.on_exceed === 'refuse')
  const useful = taken(asked, Math.min(asked.output?.min_tokens ?? 0, asked.output?.max_tokens ?? 0))

  if (!decision.admitted) {
    expect(fits(whole)).toBe(false)
    const isPartRefused = fits(whole, strict) && fits(useful) && asked.output !== null
    if (isPartRefused) expect(decision.refusal).toMatchObject({ is_busy: true })
    return
  }
  const { hold, reserved_at, epoch } = decision
  expect(reserved_at).toBe(life.now)
  const expires_at = reserved_at + HOLD_TTL_MS
  life.calls.set(asked.request_id, { ...HELD, reserved_at, expires_at, hold, epoch })
  expect(fits(hold)).toBe(true)
  expect(before.every(({ limit, atLeast, limitType }) => atLeast + part(hold, limitType) <= limit)).toBe(true)
  expect(epoch === 0).toBe(life.hasRow(asked.request_id))
  checkRaise(life, ceiling)
  expect(decision.clamped).toBe(!fits(whole))
  if (decision.clamped) {
    const granted = decision.granted_output_tokens ?? 0
    expect(granted).toBeGreaterThanOrEqual(Math.min(asked.output?.min_tokens ?? 0, asked.output?.max_tokens ?? 0))
    expect(decision.hold).toEqual(taken(asked, granted))
    expect(fits(taken(asked, granted + 1))).toBe(false)
  } else expect(decision.hold).toEqual(whole)
}

/** A ceiling is never raised above what is left under any cap, nor far into it. */
function checkRaise(life: Life, before: Amount | null): void {
  const ceiling = life.ceiling()
  if (!ceiling || COMPONENTS.every((part) => ceiling[part] === before?.[part])) return
  const unwritten = life.unwritten().map(({ hold }) => hold)
  for (const { limit, usage, limitType } of life.limits()) {
    const more = part(ceiling, limitType) - sumOf(unwritten, limitType)
    expect(more).toBeLessThanOrEqual((limit - usage) / 16)
  }
}

function settleAll(
  life: Life,
  ids: string[],
  endOf: (call: Call) => Settlement['usage'],
  end: Pick<Settlement, 'outcome' | 'continues'>,
  crash: Crashing,
) {
  const ended = new Map<string, { call: Call; settlement: Settlement }>()
  for (const id of ids) {
    const call = life.calls.get(id)
    if (!call) continue
    const { reserved_at, hold, epoch } = call
    ended.set(id, { call, settlement: settlement(id, reserved_at, { ...end, usage: endOf(call), hold, epoch }) })
  }
  const settlements = ids.flatMap((id) => ended.get(id)?.settlement ?? [])
  let forgotten: string[] = []
  life.run(() => {
    forgotten = [...ended.keys()].filter((id) => isForgotten(life, id))
    life.ledger.settle(settlements, life.now)
  }, crash)
  for (const [id, { call, settlement }] of ended) {
    if ((call.charged && !call.expired) || forgotten.includes(id)) continue
    const { outcome, usage, continues } = settlement
    const isTaken = continues !== null && life.calls.has(continues.request_id)
    call.charged = outcome === 'released' ? amount({}) : amountOf(usage ?? call.hold)
    // Never less than it used, never less than it held.
    if (isTaken && outcome === 'settled') add(call.charged, leftOf(call.hold, call.charged))
    call.expired = false
    call.lost_until = null
    if (continues && !isTaken && (usage !== null || outcome === 'released')) goOn(life, continues, call)
  }
}

/** What goes on holds what the call before it has left, and no more: settling it takes no room under any cap. */
function goOn(life: Life, { request_id, for_ms }: Continuation, { reserved_at, hold, charged }: Call): void {
  const [row] = life.sql.peek<Amount>('select * from reservations where request_id = ?', request_id)
  const left = amountOf(row ?? amount({}))
  for (const part of COMPONENTS) expect(left[part]).toBeLessThanOrEqual(hold[part])
  for (const limitType of LIMIT_TYPES) {
    const rest = part(hold, limitType) - part(charged ?? hold, limitType)
    expect(part(left, limitType)).toBe(Math.max(0, rest))
  }
  life.calls.set(request_id, { ...HELD, reserved_at, expires_at: life.now + for_ms, hold: left, epoch: 0 })
}

/** Whatever is out has its row then; what a crash took in its remnant's place, where that is still there. */
function mayGoOn(life: Life, id: string, crash: Crashing): void {
  const call = life.calls.get(id)
  const asked = life.asks.find(({ request_id }) => request_id === id)
  if (!call || !asked) return
  const { hold, reserved_at, epoch } = call
  const admission = { granted_output_tokens: null, clamped: false, hold, reserved_at, epoch }
  let isOut = false
  const may = life.run(() => {
    isOut = call.charged === null && (call.lost_until === null || life.now - reserved_at <= DAY_MS)
    return life.ledger.mayGoOn({ ...asked, ...admission }, life.now)
  }, crash)
  const whole = taken(asked, asked.output?.max_tokens ?? 0)
  const isOpen = ({ limits }: Cap) =>
    LIMIT_TYPES.every((limitType) => limits[limitType] !== 0 || part(whole, limitType) === 0)
  expect(may).toBe(life.config.caps.every(isOpen))
  if (!isOut) return
  expect(life.hasRow(id)).toBe(true)
  Object.assign(call, { lost_until: null, gone: false })
}

function conclude(life: Life, ids: string[], usageOf: (call: Call) => Settlement['usage'], crash: Crashing): void {
  const conclusions = ids.map((request_id): Conclusion => {
    const call = life.calls.get(request_id)
    const { draft, facts } = settlement(request_id, START)
    const usage = call ? usageOf(call) : amount({ input_tokens: 5 })
    return { request_id, usage, usage_source: 'reported', draft, facts }
  })
  let known: string[] = []
  life.run(() => {
    known = ids.filter((id) => life.calls.get(id)?.lost_until === null)
    life.ledger.conclude(conclusions, life.now)
  }, crash)
  for (const id of new Set(known)) {
    const call = life.calls.get(id)
    if (!call || (call.charged && !call.expired)) continue
    Object.assign(call, { charged: usageOf(call) ?? call.hold, expired: false, lost_until: null })
  }
}

/** A call that a crash took, that comes back more than a day after it began, and whose remnant is gone. */
function isForgotten(life: Life, id: string): boolean {
  const call = life.calls.get(id)
  // With a row, it has come back: only the answer to that was lost.
  if (!call || call.charged !== null || call.lost_until === null || life.hasRow(id)) return false
  const remnant = life.sql.peek('select 1 from epochs where epoch = ? and expires_at is not null', call.epoch)
  return remnant.length === 0 && life.now - call.reserved_at > DAY_MS
}

test('no cap is exceeded, and nothing is lost or counted twice, whatever happens', () => {
  let id = 0
  fc.assert(
    fc.property(life, ({ caps, time_zone, steps }) => {
      const life = new Life(snapshot(caps, { time_zone }))
      for (const { step, crash } of steps) {
        const ids = [...life.calls.keys()]
        const pick = (index: number) => ids[index % Math.max(ids.length, 1)]
        switch (step.do) {
          case 'reserve': {
            const { times, requests, input_tokens, input_cost_nano_usd, output } = step
            for (let i = 0; i < times; i++) {
              const asked = ask(`call-${id++}`, { requests, input_tokens, input_cost_nano_usd, output })
              life.asks.push(asked)
              reserve(life, asked, i === times - 1 ? crash : null)
            }
            break
          }
          case 'repeat': {
            const asked = life.asks.find(({ request_id }) => request_id === pick(step.call))
            const call = asked && life.calls.get(asked.request_id)
            if (!asked || !call) break
            // Who has had the answer of a call that a crash took does not ask for it again.
            const decision = life.run(() => call.lost_until ?? life.ledger.reserve(asked, life.now), crash)
            if (call.lost_until === null && typeof decision === 'object')
              expect(decision).toMatchObject({ admitted: true, reserved_at: call.reserved_at, hold: expect.anything() })
            break
          }
          case 'ask': {
            const id = pick(step.call)
            if (id) mayGoOn(life, id, crash)
            break
          }
          case 'settle': {
            const picked = step.calls.flatMap((index) => pick(index) ?? [])
            const outcome = step.release ? 'released' : 'settled'
            settleAll(life, picked, usageOf(step), { outcome, continues: continuationOf(life, step.continues) }, crash)
            break
          }
          case 'conclude': {
            const goOn = ids.filter((id) => id.startsWith(GOES_ON))
            const picked = step.calls.map(({ goesOn, call }) => {
              const among = [...(goesOn ? goOn : ids), 'unknown']
              return among[call % among.length] ?? 'unknown'
            })
            conclude(life, picked, usageOf(step), crash)
            break
          }
          case 'wait':
          case 'jump':
            life.moveClock(step.ms)
            break
          case 'expire':
            life.run(() => life.ledger.expire(life.now), crash)
            for (const { charged, expires_at, lost_until } of life.calls.values()) {
              expect(charged !== null || lost_until !== null || expires_at > life.now).toBe(true)
            }
            break
          case 'prune':
            life.run(() => life.ledger.prune(life.now), crash)
            break
          case 'configure': {
            const { caps, time_zone } = step
            const next = snapshot(caps, { time_zone, version: life.config.version + 1 })
            life.run(() => life.ledger.configure(next, life.now), crash)
            life.config = next
            break
          }
          case 'write':
            life.run(() => life.ledger.writeHolds(step.which), crash)
            if (step.which === 'all') expect(life.unwritten()).toEqual([])
            break
          case 'rest':
            life.run(() => life.ledger.rest(), crash)
            expect(life.ceiling() === null).toBe(life.ledger.isAtRest)
            if (life.unwritten().length === 0) expect(life.ceiling()).toBeNull()
            break
          case 'restart':
            life.die(crash)
        }
        life.check()
      }
      life.sql.close()
    }),
    { numRuns: 500 },
  )
}, 120_000)

const GOES_ON = 'goes-on-'

/** Under an id of its own, or one that is taken; not that of a call that a crash has taken, or may take. */
function continuationOf(life: Life, continues: { as: number; for_ms: number } | null): Continuation | null {
  if (!continues) return null
  const written = [...life.calls.keys()].filter((id) => life.hasRow(id))
  const request_id = continues.as < 8 ? `${GOES_ON}${continues.as}` : written[continues.as % written.length]
  return request_id === undefined ? null : { request_id, for_ms: continues.for_ms }
}

const usageOf =
  ({ share, overrun }: { share: number | null; overrun: boolean }) =>
  ({ hold }: Call): Amount | null =>
    share === null ? null : scaled(hold, share, overrun ? 7 : 0)

const scaled = (hold: Amount, share: number, more: number): Amount => ({
  requests: 1,
  input_tokens: Math.floor(hold.input_tokens * share) + more,
  output_tokens: Math.floor(hold.output_tokens * share) + more,
  cost_nano_usd: Math.floor(hold.cost_nano_usd * share) + more,
})
