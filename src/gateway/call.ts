// A call on its way through the gateway: what `parse` found out and the later steps build on.

import type { EventDraft } from '../../durable-objects/ledger/types.ts'
import type { CallerIdentity } from '../middleware/authenticate.ts'
import type { Hold } from '../middleware/hold.ts'
import type { Price } from '../pricing/price.ts'
import type { Asked, Bound } from '../providers/dialect.ts'
import type { JsonBody } from '../providers/json-body.ts'
import type { OutputDefaults, Quote } from './quote.ts'

export interface Call {
  started_at: number
  /** Path and query below the provider's prefix, as the client sent them, without a credential. */
  target: string
  asked: Asked
  /** What was sent; null for methods without a body. */
  bytes: Uint8Array | null
  /** The same, parsed; null where it is not JSON. */
  json: JsonBody | null
  /** Those of the client that reach the provider. */
  headers: [name: string, value: string][]
  /** Null for operations that use no tokens. */
  bound: Bound | null
  /** Null where the model has no price, or where prices cannot be read. */
  price: Price | null
  are_prices_known: boolean
  output_defaults: OutputDefaults
  quote: Quote
  draft: EventDraft
  /** What goes to the provider: the gateway's own credential or the caller's. */
  credential: string
}

/** To be called once the body is sent: an answer may take minutes, and all calls of a Worker share 128 MB. */
export function letGoOfBody(call: Call): void {
  call.bytes = null
  call.json = null
  call.asked = { ...call.asked, body: {} }
}

/** What Hono keeps of a request whose caller is known. */
export interface CallerEnv {
  Variables: { request_id: string; caller: CallerIdentity }
}

export interface GatewayEnv {
  Variables: CallerEnv['Variables'] & { call: Call; hold: Hold }
}
