// The words of the ledger: what goes in, what comes out. Types and the lists that they are made of, so that the
// worker, the Durable Object and the tests share them without importing any behaviour.
//
// Units: instants are milliseconds since the epoch; money is integer nano-dollars; `null` as an amount means "no bound
// is known", never "nothing".

// Ledgers must know a new name in these lists one version before callers may use it: see `LedgerRpc`.
export const CAP_TYPES = ['hourly', 'daily', 'weekly', 'monthly', 'total'] as const
export const LIMIT_TYPES = ['requests', 'tokens', 'cost'] as const
export const ON_EXCEED = ['clamp', 'refuse'] as const
export const USER_STATUSES = ['active', 'suspended', 'deleted'] as const
export const KEY_SCOPES = ['call', 'usage'] as const

/** The window of a cap. Calendar windows follow the user's time zone; `total` never resets. */
export type CapType = (typeof CAP_TYPES)[number]
/** The dimension of a limit. `tokens` counts input and output; `cost` is in nano-dollars. */
export type LimitType = (typeof LIMIT_TYPES)[number]
/** What a key may do: make calls, read its user's usage. */
export type KeyScope = (typeof KEY_SCOPES)[number]

export interface Cap {
  id: string
  cap_type: CapType
  /** A dimension that is not here is not limited. `cost` in nano-dollars. */
  limits: Partial<Record<LimitType, number>>
  /** What to do with a call whose whole output bound does not fit but a useful part does. */
  on_exceed: (typeof ON_EXCEED)[number]
}

export interface ActiveKey {
  id: string
  expires_at: number | null
  scopes: KeyScope[]
}

/** All that a ledger must know of its user. An older `version` never replaces a newer one. */
export interface Snapshot {
  version: number
  status: (typeof USER_STATUSES)[number]
  /** IANA time zone of the calendar windows. */
  time_zone: string
  /** Active caps only. */
  caps: Cap[]
  /** Keys that are neither revoked nor expired at the time of the snapshot. */
  keys: ActiveKey[]
}

/** What a call used, or is charged. `input_tokens` counts cached ones too, `output_tokens` reasoning too. */
export interface Amount {
  requests: number
  input_tokens: number
  output_tokens: number
  cost_nano_usd: number
}

/** The part of a call that can be made smaller to fit: how much the model may answer. */
export interface OutputAsk {
  /** Upper bound of one answer in tokens; null where none is known. */
  max_tokens: number | null
  /** The smallest bound that is of use to the caller; at most `max_tokens`. */
  min_tokens: number
  /** How many answers the call asks for (OpenAI's `n`). */
  choices: number
  /** Dearest price of a million output tokens; null where the model has no price. */
  nano_usd_per_mtok: number | null
}

/** Who calls: the key that signed the call (null for a JWT) and the scope that it needs. */
export interface Caller {
  key_id: string | null
  scope: KeyScope
}

/** A call's worst case, as quoted. */
export interface Ask {
  request_id: string
  caller: Caller
  requests: number
  /** Null where nothing bounds the input: refused while a token or cost cap applies. */
  input_tokens: number | null
  /** Dearest price of the input bound plus fees per call; null where the model has no price. */
  input_cost_nano_usd: number | null
  output: OutputAsk | null
  /** What is known of the call before it is forwarded; it becomes the event if the call never comes back. */
  draft: EventDraft
}

/** How close a user is to one limit. `cost` amounts in nano-dollars. */
export interface LimitState {
  cap_id: string
  cap_type: CapType
  limit_type: LimitType
  /** Settled usage plus what is in flight. */
  current_usage: number
  /** What is in flight, at its worst. */
  held: number
  limit: number
  /** When the window ends; null for `total`. */
  reset_at: number | null
}

