// What Tollgate must know of a provider's API to meter it. One file per dialect fills this in; the gateway knows none
// of them by name. Everything here is pure: no I/O, no clock.

import type { GatewayError } from '../errors.ts'

export type JsonObject = { [key: string]: unknown }

/** A call as an operation reads it. Whatever is in here came from the client. */
export interface Asked {
  /** The JSON body, or the fields of a form (a file is `{ name, type, size }`); `{}` where the operation takes none. */
  body: JsonObject
  /** Size of the body. */
  bytes: number
  /** Parameters of the operation's path, decoded: `model` of `/v1/models/:model`. */
  params: Readonly<Record<string, string>>
  /** Without credentials. */
  query: URLSearchParams
  headers: Headers
}

/** Everything that a provider bills. `input_tokens` and `output_tokens` are totals; the other tokens are parts. */
export interface TokenUsage {
  input_tokens: number
  cached_input_tokens: number
  cache_write_5m_tokens: number
  cache_write_1h_tokens: number
  audio_input_tokens: number
  image_input_tokens: number
  output_tokens: number
  reasoning_tokens: number
  audio_output_tokens: number
  image_output_tokens: number
  web_search_requests: number
  /** What is billed by the piece and is no token: seconds of audio, characters, images. The operation says which. */
  units: number
}

/** The most that a call can use, read from what was asked before it is forwarded. */
export interface Bound {
  /** What prices are found by. */
  model: string | null
  stream: boolean
  /** Upper bound in tokens from the bytes alone; what bytes do not bound is named below. */
  input_tokens: number
  /** Names what bytes do not bound (`messages[0].content[1].image_url`); the context window bounds it instead. */
  open_input: string | null
  /** How often the model may read its input: hosted tools make it go round. `input_tokens` counts that many times. */
  rounds: number
  /** Names what nothing bounds (a hosted tool without a limit): the call is refused while a token or cost cap applies. */
  unbounded: string | null
  output: {
    /** What the client set, per choice; null where it set nothing. */
    max_tokens: number | null
    /** The smallest bound that is of use (above a thinking budget, say). */
    min_tokens: number
    choices: number
  } | null
  /** The dearest kind of input and output that this body can cause. */
  cache_write: 'none' | '5m' | '1h'
  audio_input: boolean
  audio_output: boolean
  /** Most searches that are billed one by one. */
  web_search_requests: number
  /** Most units, see `TokenUsage`. */
  units: number
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
  /** True for an error that is billed all the same. */
  is_billed: boolean
  /** True for an answer that is nothing but an error by which the provider did not take the call: see `isTurnedAway`. */
  is_turned_away: boolean
  /** The provider's id under which the call goes on (a background response, a batch); its hold waits until that ends. */
  continues_as: string | null
  /** Earlier calls that this answer shows to have ended. */
  concluded: readonly Concluded[]
}

/** How a call that had gone on at the provider ended. */
export interface Concluded {
  /** As in `continues_as`. */
  id: string
  /** Null: unknown, the hold is charged; nothing was used: all zeros. */
  usage: TokenUsage | null
  /** Input of the longest request where the usage is a sum: long-context rates go by it. Null: they go by the usage. */
  longest_input_tokens: number | null
  model: string | null
  service_tier: string | null
  error_class: string | null
}

/** How an answer begins: all that a meter knows beside its bytes. */
export interface AnswerHead {
  status: number
  /** From the content type. `eventstream`: AWS's binary frames. */
  format: 'json' | 'sse' | 'eventstream' | 'other'
  headers: Headers
}

/** Opens a meter for an answer that begins like this. */
export type OpenMeter = (head: AnswerHead) => Meter

/**
 * Whether a stream has reached its own end. `may_be_over`: everything may be there, but no mark of the end has come, and
 * perhaps none will. `over`: what the meter's `end` says will not change any more.
 */
export type Ending = 'not_yet' | 'may_be_over' | 'over'

/** Reads usage from an answer as it goes past. Must never throw: what it cannot read is unknown usage. */
export interface Meter {
  push(bytes: Uint8Array): void
  /** As far as the bytes so far can tell. Left out: they never can. */
  readonly ending?: Ending | undefined
  end(): Metered
}

/** Changes a stream on its way to the client. Must never throw. */
export interface StreamFilter {
  /** The bytes that may go to the client now; may be empty. */
  push(chunk: Uint8Array): Uint8Array
  /** What is left at the end; not called for a stream that ends badly. */
  end(): Uint8Array
}

