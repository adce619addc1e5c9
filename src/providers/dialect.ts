// What Tollgate must know of a provider's API to meter it. One file per dialect fills this in; the gateway knows none
// of them by name. Everything here is pure: no I/O, no clock.

import type { GatewayError } from '../errors.ts'

export type JsonObject = { [key: string]: unknown }

/** Every kind of token that a provider bills. `input_tokens` and `output_tokens` are totals; the others are parts. */
export interface TokenUsage {
  input_tokens: number
  cached_input_tokens: number
  cache_write_5m_tokens: number
  cache_write_1h_tokens: number
  audio_input_tokens: number
  output_tokens: number
  reasoning_tokens: number
  audio_output_tokens: number
  web_search_requests: number
}

/** The most that a call can use, read from its body before it is forwarded. */
export interface Bound {
  model: string | null
  stream: boolean
  /** Upper bound in tokens from the bytes alone; what bytes do not bound is named below. */
  input_tokens: number
  /** Names what bytes do not bound (`messages[0].content[1].image_url`); the context window bounds it instead. */
  open_input: string | null
  /** Names what nothing bounds (a hosted tool that loops); refused while a token or cost cap applies. */
  unbounded: string | null
  output: {
    /** What the client set, per choice; null where it set nothing. */
    max_tokens: number | null
    /** The smallest bound of use (more than a thinking budget, say). */
    min_tokens: number
    choices: number
  } | null
  /** The dearest kind of input and output that this body can cause. */
  cache_write: 'none' | '5m' | '1h'
  audio_input: boolean
  audio_output: boolean
  /** Dearest service tier that may answer; null for the standard one. */
  service_tier: string | null
}

/** Set a top-level field of the body to a JSON value. All other bytes stay as the client sent them. */
export interface Edit {
  field: string
  value: unknown
}

/** What metering read from an answer. */
export interface Metered {
  /** Null where the provider never said. */
  usage: TokenUsage | null
  /** True where the answer reached its own end (not cut, no error inside). */
  complete: boolean
  /** UTF-8 bytes of generated strings that went past: an upper bound of visible output tokens. */
  seen_output_bytes: number
  /** True where the answer may hold billed output that is not visible (reasoning). */
  may_hide_output: boolean
  response_model: string | null
  service_tier: string | null
  /** Provider's own error inside the answer, as a stable class; null where none. */
  error_class: string | null
}

/** Reads usage from an answer as it goes past. Must never throw: what it cannot read is unknown usage. */
export interface Meter {
  push(bytes: Uint8Array): void
  end(): Metered
}

export interface Operation {
  /** Stable name in events: `chat_completions`. */
  name: string
  method: 'GET' | 'POST' | 'DELETE'
  /** Path below the provider's prefix, in Hono's pattern language: `/v1/chat/completions`. */
  path: string
  /** Reads the bound, or says which field is wrong. Null for operations that use no tokens and cost nothing. */
  readBound: ((body: JsonObject, bytes: number) => Bound | GatewayError) | null
  /** The body's edits for metering (usage in streams) and for the granted output bound (null: leave it). */
  edits(body: JsonObject, granted_output_tokens: number | null): Edit[]
  /** Whether an SSE chunk that Tollgate itself asked for must be dropped from the client's stream. */
  dropsUsageChunk(body: JsonObject): boolean
  /** A meter for one answer; `body` is what was asked, `stream` whether the answer is an SSE stream. */
  meter(body: JsonObject, stream: boolean): Meter
}

export interface Dialect {
  /** Name in paths (`/openai/...`), events and configuration. */
  provider: string
  operations: Operation[]
  /** Response header that carries the provider's request id. */
  request_id_header: string
  /** Headers of the client that reach the provider (lower case; a trailing `*` matches a prefix). */
  forwarded_headers: string[]
  /** Headers that choose an account; they reach the provider only beside a credential that the caller brought. */
  own_key_headers: string[]
  /** The provider's own credential, as the client's SDK sends it; null where it sends none. */
  readCredential(headers: Headers): string | null
  /** Puts the credential of the gateway on an upstream request. */
  setCredential(headers: Headers, credential: string): void
  /** A refusal as this provider's SDK understands it: its typed error, one attempt. */
  errorResponse(error: GatewayError, request_id: string, options: ErrorRendering): Response
  /** The provider's own error event, for a stream that ends badly after it has begun. */
  streamError(error: GatewayError, request_id: string): Uint8Array
  /** Default output bound of a model where the client sets none; null where the API demands one or none is known. */
  maxOutputTokens(model: string): number | null
}

export interface ErrorRendering {
  /** The operator's choice of status for an exceeded cap; null for the dialect's own. */
  cap_status: number | null
}
