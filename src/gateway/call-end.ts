// settle: what a call is charged, and what its event says. Pure.
//
//   refused by the provider, 5xx without usage, never reached -> release; so is a stream that is nothing but such a refusal
//   usage reported, or bounded by what was seen               -> that
//   an error that is billed all the same                      -> its input, or the hold
//   anything else                                             -> the hold

import type { Admission, Continuation, EventDraft, EventFacts } from '../../durable-objects/ledger/types.ts'
import type { CallEnd } from '../middleware/hold.ts'
import { NO_PRICE } from '../pricing/price.ts'
import { MAYBE_BILLED, NO_USAGE } from '../providers/answer.ts'
import type { AnswerEnd } from './answer.ts'
import type { Call } from './call.ts'
import { charge, chargeReported } from './charge.ts'
import { continuedId } from './conclude.ts'

/** The provider's answer, from its status to its last byte. */
export interface Answered {
  status: number
  provider_request_id: string | null
  end: AnswerEnd
  /** How long it may go on at the provider. */
  continues_for_ms: number
  now: number
}

export function endOfAnswer(
  call: Call,
  admission: Admission,
  { status, provider_request_id, end, continues_for_ms, now }: Answered,
): CallEnd {
  const { metered, cut, first_byte_at } = end
  const goesOnAs = status < 400 ? metered.continues_as : null
  const { usage, usage_source, kinds } =
    goesOnAs === null ? charge(metered, call, admission.granted_output_tokens) : chargeReported(NO_USAGE, null, null)
  const isTaken = (status < 400 && !metered.is_turned_away) || MAYBE_BILLED.has(status)
  const isBilled = isTaken || metered.is_billed || metered.usage !== null
  return {
    outcome: isBilled ? 'settled' : 'released',
    usage,
    usage_source: isBilled ? usage_source : 'reported',
    continues: goesOnAs === null ? null : continuation(call.draft, goesOnAs, continues_for_ms),
    facts: {
      ...commonFacts(call, admission, now),
      ...kinds,
      status,
      provider_request_id,
      response_model: metered.response_model,
      service_tier: metered.service_tier,
      time_to_first_byte_ms: first_byte_at === null ? null : first_byte_at - call.started_at,
      error_class: errorClassOf(status) ?? metered.error_class ?? cut ?? (end.client_gone ? 'client_gone' : null),
    },
  }
}

/** With the provider's id only where the gateway's credential was used: a caller's is not there later, to ask with. */
function continuation({ provider, brings_own_key }: EventDraft, provider_id: string, for_ms: number): Continuation {
  const request_id = continuedId(provider, provider_id)
  return brings_own_key ? { request_id, for_ms } : { request_id, for_ms, provider_id }
}

/** No answer came. Only a connection that was never made is known to cost nothing. */
export function endOfFailure(
  call: Call,
  admission: Admission,
  failure: { status: number; error_class: string; was_sent: boolean; now: number },
): CallEnd {
  const { status, error_class, was_sent, now } = failure
  return {
    outcome: was_sent ? 'settled' : 'released',
    usage: null,
    usage_source: was_sent ? 'hold' : 'reported',
    facts: { ...commonFacts(call, admission, now), status, error_class },
  }
}

function commonFacts(
  { started_at, price, bound }: Call,
  { clamped, granted_output_tokens }: Admission,
  now: number,
): Partial<EventFacts> {
  // A price without one for units does not price a call that is billed by them.
  const applied = bound && bound.units > 0 && price?.unit_nano_usd === null ? null : price
  return {
    latency_ms: now - started_at,
    priced_as: applied?.priced_as ?? null,
    // Without a bound the call uses nothing and needs no price.
    price_source: applied?.price_source ?? (bound && NO_PRICE),
    clamped_output_tokens: clamped ? granted_output_tokens : null,
  }
}

function errorClassOf(status: number): string | null {
  if (status < 400) return null
  if (status === 401 || status === 403) return 'upstream_unauthorized'
  if (status === 429) return 'upstream_rate_limited'
  return status < 500 ? 'upstream_invalid_request' : 'upstream_error'
}