export interface Operation {
  /** Stable name in events: `chat_completions`. */
  name: string
  method: 'GET' | 'POST' | 'DELETE'
  /** Path below the provider's prefix, in Hono's pattern language: `/v1/chat/completions`. */
  path: string
  /** Path at the provider, without a query, where it differs from the client's. */
  target?: string
  /** What a POST carries. Default `json`. Only JSON can be edited. */
  takes?: 'json' | 'form'
  /** True where the provider reads a body without a content type as JSON. Left out: the content type must be there. */
  assumes_json?: boolean
  /** Reads the bound, or says which field is wrong. Null for operations that use no tokens and cost nothing. */
  readBound: ((asked: Asked) => Bound | GatewayError) | null
  /** Refuses a call whose operation has no bound to read: because of its query, say. */
  refuse?: (asked: Asked) => GatewayError | null
  /** The body's edits for metering (usage in streams) and for the granted output bound (null: leave it). */
  edits?: (asked: Asked, granted_output_tokens: number | null) => Edit[]
  /**
   * Removes a chunk that only Tollgate asked for from the client's stream, or keeps half a frame back. Null: only half an
   * event is kept back.
   */
  filter?: (asked: Asked) => StreamFilter | null
  /** How the answer will be metered. It keeps as little of the body as it can, so that the body's memory can be freed. */
  meter(asked: Asked): OpenMeter
  /** In place of the dialect's, where this operation's streams report errors in another way. */
  streamError?: Dialect['streamError']
  /** Statuses of errors that are billed all the same: clients must not try again. */
  billed_statuses?: readonly number[]
  /** True where JSON of any length is kept until it is whole: the SDK would ask, and pay, again for one that breaks off. */
  kept_whole?: boolean
  /** True for a stream whose content type does not say so (a JSON array that grows). */
  streams?: boolean
  /** How long a call that goes on at the provider (`continues_as`) is held at most. */
  continues_for_ms?: number
  /** The GET operation, by name, that tells by the provider's id how such a call ended. Left out: it expires unasked. */
  ended_told_by?: string
}

export interface Dialect {
  /** Name in paths (`/openai/...`), events and configuration. */
  provider: string
  operations: Operation[]
  /** What its own SDKs may put before the paths of operations: `/openai`. The provider never sees it. */
  optional_prefix?: string
  /** Response header that carries the provider's request id. */
  request_id_header: string
  /** Headers of the client that reach the provider (lower case; a trailing `*` matches a prefix). */
  forwarded_headers: string[]
  /** Headers that the API demands. Clients send their own; these are for the requests that Tollgate makes by itself. */
  demanded_headers?: [name: string, value: string][]
  /** Headers that choose an account; they reach the provider only beside a credential that the caller brought. */
  own_key_headers: string[]
  /** The provider's own credential, as the client's SDK sends it; null where it sends none. */
  readCredential: ReadCredential
  /** A query parameter that may carry the credential (`key`); it never reaches events, logs or the provider. */
  credential_query?: string
  /** True where ids in paths hold an encoded slash (an ARN). */
  encoded_slashes?: boolean
  /** Puts the credential of the gateway on an upstream request. */
  setCredential(headers: Headers, credential: string): void
  /** Signs the finished upstream request, where the credential is not simply a header (AWS SigV4). */
  sign?: (request: Request, credential: string) => Promise<Request>
  /**
   * A refusal as this provider's SDK understands it: its typed error, one attempt.
   * @param cap_status the operator's choice of status for an exceeded cap, in place of the dialect's own.
   */
  errorResponse(error: GatewayError, request_id: string, cap_status?: number): Response
  /**
   * The provider's own error event, for a stream that ends badly after it has begun. It must not become a part of the event
   * before it, which may have been cut off. `asked` tells which kind of stream it is where there are several.
   */
  streamError(error: GatewayError, request_id: string, asked?: Pick<Asked, 'query'>): Uint8Array
  /** Default output bound of a model where the client sets none; null where the API demands one or none is known. */
  maxOutputTokens(model: string): number | null
}

/** Where an API is, and the gateway's own credential there; unset: callers must bring theirs. */
export interface Upstream {
  base_url: string
  credential: string | undefined
}

/** A dialect's way to its own credential; null where the request has none. */
export type ReadCredential = (headers: Headers, url: string) => string | null
