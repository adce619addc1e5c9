// What every dialect's meter shares: reading untrusted JSON and counting tokens and bytes. Pure, and never throws.

import { utf8Decoder } from './bytes.ts'
import type { AnswerHead, Bound, JsonObject, Meter, Metered, TokenUsage } from './dialect.ts'
import { shortenStrings } from './long-strings.ts'
import { utf8Length, visit } from './text-bound.ts'

/** More tokens than any model takes: a count above it is an error, not usage. Keeps money exact, too. */
const MAX_TOKENS = 1_000_000_000

/** A JSON answer longer than this is not kept for parsing: its usage is unknown. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

const MAX_NAME_LENGTH = 200

/** Cloudflare's own statuses for an origin that took the request and then gave no answer that could be passed on. */
export const MAYBE_BILLED: ReadonlySet<number> = new Set([520, 524])

/** What a dialect starts from when it fills in a usage. */
export const NO_USAGE: TokenUsage = Object.freeze({
  input_tokens: 0,
  cached_input_tokens: 0,
  cache_write_5m_tokens: 0,
  cache_write_1h_tokens: 0,
  audio_input_tokens: 0,
  image_input_tokens: 0,
  output_tokens: 0,
  reasoning_tokens: 0,
  audio_output_tokens: 0,
  image_output_tokens: 0,
  web_search_requests: 0,
  units: 0,
})

/** An answer of which nothing is known. */
export const UNREAD: Omit<Metered, 'may_hide_output'> = Object.freeze({
  usage: null,
  complete: false,
  seen_output_bytes: 0,
  response_model: null,
  service_tier: null,
  error_class: null,
  is_billed: false,
  is_turned_away: false,
  continues_as: null,
  concluded: [],
})

/** The rarer parts of a bound, for calls that have none of them. */
export const PLAIN_BOUND: Omit<Bound, 'model' | 'stream' | 'input_tokens' | 'output'> = Object.freeze({
  open_input: null,
  rounds: 1,
  unbounded: null,
  cache_write: 'none',
  audio_input: false,
  audio_output: false,
  web_search_requests: 0,
  units: 0,
  service_tier: null,
})

/** Larger than any context window: the quote takes the window in its place. */
const WHOLE_WINDOW = 10_000_000

/** An output that only the window bounds. It cannot be clamped: no field would hold it to less. */
export const wholeWindow = (output: Bound['output']): Bound['output'] =>
  output && { ...output, max_tokens: WHOLE_WINDOW, min_tokens: WHOLE_WINDOW }

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object; `{}` for anything else. */
export const objectOrEmpty = (value: unknown): JsonObject => (isObject(value) ? value : {})

/** A provider's name for something; longer ones are cut: what ends up in an event has a size. */
export function stringOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value.slice(0, MAX_NAME_LENGTH) : null
}

/** Undefined where the text is not JSON. */
export function parseJsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * A count of tokens: 0 for absent and null; NaN, which fails every comparison, for anything that is not a count.
 *
 * @param answers the most answers that it may be the sum of
 */
export function tokenCount(value: unknown, answers = 1): number {
  if (value === undefined || value === null) return 0
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= answers * MAX_TOKENS
    ? value
    : Number.NaN
}

/** Output with its reasoning. That is inside `output_tokens`, unless it is more: then it was counted apart. */
export function withReasoning(output_tokens: number, reasoning_tokens: number): number {
  return reasoning_tokens > output_tokens ? output_tokens + reasoning_tokens : output_tokens
}

/** True where every number of a usage is a count. */
export function isWhole(usage: object): boolean {
  return Object.values(usage).every((count) => Number.isSafeInteger(count))
}

/** Tokens as Anthropic and Bedrock count them: input without cache reads and writes. */
interface Counts {
  input: number
  cached: number
  /** All cache writes. Those that `write5m` and `write1h` do not account for are of the kind that was asked for. */
  writes: number
  write5m?: number
  write1h?: number
  output: number
  asked_cache_write: '5m' | '1h'
}

/** Null where a number is no count. */
export function usageOf(counts: Counts): TokenUsage | null {
  const { input, cached, writes, write5m = 0, write1h = 0, output, asked_cache_write } = counts
  const unsplit = Math.max(0, writes - write5m - write1h)
  const read: TokenUsage = {
    ...NO_USAGE,
    input_tokens: input + cached + write5m + write1h + unsplit,
    cached_input_tokens: cached,
    cache_write_5m_tokens: write5m + (asked_cache_write === '5m' ? unsplit : 0),
    cache_write_1h_tokens: write1h + (asked_cache_write === '1h' ? unsplit : 0),
    output_tokens: output,
  }
  return isWhole(read) ? read : null
}

