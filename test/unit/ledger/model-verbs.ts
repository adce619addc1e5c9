// Each verb on a ledger and on its model, and what must hold between the two.

import { expect } from 'vitest'
import { add, amountOf, COMPONENTS, leftOf } from '../../../durable-objects/ledger/amounts.ts'
import type { Amount, Ask, Cap, Conclusion, Continuation, Settlement } from '../../../durable-objects/ledger/types.ts'
import { LIMIT_TYPES } from '../../../durable-objects/ledger/types.ts'
import { amount, settlement } from '../../support/ledger-fixtures.ts'
import { type Call, type Crashing, HELD, HOLD_TTL_MS, type Life, part, START, sumOf } from './model-life.ts'

const DAY_MS = 24 * 3_600 * 1_000

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

export function reserve(life: Life, asked: Ask, crash: Crashing): void {
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

export function settleAll(
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
export function mayGoOn(life: Life, id: string, crash: Crashing): void {
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

export function conclude(
  life: Life,
  ids: string[],
  usageOf: (call: Call) => Settlement['usage'],
  crash: Crashing,
): void {
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

export const GOES_ON = 'goes-on-'

/** Under an id of its own, or one that is taken; not that of a call that a crash has taken, or may take. */
export function continuationOf(life: Life, continues: { as: number; for_ms: number } | null): Continuation | null {
  if (!continues) return null
  const written = [...life.calls.keys()].filter((id) => life.hasRow(id))
  const request_id = continues.as < 8 ? `${GOES_ON}${continues.as}` : written[continues.as % written.length]
  return request_id === undefined ? null : { request_id, for_ms: continues.for_ms }
}

export const usageOf =
  ({ share, overrun }: { share: number | null; overrun: boolean }) =>
  ({ hold }: Call): Amount | null =>
    share === null ? null : scaled(hold, share, overrun ? 7 : 0)

const scaled = (hold: Amount, share: number, more: number): Amount => ({
  requests: 1,
  input_tokens: Math.floor(hold.input_tokens * share) + more,
  output_tokens: Math.floor(hold.output_tokens * share) + more,
  cost_nano_usd: Math.floor(hold.cost_nano_usd * share) + more,
})
