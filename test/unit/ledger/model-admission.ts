// Who is admitted, with how much, and who is refused and why: on a ledger and on its model.

import { expect } from 'vitest'
import { COMPONENTS } from '../../../durable-objects/ledger/amounts.ts'
import type { Amount, Ask, Cap, LimitType, Refusal } from '../../../durable-objects/ledger/types.ts'
import { LIMIT_TYPES } from '../../../durable-objects/ledger/types.ts'
import { type Call, HELD, HOLD_TTL_MS, isHeld, part, sumOf } from './model-call.ts'
import type { Crashing, Life } from './model-life.ts'

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

/** Why this caller may not act at all, or null. */
function barred(life: Life, { caller: { key_id, scope } }: Ask): Refusal['reason'] | null {
  if (!life.config) return 'no_config'
  if (life.config.status !== 'active') return life.config.status
  if (key_id === null) return null
  const key = life.config.keys.find(({ id }) => id === key_id)
  if (!key) return 'unknown_key'
  if (key.expires_at !== null && life.now >= key.expires_at) return 'expired_key'
  return key.scopes.includes(scope) ? null : 'missing_scope'
}

/** What is not known of a call, though a cap counts it: unknown never means free. */
function unknownPart({ input_tokens, input_cost_nano_usd, output }: Ask, limitTypes: LimitType[]): string | null {
  const hasPrice = input_cost_nano_usd !== null && output?.nano_usd_per_mtok !== null
  if (!limitTypes.some((it) => it !== 'requests')) return null
  if (input_tokens === null) return 'unbounded input'
  if (!hasPrice && limitTypes.includes('cost')) return 'unpriced'
  return output?.max_tokens === null ? 'unbounded output' : null
}

/** A client does not have its answer cut shorter than that only because others are in flight. */
const WORTH_WAITING_TOKENS = 1_000

type ModelLimit = ReturnType<typeof limitsOf>[number]

/** Every limit, with what is about to end of its usage. Read before a decision: a crash in its midst makes more of it. */
const limitsOf = (life: Life) => life.limits().map((limit) => ({ ...limit, inFlight: aboutToEnd(life, limit) }))

/**
 * Who is in the way of a call, and with how much: none where it is to be admitted. It is `busy` where all would have room if
 * the calls that are about to end used nothing.
 */
function obstacles(asked: Ask, limits: ModelLimit[]) {
  const most = asked.output?.max_tokens ?? 0
  const least = Math.min(asked.output?.min_tokens ?? 0, most)
  const shutTo = (tokens: number) =>
    limits.flatMap((limit) => {
      const bound = limit.cap.on_exceed === 'clamp' ? Math.min(tokens, most) : most
      const asks = part(taken(asked, bound), limit.limitType)
      if (limit.usage + asks <= limit.limit) return []
      return [{ limit, asks, isBusy: limit.usage - limit.inFlight + asks <= limit.limit }]
    })
  const shut = shutTo(least)
  if (shut.length > 0) return shut
  const cut = shutTo(WORTH_WAITING_TOKENS)
  return cut.every(({ isBusy }) => isBusy) ? cut : []
}

/** What is in flight for no longer than any call is; a batch is. None of the requests: one in flight is used. */
function aboutToEnd(life: Life, { cap: { cap_type }, limitType }: ReturnType<Life['limits']>[number]): number {
  if (limitType === 'requests') return 0
  const lasts = (id: string, call: Call) => life.hasRow(id) && call.expires_at > life.now + HOLD_TTL_MS
  const lasting = new Set([...life.calls].filter(([id, call]) => isHeld(call) && lasts(id, call)).map(([, it]) => it))
  const held = life.sum(cap_type, limitType, (call) => (isHeld(call) && !lasting.has(call) ? call.hold : null))
  return held + sumOf(life.heldRemnants(), limitType)
}

