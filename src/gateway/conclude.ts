// Calls that go on at the provider after their answer (a background response, a batch). Their hold moves to an id made of
// the provider's, by which any later answer that shows how the call ended finds it, in that user's ledger alone.

import { v5 as nameId } from 'uuid'
import { NO_FACTS } from '../../durable-objects/ledger/no-facts.ts'
import type { Conclusion, EventDraft, LedgerOf } from '../../durable-objects/ledger/types.ts'
import { conclude, requestModels } from '../middleware/ledger-calls.ts'
import { NO_PRICE } from '../pricing/price.ts'
import type { PriceBook } from '../pricing/price-book.ts'
import type { Concluded } from '../providers/dialect.ts'
import type { AnswerEnd } from './answer.ts'
import type { GatewayEnv } from './call.ts'
import { chargeReported } from './charge.ts'

const NAMESPACE = '6f0e7a0e-5f0b-4b1d-9d51-6c8a4a3f4c11'

/** The id under which a call goes on in the ledger. Its second event has it, too. */
export const continuedId = (provider: string, provider_id: string): string =>
  nameId(`${provider}:${provider_id}`, NAMESPACE)

/**
 * What the ledger is told. Without a price, what the hold costs is charged: unknown never means free.
 * @throws where prices cannot be read: the call stays held until its end is asked for again.
 * @param request_model whose price applies; null where it is not known: then the price of the model that answered.
 */
export async function toConclusion(
  { id, usage, longest_input_tokens, model, service_tier, error_class }: Concluded,
  request_model: string | null,
  draft: EventDraft,
  prices: Pick<PriceBook, 'find'>,
): Promise<Conclusion> {
  const priced_model = request_model ?? model
  const price = priced_model === null ? null : await prices.find(draft.provider, priced_model)
  const charged = usage && chargeReported(usage, price, service_tier, longest_input_tokens)
  const isPriced = price !== null || (usage !== null && Object.values(usage).every((count) => count === 0))
  return {
    request_id: continuedId(draft.provider, id),
    // The request was counted when it was made.
    usage: charged && {
      ...charged.usage,
      requests: 0,
      cost_nano_usd: isPriced ? charged.usage.cost_nano_usd : null,
    },
    usage_source: charged ? 'reported' : 'hold',
    draft,
    facts: {
      ...NO_FACTS,
      ...charged?.kinds,
      response_model: model,
      service_tier,
      error_class,
      provider_request_id: id.slice(0, 200),
      priced_as: price?.priced_as ?? null,
      price_source: price?.price_source ?? (priced_model === null ? null : NO_PRICE),
    },
  }
}

/** What this answer tells of earlier calls. One that broke off may not tell all, and an error tells of this call alone. */
export async function concludeOthers(
  { ledgerOf, prices }: { ledgerOf: LedgerOf; prices: Pick<PriceBook, 'find'> },
  { call, caller, request_id }: GatewayEnv['Variables'],
  { ok }: Pick<Response, 'ok'>,
  { metered: { concluded }, cut }: AnswerEnd,
): Promise<void> {
  if (!ok || cut !== null || concluded.length === 0) return
  const { draft } = call
  try {
    const ids = concluded.map(({ id }) => continuedId(draft.provider, id))
    const models = await requestModels(ledgerOf, caller.user_id, ids)
    const conclusions = concluded.map((one, at) => toConclusion(one, models[at] ?? null, draft, prices))
    await conclude(ledgerOf, caller.user_id, await Promise.all(conclusions))
  } catch (error) {
    // They stay held: whoever asks again concludes them.
    const message = 'could not conclude what has ended'
    console.error(JSON.stringify({ message, request_id, error: String(error) }))
  }
}
