// The ledger against a model that keeps every call in a list and adds them up. Random lives: racing calls, settlements
// lost, repeated and late, caps changed, clocks moved, crashes at any statement. Promises are checked after every step.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Ledger } from '../../../durable-objects/ledger/ledger.ts'
import type {
  Amount,
  Ask,
  Cap,
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
const START = Date.UTC(2026, 2, 28, 22, 50)

interface Call {
  reserved_at: number
  hold: Amount
  /** Null while it is held. */
  charged: Amount | null
  expired: boolean
}

type Crashing = { at: number; dies: boolean } | null

const minutes = (least: number, most: number) => fc.integer({ min: least, max: most }).map((it) => it * 60_000)

const caps = fc
  .uniqueArray(
    fc.record({
      id: fc.uuid(),
      cap_type: fc.constantFrom(...CAP_TYPES),
      limits: fc
        .record({
          requests: fc.option(fc.nat(12), { nil: undefined }),
          tokens: fc.option(fc.nat(4_000), { nil: undefined }),
          cost: fc.option(fc.nat(5_000_000), { nil: undefined }),
        })
        .map((limits) => Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined))),
      on_exceed: fc.constantFrom<Cap['on_exceed']>('clamp', 'refuse'),
    }),
    { selector: (cap) => cap.cap_type, maxLength: 4 },
  )
  .map((list): Cap[] => list)

const timeZone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe')

const output = fc.record({
  max_tokens: fc.integer({ min: 1, max: 2_000 }),
  min_tokens: fc.integer({ min: 1, max: 64 }),
  choices: fc.integer({ min: 1, max: 3 }),
  nano_usd_per_mtok: fc.constantFrom(0, 600_000_000, 75_000_000_000),
})

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('reserve' as const),
      input_tokens: fc.nat(500),
      input_cost_nano_usd: fc.nat(300_000),
      output: fc.option(output),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('repeat' as const), call: fc.nat() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      call: fc.nat(),
      share: fc.constantFrom(0, 0.5, 1, null),
      overrun: fc.boolean(),
      release: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: minutes(1, 90) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('jump' as const), ms: minutes(-60 * 24 * 40, 60 * 24 * 40) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('expire' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('prune' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('configure' as const), caps, time_zone: timeZone }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

/** A statement fails: the object dies with it, or only the verb does and the object lives on. */
const crash = fc.record({ at: fc.nat(8), dies: fc.boolean() })

const life = fc.record({
  caps,
  time_zone: timeZone,
  steps: fc.array(fc.record({ step, crash: fc.option(crash, { freq: 3 }) }), { maxLength: 40 }),
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
    return new Ledger(this.sql, { hold_ttl_ms: HOLD_TTL_MS, emit: (event) => this.pending.push(event) })
  }

  /** Runs one verb, failing at a statement if told so, and then tries it again. */
  run<T>(verb: () => T, crash: Crashing): T {
    this.sql.crashAfter(crash?.at ?? null)
    try {
      return verb()
    } catch (error) {
      if (!(error instanceof Crash)) throw error
      this.sql.crashAfter(null)
      if (crash?.dies) this.ledger = this.open()
      this.check()
      return verb()
    } finally {
      this.sql.crashAfter(null)
    }
  }

  commit(): void {
    for (const event of this.pending) {
      const known = this.events.get(event.id)
      expect(known === undefined || known.revision < event.revision).toBe(true)
      this.events.set(event.id, event)
      const call = this.calls.get(event.id)
      if (call && event.outcome === 'expired') {
        expect(call.reserved_at + HOLD_TTL_MS).toBeLessThanOrEqual(this.now)
        expect(call.charged).toBeNull()
        Object.assign(call, { charged: call.hold, expired: true })
      }
    }
    this.pending = []
  }

  rollBack(): void {
    this.pending = []
  }

  /** What a cap's window holds, added up call by call. */
  usage(capType: Cap['cap_type'], limitType: LimitType): number {
    const { start, end } = windowOf(capType, this.config.time_zone, this.now)
    let sum = 0
    for (const { reserved_at, charged, hold } of this.calls.values()) {
      if (reserved_at >= start && (end === null || reserved_at < end)) sum += part(charged ?? hold, limitType)
    }
    return sum
  }

  limits() {
    return this.config.caps.flatMap((cap) =>
      LIMIT_TYPES.flatMap((limitType) => {
        const limit = cap.limits[limitType]
        return limit === undefined ? [] : { cap, limitType, limit, usage: this.usage(cap.cap_type, limitType) }
      }),
    )
  }

  check(): void {
    const status = this.ledger.status(this.now)
    for (const cap of status?.caps ?? []) {
      for (const limitType of LIMIT_TYPES) {
        expect(cap.current_usage[limitType]).toBe(this.usage(cap.cap_type, limitType))
      }
    }
    for (const [id, call] of this.calls) {
      const event = this.events.get(id)
      expect(event === undefined).toBe(call.charged === null)
      if (event && call.charged) expect(event).toMatchObject(call.charged)
    }
    expect(this.events.size).toBe([...this.calls.values()].filter(({ charged }) => charged !== null).length)
  }
}

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
  const before = life.limits()
  const decision = life.run(() => life.ledger.reserve(asked, life.now), crash)
  const fits = (amount: Amount, limits = before) =>
    limits.every(({ limit, usage, limitType }) => usage + part(amount, limitType) <= limit)
  const whole = taken(asked, asked.output?.max_tokens ?? 0)
  const strict = before.filter(({ cap }) => cap.on_exceed === 'refuse')
  const useful = taken(asked, Math.min(asked.output?.min_tokens ?? 0, asked.output?.max_tokens ?? 0))

  if (!decision.admitted) {
    expect(fits(whole) || (fits(whole, strict) && fits(useful) && asked.output !== null)).toBe(false)
    return
  }
  life.calls.set(asked.request_id, { reserved_at: life.now, hold: decision.hold, charged: null, expired: false })
  expect(fits(decision.hold)).toBe(true)
  expect(decision.clamped).toBe(!fits(whole))
  if (decision.clamped) {
    const granted = decision.granted_output_tokens ?? 0
    expect(granted).toBeGreaterThanOrEqual(Math.min(asked.output?.min_tokens ?? 0, asked.output?.max_tokens ?? 0))
    expect(decision.hold).toEqual(taken(asked, granted))
    expect(fits(taken(asked, granted + 1))).toBe(false)
  } else expect(decision.hold).toEqual(whole)
}

