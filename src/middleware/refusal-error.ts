// What a caller is told for each reason that a ledger may refuse for. The one exhaustive map. Pure, with `random` passed in.

import type { Refusal } from '../../durable-objects/ledger/types.ts'
import type { CapFacts, GatewayError } from '../errors.ts'
import { centsOfNanoUsd, decimalOfNanoUsd } from '../pricing/money.ts'

/**
 * When to try again where only calls in flight are in the way: most take seconds, and SDKs retry twice. Random, because
 * callers who are refused together would come back together, and most be refused again.
 */
const BUSY_SECONDS = { least: 5, most: 15 }

/** @param random in [0, 1). */
export function refusalError(refusal: Refusal, random = Math.random): GatewayError {
  switch (refusal.reason) {
    case 'cap_exceeded': {
      const cap = capFacts(refusal, random)
      return { code: refusal.is_busy ? 'cap_busy' : 'cap_exceeded', message: capMessage(refusal, cap), cap }
    }
    case 'unpriced':
      return {
        code: 'unpriced_model',
        message: `This model, or what this call asks of it, has no price, so it cannot be used under a ${refusal.cap_type} cost cap.`,
        field: 'model',
      }
    case 'unbounded':
      return {
        code: 'unbounded_request',
        message:
          refusal.part === 'output'
            ? `Nothing bounds the output of this call, which a ${refusal.cap_type} ${refusal.limit_type} cap needs. Set a maximum of output tokens.`
            : `Nothing bounds the input of this call, which a ${refusal.cap_type} ${refusal.limit_type} cap needs.`,
      }
    case 'suspended':
      return { code: 'forbidden', message: 'This user is suspended.' }
    case 'deleted':
      return { code: 'unauthenticated', message: 'This user no longer exists.' }
    case 'unknown_key':
      return { code: 'unauthenticated', message: 'This API key has been revoked or has expired.' }
    case 'expired_key':
      return {
        code: 'unauthenticated',
        message: `This API key expired at ${new Date(refusal.expired_at).toISOString()}.`,
      }
    case 'missing_scope':
      return { code: 'forbidden', message: `This API key lacks the scope '${refusal.scope}'.` }
    case 'no_config':
    case 'unreachable':
    case 'overloaded':
      return {
        code: 'ledger_unavailable',
        message: 'The usage ledger is not available, so the call was not forwarded. Try again shortly.',
      }
  }
}

type CapExceeded = Extract<Refusal, { reason: 'cap_exceeded' }>

function capFacts({ exceeded, asked, is_busy, now }: CapExceeded, random: () => number): CapFacts {
  const { cap_type, limit_type, current_usage, held, limit, reset_at } = exceeded
  const shown = limit_type === 'cost' ? centsOfNanoUsd : (amount: number) => amount
  return {
    cap_type,
    limit_type,
    unit: limit_type === 'cost' ? 'cents' : limit_type,
    current_usage: shown(current_usage),
    in_flight: shown(held),
    limit: shown(limit),
    requested: shown(asked),
    reset_time: reset_at === null ? null : new Date(reset_at).toISOString(),
    retry_after_seconds: is_busy ? busySeconds(random) : reset_at && Math.max(1, Math.ceil((reset_at - now) / 1_000)),
  }
}

function busySeconds(random: () => number): number {
  const { least, most } = BUSY_SECONDS
  return least + Math.floor(random() * (most - least + 1))
}

function capMessage({ exceeded, asked, is_busy }: CapExceeded, cap: CapFacts): string {
  const { cap_type, limit_type, current_usage, held, limit } = exceeded
  const show = (amount: number) => (limit_type === 'cost' ? `$${decimalOfNanoUsd(amount)}` : String(amount))
  const unit = limit_type === 'cost' ? '' : ` ${limit_type}`
  const used = `${show(current_usage)} of ${show(limit)}${unit} are used or in flight, and it needs room for ${show(asked)}`
  if (is_busy) {
    return `The ${cap_type} ${limit_type} cap is busy: ${used}. ${show(held)} are held for calls in flight. Try again when they have ended.`
  }
  const then = cap.reset_time
    ? `The cap resets at ${cap.reset_time}.`
    : asked > limit
      ? 'It can never fit.'
      : 'This cap does not reset.'
  return `The ${cap_type} ${limit_type} cap has no room for this call: ${used}. ${then}`
}