export type Refusal =
  | { reason: 'no_config' }
  /** Said by the worker: the ledger did not answer, and may have taken the hold. */
  | { reason: 'unreachable' }
  /** Said by the worker: the ledger was too busy to hear of the call, and holds nothing for it. */
  | { reason: 'overloaded' }
  | { reason: 'suspended' | 'deleted' }
  | { reason: 'unknown_key' }
  | { reason: 'expired_key'; expired_at: number }
  | { reason: 'missing_scope'; scope: KeyScope }
  /**
   * `asked` is the smallest amount that would have been of use. It will not fit before `reset_at` (null: never), unless the
   * cap `is_busy`: then only the holds of calls in flight are in the way, which may end at any moment and use less.
   */
  | { reason: 'cap_exceeded'; exceeded: LimitState; asked: number; is_busy: boolean; now: number }
  /** A cost cap applies and the call has no price. */
  | { reason: 'unpriced'; cap_type: CapType }
  /** A token or cost cap applies and nothing bounds this part of the call. */
  | { reason: 'unbounded'; cap_type: CapType; limit_type: LimitType; part: 'input' | 'output' }

export interface Admission {
  admitted: true
  /** The bound of one answer that was granted; null where no token or cost cap applies: leave the call as it is. */
  granted_output_tokens: number | null
  /** True where less was granted than asked. */
  clamped: boolean
  /** The limit with the smallest share left, this call's hold included; null where no cap applies. */
  tightest: LimitState | null
  hold: Amount
  reserved_at: number
  /** 0: the hold has a row. Else it is in memory alone, under the ceiling of this epoch: see `epochs` in ./schema.ts. */
  epoch: number
}

/** An admitted call whose answer is still flowing. */
export interface CallUnderWay
  extends Ask,
    Pick<Admission, 'granted_output_tokens' | 'clamped' | 'hold' | 'reserved_at' | 'epoch'> {}

export type Decision = Admission | { admitted: false; refusal: Refusal; tightest: LimitState | null }

export const USAGE_SOURCES = ['reported', 'estimated', 'hold'] as const
/** Where a charge comes from: the provider said so; bounded from what was seen; or the whole hold. */
export type UsageSource = (typeof USAGE_SOURCES)[number]

export const OUTCOMES = ['settled', 'released', 'expired'] as const
/** How a hold ended. */
export type Outcome = (typeof OUTCOMES)[number]

/** What is known of a call before it is forwarded. */
export interface EventDraft {
  user_id: string
  key_id: string | null
  provider: string
  operation: string
  method: string
  path: string
  request_model: string | null
  stream: boolean
  /** The provider bills the caller's own account. Older Workers leave it out, which means no. */
  brings_own_key?: boolean
  job_id: string | null
  batch_id: string | null
  session_id: string | null
  metadata: Record<string, unknown> | null
}

/** What is known of a call when it has ended. Kinds of tokens are parts of the totals in `Amount`. */
export interface EventFacts {
  response_model: string | null
  /** The provider's HTTP status, else that of the gateway's error; null where the call never came back. */
  status: number | null
  latency_ms: number | null
  time_to_first_byte_ms: number | null
  cached_input_tokens: number
  cache_write_5m_tokens: number
  cache_write_1h_tokens: number
  audio_input_tokens: number
  image_input_tokens: number
  reasoning_tokens: number
  audio_output_tokens: number
  image_output_tokens: number
  web_search_requests: number
  service_tier: string | null
  priced_as: string | null
  price_source: string | null
  clamped_output_tokens: number | null
  /** A stable class such as `upstream_rate_limited`; null where all went well. */
  error_class: string | null
  provider_request_id: string | null
}

