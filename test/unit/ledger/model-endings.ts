// How calls end: on a ledger and on its model.

import { expect } from 'vitest'
import { add, amountOf, COMPONENTS, leftOf } from '../../../durable-objects/ledger/amounts.ts'
import type { Amount, Conclusion, Continuation, Settlement } from '../../../durable-objects/ledger/types.ts'
import { LIMIT_TYPES } from '../../../durable-objects/ledger/types.ts'
import { amount, DRAFT, settlement } from '../../support/ledger-fixtures.ts'
import { type Call, GOES_ON, HELD, hasExpired, isHeld, part } from './model-call.ts'
import { START } from './model-history.ts'
import type { Crashing, Life } from './model-life.ts'

const MINUTE_MS = 60 * 1_000
const DAY_MS = 24 * 60 * MINUTE_MS

/** The n-th of a step's ends differs from the others, so that it shows which of two counts. */
type UsageOf = (call: Call, n: number) => Settlement['usage']

export function settleAll(
  life: Life,
  ids: string[],
  usageOf: UsageOf,
  end: Pick<Settlement, 'outcome' | 'continues'>,
  crash: Crashing,
) {
  const settlements = ids.flatMap((id, n): Settlement[] => {
    const call = life.calls.get(id)
    if (!call) return []
    const { reserved_at, hold, epoch, request_model } = call
    const usage = usageOf(call, n)
    const draft = { ...DRAFT, request_model }
    return [settlement(id, reserved_at, { ...end, usage, usage_source: sourceOf(usage), hold, epoch, draft })]
  })
  let forgotten: string[] = []
  life.run(() => {
    forgotten = ids.filter((id) => isNotAwaited(life, id))
    life.ledger.settle(settlements, life.now)
  }, crash)
  // Of two ends of one call the first counts.
  for (const [n, { request_id: id, outcome, usage, continues }] of settlements.entries()) {
    const call = life.calls.get(id)
    if (!call || ids.indexOf(id) < n || (call.charged && !hasExpired(call)) || forgotten.includes(id)) continue
    const isTaken = continues !== null && life.calls.has(continues.request_id)
    const charged = outcome === 'released' ? amount({}) : amountOf(usage ?? call.hold)
    // Never less than it used, never less than it held.
    const isHoldCharged = outcome === 'settled' && isTaken && usage !== null
    if (isHoldCharged) add(charged, leftOf(call.hold, charged))
    endAs(life, call, outcome, charged, isHoldCharged ? 'hold' : sourceOf(usage))
    if (continues && !isTaken && (usage !== null || outcome === 'released')) goOn(life, continues, call)
  }
}

const sourceOf = (usage: object | null): Settlement['usage_source'] => (usage ? 'reported' : 'hold')

function endAs(
  life: Life,
  call: Call,
  outcome: Settlement['outcome'],
  charged: Amount,
  usage_source: Settlement['usage_source'],
): void {
  if (call.lost_until !== null) life.takeBack(call)
  const overrun = LIMIT_TYPES.some((limitType) => part(charged, limitType) > part(call.hold, limitType))
  const revision = hasExpired(call) ? 1 : 0
  call.end = { outcome, usage_source, overrun, revision, settled_at: life.now }
  Object.assign(call, { charged, lost_until: null })
}

/** Of a call that was refused, as nobody heard, or that the ledger never heard of. */
export function settleUnknown(life: Life, id: string, outcome: Settlement['outcome'], crash: Crashing): void {
  const [hold, usage] = [amount({ requests: 1, input_tokens: 9 }), amount({ requests: 1, input_tokens: 7 })]
  const draft = { ...DRAFT, request_model: id }
  const end = settlement(id, life.now, { outcome, hold, usage, draft })
  life.run(() => life.ledger.settle([end], life.now), crash)
  // Released, it is no call at all.
  if (outcome === 'released' || life.calls.has(id)) return
  const call: Call = { ...HELD, reserved_at: life.now, expires_at: life.now, hold, epoch: 0, request_model: id }
  endAs(life, call, outcome, usage, 'reported')
  life.calls.set(id, call)
}

/** What goes on holds what the call before it has left, and no more: settling it takes no room under any cap. */
function goOn(life: Life, { request_id, for_ms, provider_id }: Continuation, began: Call): void {
  const { hold, charged, reserved_at, request_model } = began
  const [row] = life.sql.peek<Amount>('select * from reservations where request_id = ?', request_id)
  const left = amountOf(row ?? amount({}))
  for (const part of COMPONENTS) expect(left[part]).toBeLessThanOrEqual(hold[part])
  for (const limitType of LIMIT_TYPES) {
    const rest = part(hold, limitType) - part(charged ?? hold, limitType)
    expect(part(left, limitType)).toBe(Math.max(0, rest))
  }
  const expires_at = life.now + for_ms
  life.calls.set(request_id, {
    ...HELD,
    reserved_at,
    expires_at,
    hold: left,
    epoch: 0,
    request_model,
    provider_id: provider_id ?? null,
  })
}