function settle(life: Life, id: string, call: Call, end: Pick<Settlement, 'usage' | 'outcome'>, crash: Crashing) {
  const request = settlement(id, call.reserved_at, { ...end, hold: call.hold })
  life.run(() => life.ledger.settle(request, life.now), crash)
  if (call.charged && !call.expired) return
  call.charged = end.outcome === 'released' ? amount({}) : (end.usage ?? call.hold)
  call.expired = false
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
            const { input_tokens, input_cost_nano_usd, output } = step
            const asked = ask(`call-${id++}`, { input_tokens, input_cost_nano_usd, output })
            life.asks.push(asked)
            reserve(life, asked, crash)
            break
          }
          case 'repeat': {
            const asked = life.asks.find(({ request_id }) => request_id === pick(step.call))
            const call = asked && life.calls.get(asked.request_id)
            if (!asked || !call) break
            const decision = life.run(() => life.ledger.reserve(asked, life.now), crash)
            expect(decision).toMatchObject({ admitted: true, reserved_at: call.reserved_at })
            break
          }
          case 'settle': {
            const picked = pick(step.call)
            const call = picked === undefined ? undefined : life.calls.get(picked)
            if (!picked || !call) break
            const usage = step.share === null ? null : scaled(call.hold, step.share, step.overrun ? 7 : 0)
            settle(life, picked, call, { usage, outcome: step.release ? 'released' : 'settled' }, crash)
            break
          }
          case 'wait':
          case 'jump':
            life.now += step.ms
            break
          case 'expire':
            life.run(() => life.ledger.expire(life.now), crash)
            for (const { charged, reserved_at } of life.calls.values()) {
              expect(charged !== null || reserved_at + HOLD_TTL_MS > life.now).toBe(true)
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
          case 'restart':
            life.ledger = life.open()
        }
        life.check()
      }
      life.sql.close()
    }),
    { numRuns: 1_000 },
  )
})

const scaled = (hold: Amount, share: number, more: number): Amount => ({
  requests: 1,
  input_tokens: Math.floor(hold.input_tokens * share) + more,
  output_tokens: Math.floor(hold.output_tokens * share) + more,
  cost_nano_usd: Math.floor(hold.cost_nano_usd * share) + more,
})