/** How a call ended. Repeating it changes nothing. */
export interface Settlement {
  request_id: string
  /** From the admission, so that a call whose hold is gone still lands in its own bucket. */
  reserved_at: number
  /** From the admission; 0 where there was none. */
  epoch: number
  outcome: 'settled' | 'released'
  /** Ignored for `released`, which charges nothing; null charges the hold. */
  usage: Amount | null
  /** From the admission: what to charge where usage is unknown and the ledger has lost the hold. */
  hold: Amount
  usage_source: UsageSource
  draft: EventDraft
  facts: EventFacts
  /**
   * For a call that goes on at the provider (a batch, say): what its usage leaves of the hold moves to this id; all of it
   * where the call is `released`. Null where the call has ended. Where the usage of any other call is unknown, or the id is
   * taken, nothing moves: then the hold is charged, or let go where the call is `released`.
   */
  continues: Continuation | null
}

export interface Continuation {
  /** Not the id of any other call. */
  request_id: string
  /** How long it is held; then it expires. */
  for_ms: number
  /**
   * The provider's own id of it: before it expires, the provider is asked how it ended. Left out, as by older Workers:
   * nobody asks. Ledgers of the version before take no notice of it.
   */
  provider_id?: string | undefined
}

/** A call that went on at its provider until its time was up, and that nobody asked for again. */
export interface OverdueCall {
  provider_id: string
  /** Of the call that began it. */
  draft: EventDraft
}

/**
 * How a call ended that had gone on at the provider. Repeating it changes nothing; a call that the ledger does not know is
 * ignored. The draft counts only where the ledger has lost the call's own.
 */
export interface Conclusion extends Pick<Settlement, 'request_id' | 'usage_source' | 'draft' | 'facts'> {
  /** Null charges the hold; a null cost, the cost of the hold. */
  usage: (Omit<Amount, 'cost_nano_usd'> & { cost_nano_usd: number | null }) | null
}

/** The record of one call, as it goes to Postgres. */
export interface UsageEvent extends EventDraft, EventFacts, Amount {
  id: string
  /** When the call was admitted. */
  occurred_at: number
  settled_at: number
  outcome: Outcome
  usage_source: UsageSource
  /** The provider billed more than the bound that it was sent. */
  overrun: boolean
  /** 0, or higher where an expired call came back and corrected its event. A higher revision replaces a lower one. */
  revision: number
}

/** One cap as a user sees it. Amounts of `cost` in nano-dollars. */
export interface CapStatus {
  cap_id: string
  cap_type: CapType
  limits: Partial<Record<LimitType, number>>
  /** Settled usage plus what is in flight: what the next call is measured against. */
  current_usage: Record<LimitType, number>
  /** The part of `current_usage` that is in flight. */
  held: Record<LimitType, number>
  /** Calls that a cap refused in this window. */
  refused: number
  window_start: number | null
  reset_at: number | null
}

export interface LedgerStatus {
  version: number
  status: Snapshot['status']
  time_zone: string
  caps: CapStatus[]
  /** Events that are not yet in Postgres, and those that Postgres rejected. */
  outbox: { waiting: number; rejected: number }
}

/**
 * What the worker may ask of a ledger (the Durable Object's RPC surface). The two may run different versions: a ledger the
 * previous one for minutes after a deploy, another Worker an older one for months. So methods are never removed or changed,
 * either side copes without what is new, and what decides a charge reaches ledgers one version before Workers send it.
 */
export interface LedgerRpc {
  reserve(ask: Ask): Promise<Decision>
  /** As `Ledger.mayGoOn`. */
  mayGoOn(call: CallUnderWay): Promise<boolean>
  settle(settlement: Settlement): Promise<void>
  /** As `Ledger.requestModels`. */
  requestModels(request_ids: string[]): Promise<(string | null)[]>
  /** Ends calls that had gone on at the provider. */
  conclude(conclusions: Conclusion[]): Promise<void>
  /** As `Ledger.configure`. */
  configure(snapshot: Snapshot | null): Promise<number>
  /** Usage as the ledger enforces it, or why this caller may not see it. */
  status(caller: Caller | null): Promise<LedgerStatus | { refusal: Refusal }>
}

/** Finds the ledger of a subject (a user's id). */
export type LedgerOf = (subject: string) => LedgerRpc
