// Does this call fit under every cap? The whole decision, as arithmetic. Pure: no I/O, no clock.
//
//   unmeasurable? -> the whole ask fits? -> a useful part fits? (worth more than a wait?) -> else which cap stays shut longest
//
// A call is what is fixed (its request, its input) and an output that may be granted smaller than asked. Money is multiplied
// as BigInt: a million tokens at the dearest price pass 2^53.

import type { Amount, Ask, Cap, LimitState, OutputAsk, Refusal } from './types.ts'

/** While only calls in flight are in the way, no less output is granted: they end in seconds, and a cut answer costs. */
const WORTH_WAITING_TOKENS = 1_000

/** One limit of one active cap, with the usage that it is measured against. */
export interface Limit extends LimitState {
  on_exceed: Cap['on_exceed']
  /** The part of `held` that stays for longer than seconds (a batch's, say); 0 where it was not read. */
  lasting?: number
}

export type Fit =
  | { fits: true; granted_output_tokens: number | null; clamped: boolean; hold: Amount }
  | { fits: false; refusal: Refusal; limit: LimitState }

export function decide(limits: Limit[], ask: Ask, now: number): Fit {
  const unmeasurable = findUnmeasurable(limits, ask)
  if (unmeasurable) return { fits: false, ...unmeasurable }

  const isFull = (limit: Limit, output: number) => limit.current_usage + amountAsked(limit, ask, output) > limit.limit
  const metered = limits.some((limit) => limit.limit_type !== 'requests')
  const { max_tokens, min_tokens } = pricedOutput(ask.output)
  const full = limits.filter((limit) => isFull(limit, max_tokens))
  if (full.length === 0) return granted(ask, max_tokens, metered, false)

  /** The limits without room: for this much output where they let it be clamped, else for all of it. */
  const shutTo = (output: number): Shut[] =>
    full.flatMap((limit) => {
      const least = limit.on_exceed === 'clamp' ? Math.min(output, max_tokens) : max_tokens
      return isFull(limit, least) ? [{ limit, asked: amountAsked(limit, ask, least) }] : []
    })

  const shut = shutTo(min_tokens)
  if (shut.length > 0) return refused(shut, now)
  const crowded = shutTo(WORTH_WAITING_TOKENS)
  if (crowded.length > 0 && crowded.every(isBusy)) return refused(crowded, now)
  return granted(ask, Math.min(max_tokens, ...full.map((limit) => largestOutput(limit, ask))), metered, true)
}

/** A token or cost cap can only hold what has a bound and a price. */
function findUnmeasurable(limits: Limit[], ask: Ask): { refusal: Refusal; limit: LimitState } | null {
  const costLimit = limits.find(({ limit_type }) => limit_type === 'cost')
  const isUnpriced = ask.input_cost_nano_usd === null || ask.output?.nano_usd_per_mtok === null
  // Checked first: no bound would help. Without a bound of the input there is no price yet that could be missing.
  if (costLimit && isUnpriced && ask.input_tokens !== null) {
    return { refusal: { reason: 'unpriced', cap_type: costLimit.cap_type }, limit: costLimit }
  }
  for (const limit of limits) {
    if (limit.limit_type === 'requests') continue
    const { cap_type, limit_type } = limit
    if (ask.input_tokens === null) {
      return { refusal: { reason: 'unbounded', cap_type, limit_type, part: 'input' }, limit }
    }
    if (ask.output && ask.output.max_tokens === null) {
      return { refusal: { reason: 'unbounded', cap_type, limit_type, part: 'output' }, limit }
    }
  }
  return null
}

/** The output, with 0 for what is unknown: where a limit counts that, `findUnmeasurable` has already refused the call. */
const pricedOutput = (output: OutputAsk | null) => ({
  max_tokens: output?.max_tokens ?? 0,
  min_tokens: output?.min_tokens ?? 0,
  choices: output?.choices ?? 1,
  nano_usd_per_mtok: output?.nano_usd_per_mtok ?? 0,
})

/** What the call takes of this limit when each answer is bounded by `output` tokens. */
function amountAsked({ limit_type }: Limit, ask: Ask, output: number): number {
  const { choices, nano_usd_per_mtok } = pricedOutput(ask.output)
  switch (limit_type) {
    case 'requests':
      return ask.requests
    case 'tokens':
      return (ask.input_tokens ?? 0) + output * choices
    case 'cost':
      return (ask.input_cost_nano_usd ?? 0) + costOfOutput(output * choices, nano_usd_per_mtok)
  }
}

/** The largest bound of one answer that fits. For a token or cost limit with room for some output but not for all. */
function largestOutput(limit: Limit, ask: Ask): number {
  const room = limit.limit - limit.current_usage - amountAsked(limit, ask, 0)
  const { choices, nano_usd_per_mtok } = pricedOutput(ask.output)
  if (limit.limit_type === 'tokens') return Math.floor(room / choices)
  return Number((BigInt(room) * 1_000_000n) / (BigInt(nano_usd_per_mtok) * BigInt(choices)))
}

function costOfOutput(tokens: number, nanoUsdPerMtok: number): number {
  return Number((BigInt(tokens) * BigInt(nanoUsdPerMtok) + 999_999n) / 1_000_000n)
}

/** Where no cap counts it, a worst case may pass 2^53: Postgres would refuse the event, and sums would not be exact. */
const exact = (amount: number) => Math.min(amount, Number.MAX_SAFE_INTEGER)

function granted(ask: Ask, output: number, metered: boolean, clamped: boolean): Fit {
  const { choices, nano_usd_per_mtok } = pricedOutput(ask.output)
  return {
    fits: true,
    granted_output_tokens: ask.output && metered ? output : null,
    clamped,
    hold: {
      requests: ask.requests,
      input_tokens: ask.input_tokens ?? 0,
      output_tokens: exact(output * choices),
      cost_nano_usd: exact((ask.input_cost_nano_usd ?? 0) + costOfOutput(output * choices, nano_usd_per_mtok)),
    },
  }
}

interface Shut {
  limit: Limit
  asked: number
}

/**
 * Names the limit that stays shut longest, so that a client that waits for `reset_at` gets in. One that is only busy opens
 * long before, and is named only where all are.
 */
function refused(shut: Shut[], now: number): Fit {
  const full = shut.filter((one) => !isBusy(one))
  const is_busy = full.length === 0
  const opensAt = ({ limit, asked }: Shut) =>
    asked > limit.limit || limit.reset_at === null ? Number.POSITIVE_INFINITY : limit.reset_at
  const longest = (is_busy ? shut : full).reduce((a, b) => (opensAt(b) > opensAt(a) ? b : a))
  const reset_at = Number.isFinite(opensAt(longest)) ? longest.limit.reset_at : null
  const exceeded = { ...longest.limit, reset_at }
  return {
    fits: false,
    refusal: { reason: 'cap_exceeded', exceeded, asked: longest.asked, is_busy, now },
    limit: longest.limit,
  }
}

/** Whether it would fit if calls in flight used nothing. Never so for requests: one in flight is used. */
function isBusy({ limit: { limit_type, current_usage, held, lasting = 0, limit }, asked }: Shut): boolean {
  return limit_type !== 'requests' && current_usage - held + lasting + asked <= limit
}
