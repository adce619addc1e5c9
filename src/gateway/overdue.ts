// A call that went on at its provider and that nobody asked for again: the provider is asked how it ended, with the
// credential of the gateway, and what it says is read as if a client had asked. I/O: fetch, and the store of prices.

import type { Conclusion, OverdueCall } from '../../durable-objects/ledger/types.ts'
import type { Config } from '../config.ts'
import { createOverrides, type PriceStore } from '../pricing/overrides.ts'
import { createPriceBook } from '../pricing/price-book.ts'
import { headOf } from './answer-headers.ts'
import { toConclusion } from './conclude.ts'
import { upstreamRequest } from './upstream-request.ts'
import { providersOf } from './upstreams.ts'

/** For the whole answer. The ledger's other duties must not wait longer. */
const TIMEOUT_MS = 20_000

/** An id of these characters alone is one path segment, and stays one. */
const PROVIDER_ID = /^[\w-]{1,200}$/

/**
 * Null where the provider does not say that the call has ended, or cannot be asked any more.
 * @throws where there is no answer, or not all of it, and where prices cannot be read.
 */
export async function conclusionOf(
  { provider_id, draft }: OverdueCall,
  config: Config,
  priceStore: PriceStore | null,
): Promise<Conclusion | null> {
  const provider = providersOf(config).find(({ dialect }) => dialect.provider === draft.provider)
  if (!provider?.upstream.credential || !PROVIDER_ID.test(provider_id)) return null
  const { dialect, upstream } = provider
  const made = dialect.operations.find(({ name }) => name === draft.operation)
  const told = made && dialect.operations.find(({ name }) => name === made.ended_told_by)
  if (!told) return null
  const { url, init } = upstreamRequest(dialect, {
    base_url: upstream.base_url,
    target: told.path.replace(':id', provider_id),
    method: told.method,
    body: null,
    headers: dialect.demanded_headers ?? [],
    credential: provider.upstream.credential,
  })
  const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) })
  const asked = {
    body: {},
    bytes: 0,
    params: { id: provider_id },
    query: new URLSearchParams(),
    headers: new Headers(),
  }
  const meter = told.meter(asked)(headOf(answer))
  for await (const bytes of answer.body ?? []) meter.push(bytes)
  const ended = answer.ok && meter.end().concluded.find(({ id }) => id === provider_id)
  if (!ended) return null
  const overrides = priceStore && createOverrides(priceStore)
  return toConclusion(ended, draft.request_model, draft, createPriceBook({ overrides }))
}