export function conclude(life: Life, ids: string[], usageOf: UsageOf, isPriced: boolean, crash: Crashing): void {
  const usages = ids.map((id, n) => {
    const call = life.calls.get(id)
    return call ? usageOf(call, n) : amount({ input_tokens: 5 })
  })
  const conclusions = ids.map((request_id, n): Conclusion => {
    const usage = usages[n] ?? null
    const cost = isPriced ? usage?.cost_nano_usd : null
    const { draft, facts } = settlement(request_id, START)
    return {
      request_id,
      usage: usage && { ...usage, cost_nano_usd: cost ?? null },
      usage_source: sourceOf(usage),
      draft,
      facts,
    }
  })
  checkModels(life, ids)
  let known: string[] = []
  life.run(() => {
    known = ids.filter((id) => life.calls.get(id)?.lost_until === null && !isNotAwaited(life, id))
    life.ledger.conclude(conclusions, life.now)
  }, crash)
  for (const [n, id] of ids.entries()) {
    const call = life.calls.get(id)
    if (!call || ids.indexOf(id) < n || !known.includes(id) || (call.charged && !hasExpired(call))) continue
    const usage = usages[n]
    const { cost_nano_usd } = isPriced && usage ? usage : call.hold
    endAs(life, call, 'settled', { ...amountOf(usage ?? call.hold), cost_nano_usd }, sourceOf(usage ?? null))
  }
}

/** What a call is priced by is known until it has ended for good. */
function checkModels(life: Life, ids: string[]): void {
  const modelOf = (id: string) => {
    const call = life.calls.get(id)
    const isKnown = call && !isNotAwaited(life, id) && (isHeld(call) || hasExpired(call))
    return isKnown ? call.request_model : null
  }
  expect(life.ledger.requestModels(ids)).toEqual(ids.map(modelOf))
}

/** Of those whose time is up the first; handed out once, and then it has a minute. */
export function takeOverdue(life: Life, crash: Crashing): void {
  life.run(() => {
    const isDue = (call: Call) => isHeld(call) && call.provider_id !== null && call.expires_at <= life.now
    const due = [...life.calls.values()].filter(isDue)
    const first = Math.min(...due.map(({ expires_at }) => expires_at))
    const overdue = life.ledger.takeOverdue(life.now)
    expect(overdue === null).toBe(due.length === 0)
    if (!overdue) return
    const call = life.calls.get(overdue.provider_id)
    expect(call && isDue(call) && call.expires_at === first).toBe(true)
    expect(overdue.draft.request_model).toBe(call?.request_model)
    Object.assign(call ?? {}, { provider_id: null, expires_at: life.now + MINUTE_MS })
  }, crash)
}

/** Whatever has no one to be asked of is charged. */
export function expire(life: Life, crash: Crashing): void {
  const isDue = (call: Call) => isHeld(call) && call.provider_id === null && call.expires_at <= life.now
  const due = () => [...life.calls.values()].filter(isDue).length
  life.run(() => {
    const before = due()
    expect(life.ledger.expire(life.now)).toBe(before)
  }, crash)
  expect(due()).toBe(0)
  life.remnants = life.heldRemnants()
}

/** Nobody waits for its end any more: the ledger has forgotten it, or a crash took it more than a day ago. */
function isNotAwaited(life: Life, id: string): boolean {
  if (life.isForgotten(id)) return true
  const call = life.calls.get(id)
  // With a row, it has come back: only the answer to that was lost.
  if (!call || call.charged !== null || call.lost_until === null || life.hasRow(id)) return false
  return !life.hasRemnant(call) && life.now - call.reserved_at > DAY_MS
}

/** Under an id of its own, or one that is taken; not that of a call that a crash has taken, or may take. */
export function continuationOf(
  life: Life,
  continues: { as: number; for_ms: number; isAsked: boolean } | null,
): Continuation | null {
  if (!continues) return null
  const { as, for_ms, isAsked } = continues
  const written = [...life.calls.keys()].filter((id) => life.hasRow(id))
  const request_id = as < 8 ? `${GOES_ON}${as}` : written[as % written.length]
  // Providers give no id twice.
  if (request_id === undefined || life.isForgotten(request_id)) return null
  return { request_id, for_ms, provider_id: isAsked ? request_id : undefined }
}

export const usageOf =
  ({ share, overrun }: { share: number | null; overrun: boolean }): UsageOf =>
  ({ hold }, n) =>
    share === null ? null : scaled(hold, share, overrun ? 7 + n : -n)

const scaled = (hold: Amount, share: number, more: number): Amount => {
  const of = (held: number) => Math.max(0, Math.floor(held * share) + more)
  return {
    requests: 1,
    input_tokens: of(hold.input_tokens),
    output_tokens: of(hold.output_tokens),
    cost_nano_usd: of(hold.cost_nano_usd),
  }
}