/**
 * Some servers report zeros where they did not count: an answer with visible output was not made of nothing.
 *
 * @param has_output false where no tokens are the output (embeddings).
 */
export function isBlank(
  { input_tokens, output_tokens, units }: TokenUsage,
  seen_output_bytes: number,
  has_output = true,
): boolean {
  const lacks = input_tokens === 0 || (output_tokens === 0 && has_output)
  return seen_output_bytes > 0 && lacks && units === 0
}

/** Null where either is unknown, or where a number of the sum is no count. */
export function addUsage(sum: TokenUsage | null, one: TokenUsage | null): TokenUsage | null {
  if (sum === null || one === null) return null
  const total = { ...sum }
  for (const kind of Object.keys(total) as (keyof TokenUsage)[]) total[kind] += one[kind]
  return isWhole(total) ? total : null
}

/** UTF-8 bytes of every string inside: an upper bound of the tokens that it took to write them. */
export function bytesOfStrings(value: unknown): number {
  let bytes = 0
  visit(value, (one) => {
    if (typeof one === 'string') bytes += utf8Length(one)
  })
  return bytes
}

/** Members whose strings nobody generated: they say what a part of an answer is, who said it and why it ended. */
const FRAME = new Set(
  `completionReason finish_reason id model object role service_tier status stopReason stop_reason system_fingerprint
  type`.split(/\s+/),
)

/** `bytesOfStrings` of an answer or a part of one, but 0 where only members of `FRAME` have text. */
export function bytesShown(value: unknown): number {
  let isShown = false
  visit(value, (one, key) => {
    isShown ||= typeof one === 'string' && one !== '' && !FRAME.has(key ?? '')
  })
  return isShown ? bytesOfStrings(value) : 0
}

/** The provider's own word for an error as one of our stable classes. */
export function errorClass(error: unknown): string {
  const { type, code } = objectOrEmpty(error)
  // OpenRouter's and Google's code is a status.
  const words = `${stringOrNull(type)} ${code === 429 ? 'rate_limit' : stringOrNull(code)}`
  if (/rate_limit|quota/.test(words)) return 'upstream_rate_limited'
  if (words.includes('overloaded')) return 'upstream_overloaded'
  return 'upstream_error'
}

/**
 * True for an error that says: no quota, or no room. Some are a 200 whose stream has only that, in place of a 429, 503 or 529;
 * as long as nothing of an answer came before it, no model has run. https://github.com/Wei-Shaw/sub2api/issues/5563
 */
export const isTurnedAway = (error_class: string | null): boolean =>
  error_class === 'upstream_rate_limited' || error_class === 'upstream_overloaded'

/** NaN where it is not known, also where the answer is compressed unasked: the header is then not the length of what is read. */
export function announcedLength({ headers }: Pick<AnswerHead, 'headers'>): number {
  const length = Number(headers.get('content-length') ?? Number.NaN)
  return headers.has('content-encoding') && length > 0 ? Number.NaN : length
}

export interface AnswerBuffer {
  push(bytes: Uint8Array): void
  /** The JSON of the whole answer; undefined where it is cut, not JSON, or too long to keep. */
  end(): unknown
}

export function bufferAnswer(): AnswerBuffer {
  let text = ''
  let bytes = 0
  const decode = utf8Decoder()
  return {
    push(chunk) {
      bytes += chunk.length
      if (bytes <= MAX_ANSWER_BYTES) text += decode(chunk)
      else text = ''
    },
    end() {
      const whole = text + decode()
      // Frees its memory: the client may be slow to take the rest, and the ledger to record the call.
      text = ''
      return bytes > MAX_ANSWER_BYTES ? undefined : parseJsonOrUndefined(whole)
    },
  }
}

/** Meters one JSON answer. `read` gets an empty object where the answer is cut, not a JSON object, or too long. */
export function meterAnswer(read: (answer: JsonObject) => Metered): Meter {
  const buffer = bufferAnswer()
  return {
    push: buffer.push,
    end() {
      const answer = buffer.end()
      return read(objectOrEmpty(answer))
    },
  }
}

/** `meterAnswer` for an answer that images or documents may make too long to keep: its long strings are shortened. */
export function meterLongAnswer(read: (answer: JsonObject, shortened: boolean) => Metered): Meter {
  const strings = shortenStrings()
  const meter = meterAnswer((answer) => read(answer, strings.shortened))
  return { ...meter, push: (bytes) => meter.push(strings.push(bytes)) }
}

/**
 * A meter that changes what another one reports.
 * @param push given where a second reader must see the bytes, too.
 */
export function changeEnd(meter: Meter, change: (metered: Metered) => Metered, push = meter.push): Meter {
  return {
    push,
    get ending() {
      return meter.ending
    },
    end: () => change(meter.end()),
  }
}