export function reserve(life: Life, asked: Ask, crash: Crashing): void {
  let before = limitsOf(life)
  let ceiling = life.ceiling()
  const decision = life.run(() => {
    // A hold that was written before its answer was lost is only told again.
    if (!life.hasRow(asked.request_id)) [before, ceiling] = [limitsOf(life), life.ceiling()]
    return life.ledger.reserve(asked, life.now)
  }, crash)
  const limitTypes = before.map(({ limitType }) => limitType)
  const isMetered = limitTypes.some((it) => it !== 'requests')
  const fits = (amount: Amount) =>
    before.every(({ limit, usage, limitType }) => usage + part(amount, limitType) <= limit)
  const whole = taken(asked, asked.output?.max_tokens ?? 0)
  const bar = barred(life, asked)
  const unknown = bar ? null : unknownPart(asked, limitTypes)

  if (!decision.admitted) {
    const { refusal } = decision
    if (bar) {
      expect(refusal.reason).toBe(bar)
      return
    }
    life.refusals.push({ at: life.now, written: false })
    if (unknown) expect(refusal.reason === 'unbounded' ? `unbounded ${refusal.part}` : refusal.reason).toBe(unknown)
    else checkRefusal(life, obstacles(asked, before), refusal)
    return
  }
  const { hold, reserved_at, epoch } = decision
  expect({ bar, unknown, reserved_at }).toEqual({ bar: null, unknown: null, reserved_at: life.now })
  expect(obstacles(asked, before)).toEqual([])
  const expires_at = reserved_at + HOLD_TTL_MS
  const { request_model } = asked.draft
  const call = { ...HELD, reserved_at, expires_at, hold, epoch, request_model: request_model ?? '' }
  life.calls.set(asked.request_id, call)
  expect(fits(hold)).toBe(true)
  expect(before.every(({ limit, atLeast, limitType }) => atLeast + part(hold, limitType) <= limit)).toBe(true)
  expect(epoch === 0).toBe(life.hasRow(asked.request_id))
  checkRaise(life, ceiling)
  expect(decision.clamped).toBe(!fits(whole))
  const granted = decision.granted_output_tokens
  expect(granted !== null).toBe(isMetered && asked.output !== null)
  expect(hold).toEqual(taken(asked, granted ?? asked.output?.max_tokens ?? 0))
  if (!decision.clamped) expect(hold).toEqual(whole)
  else expect(fits(taken(asked, (granted ?? 0) + 1))).toBe(false)
}

/** It names the limit that stays shut longest, and until when: whoever waits for that gets in. */
function checkRefusal(life: Life, obstacles_: ReturnType<typeof obstacles>, refusal: Refusal): void {
  const is_busy = obstacles_.every(({ isBusy }) => isBusy)
  const opensAt = ({ limit: { cap, limit }, asks }: (typeof obstacles_)[number]) =>
    asks > limit ? Number.POSITIVE_INFINITY : (life.windowOf(cap.cap_type).end ?? Number.POSITIVE_INFINITY)
  const inTheWay = obstacles_.filter(({ isBusy }) => isBusy === is_busy)
  const opens = Math.max(...inTheWay.map(opensAt))
  const facts = inTheWay
    .filter((it) => opensAt(it) === opens)
    .map(({ limit: { cap, limitType, limit, usage }, asks }) => ({
      reason: 'cap_exceeded',
      exceeded: expect.objectContaining({
        cap_id: cap.id,
        limit_type: limitType,
        limit,
        current_usage: usage,
        reset_at: Number.isFinite(opens) ? opens : null,
      }),
      asked: asks,
      is_busy,
      now: life.now,
    }))
  expect(facts).toContainEqual(refusal)
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
    LIMIT_TYPES.every(
      (limitType) =>
        limits[limitType] !== 0 || (part(whole, limitType) === 0 && unknownPart(asked, [limitType]) === null),
    )
  expect(may).toBe(barred(life, asked) === null && (life.config?.caps ?? []).every(isOpen))
  if (!isOut) return
  expect(life.hasRow(id)).toBe(true)
  if (call.lost_until !== null) life.takeBack(call)
  Object.assign(call, { lost_until: null, gone: false })
}
