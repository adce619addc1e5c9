// Reads what an OpenAI response used: from the answer to the call that makes it (JSON or a stream), and from later answers that
// show how a background response ended. Pure; unreadable usage is unknown usage.

import {
  bytesShown,
  errorClass,
  isBlank,
  isObject,
  isTurnedAway,
  isWhole,
  meterAnswer,
  meterLongAnswer,
  NO_USAGE,
  objectOrEmpty,
  stringOrNull,
  tokenCount,
  UNREAD,
  withReasoning,
} from './answer.ts'
import type { Concluded, JsonObject, Meter, Metered, OpenMeter, TokenUsage } from './dialect.ts'
import { textOrNone } from './fields.ts'
import { leaveOutArrays } from './leave-out-arrays.ts'
import { readEvents } from './openai-events.ts'
import { imagesAmong } from './openai-images-meter.ts'
import { asksForAlternatives, VISIBLE_OUTPUT } from './openai-meter.ts'
import { isHosted } from './openai-responses-tools.ts'
import { namedOpenAITier, unnamedOpenAITier } from './service-tiers.ts'
import { utf8Length } from './text-bound.ts'

const TERMINAL = new Set<unknown>(['completed', 'incomplete', 'failed', 'cancelled'])
const GOES_ON = new Set<unknown>(['queued', 'in_progress'])
/** Events of a stream before anything is generated, and of one that fails before that. */
const SAYS_NOTHING = new Set<unknown>(
  `error keepalive response.created response.failed response.in_progress response.queued`.split(' '),
)

/** What has been read of an answer so far. */
interface Read {
  /** The latest state of the response itself. */
  response: JsonObject | null
  /** Bytes of deltas: what was generated, for as long as the whole output is not there. */
  delta_bytes: number
  /** True once an event came that is none of `SAYS_NOTHING`. */
  begun: boolean
  /** An error outside any response. */
  error: unknown
  /** False where some event of a stream could not be read. */
  readable: boolean
}

/** What the answer to `POST /v1/responses` is expected to be. */
interface Expected {
  /** True where more is billed than is in the answer. */
  may_hide_output: boolean
  background: boolean
  logprobs: boolean
  /** The tier of an answer that names none. */
  service_tier: string | null
}

/** Meters `POST /v1/responses`. */
export function meterResponse(body: JsonObject): OpenMeter {
  const hosted = Array.isArray(body.tools) && body.tools.some(isHosted)
  const expected: Expected = {
    may_hide_output: hosted || typeof body.model !== 'string' || !VISIBLE_OUTPUT.test(body.model),
    background: body.background === true,
    logprobs: asksForLogprobs(body),
    service_tier: unnamedOpenAITier(body),
  }
  return ({ format }) => meterMade(expected, format === 'sse')
}

function meterMade(expected: Expected, stream: boolean): Meter {
  return meterWith(stream, expected.logprobs, (read, shortened) => {
    const response = read.response ?? {}
    const isOver = TERMINAL.has(response.status)
    const goesOn = GOES_ON.has(response.status) && (expected.background || response.background === true)
    const error = read.error ?? errorOf(response)
    const error_class = error === null ? null : errorClass(error)
    const hasOutput = Array.isArray(response.output) && response.output.length > 0
    const begun = read.begun || hasOutput || isObject(response.usage)
    return {
      ...UNREAD,
      is_turned_away: stream && read.readable && !goesOn && !begun && (isTurnedAway(error_class) || isTooLong(error)),
      complete: (isOver || (goesOn && !stream)) && read.readable && error === null,
      may_hide_output: expected.may_hide_output || shortened,
      usage: isOver ? readResponsesUsage(response) : null,
      seen_output_bytes: isOver ? bytesShown(response.output) : read.delta_bytes,
      response_model: stringOrNull(response.model),
      service_tier: namedOpenAITier(response) ?? expected.service_tier,
      error_class,
      continues_as: goesOn ? stringOrNull(response.id) : null,
    }
  })
}

/** Meters `GET /v1/responses/:id` and `.../cancel`, which cost nothing and may show that a response has ended. */
export function meterStored(stream: boolean): Meter {
  return meterWith(stream, true, ({ response, error, readable }) => {
    const isOver = response !== null && TERMINAL.has(response.status) && typeof response.id === 'string'
    return {
      ...UNREAD,
      may_hide_output: false,
      complete: !stream || (isOver && readable),
      error_class: error === null ? null : errorClass(error),
      concluded: isOver ? [conclude(response)] : [],
    }
  })
}

/** Meters `DELETE /v1/responses/:id`, after which nobody can learn what the response used. */
export function meterDeleted(id: string): Meter {
  const unknown = { id, usage: null, longest_input_tokens: null, model: null, service_tier: null, error_class: null }
  return meterAnswer(({ deleted }) => ({
    ...UNREAD,
    may_hide_output: false,
    complete: true,
    concluded: deleted === true ? [unknown] : [],
  }))
}

/** With JSON it is a 400. Codex tries again: https://github.com/openai/codex/issues/4441 */
const isTooLong = (error: unknown): boolean => isObject(error) && error.code === 'context_length_exceeded'

/** Azure says in an event after the last one why a response failed. */
const errorOf = ({ error, status }: JsonObject): unknown => error ?? (status === 'failed' ? {} : null)

function conclude(response: JsonObject): Concluded {
  const error = errorOf(response)
  const usage = readResponsesUsage(response)
  return {
    id: stringOrNull(response.id) ?? '',
    usage: usage && isBlank(usage, bytesShown(response.output)) ? null : usage,
    longest_input_tokens: null,
    model: stringOrNull(response.model),
    service_tier: namedOpenAITier(response),
    error_class: error === null ? null : errorClass(error),
  }
}

/** Null where a number is missing or is no count. Cached and cache-written tokens are inside the total. */
function readResponsesUsage({ usage, output, tool_usage }: JsonObject): TokenUsage | null {
  const tokens = readTotals(usage)
  if (tokens === null) return null
  const items = Array.isArray(output) ? output : []
  const tools = objectOrEmpty(tool_usage)
  // OpenAI's own count leaves out discounted searches, and may be absent.
  const counted = objectOrEmpty(tools.web_search).num_requests
  // Images are made by a model that no answer names. Here their tokens cost as much as the response's own.
  const images = objectOrEmpty(tools.image_gen)
  const [image_input, image_output] = [tokenCount(images.input_tokens), tokenCount(images.output_tokens)]
  const read = {
    ...tokens,
    input_tokens: tokens.input_tokens + image_input,
    image_input_tokens: imagesAmong(image_input, images.input_tokens_details),
    output_tokens: tokens.output_tokens + image_output,
    image_output_tokens: imagesAmong(image_output, images.output_tokens_details),
    web_search_requests: Math.max(items.filter(isSearch).length, tokenCount(counted)),
  }
  return isWhole(read) ? read : null
}

/** Reads the `usage` of a response, or of a batch of at most `answers` requests. */
export function readTotals(usage: unknown, answers = 1): TokenUsage | null {
  if (!isObject(usage)) return null
  if (typeof usage.input_tokens !== 'number' || typeof usage.output_tokens !== 'number') return null
  const input = objectOrEmpty(usage.input_tokens_details)
  const output = objectOrEmpty(usage.output_tokens_details)
  const count = (value: unknown) => tokenCount(value, answers)
  const reasoning_tokens = count(output.reasoning_tokens)
  const read: TokenUsage = {
    ...NO_USAGE,
    input_tokens: count(usage.input_tokens),
    cached_input_tokens: count(input.cached_tokens),
    cache_write_5m_tokens: count(input.cache_write_tokens),
    output_tokens: withReasoning(count(usage.output_tokens), reasoning_tokens),
    reasoning_tokens,
  }
  return isWhole(read) && read.cached_input_tokens + read.cache_write_5m_tokens <= read.input_tokens ? read : null
}

/** Opening a page and finding text in it are free. A call that does not say its action may be a search. */
function isSearch(item: unknown): boolean {
  if (!isObject(item) || item.type !== 'web_search_call') return false
  return !isObject(item.action) || !['open_page', 'find_in_page', 'find'].includes(textOrNone(item.action.type))
}

/** `logprobs` is xAI's. */
function asksForLogprobs(body: JsonObject): boolean {
  const { include, logprobs } = body
  const includes = Array.isArray(include) && include.includes('message.output_text.logprobs')
  return includes || logprobs === true || asksForAlternatives(body)
}

/** @param logprobs true where the answer may have log probabilities of its tokens, which are not read. */
function meterWith(stream: boolean, logprobs: boolean, measure: (read: Read, shortened: boolean) => Metered): Meter {
  const leaveOut = logprobs ? leaveOutArrays('logprobs', stream) : (bytes: Uint8Array) => bytes
  const read: Read = { response: null, delta_bytes: 0, begun: false, error: null, readable: true }
  if (!stream) {
    const meter = meterLongAnswer((answer, shortened) => {
      if (answer.object === 'response' || Array.isArray(answer.output)) read.response = answer
      else read.error = answer.error ?? null
      return measure(read, shortened)
    })
    return { ...meter, push: (bytes) => meter.push(leaveOut(bytes)) }
  }
  const isOver = () => TERMINAL.has(read.response?.status)
  const events = readEvents((event) => readEvent(event, read), isOver)
  return {
    push: (bytes) => events.push(leaveOut(bytes)),
    get ending() {
      return isOver() ? 'over' : 'not_yet'
    },
    end() {
      read.readable = events.end()
      return measure(read, events.shortened)
    },
  }
}

function readEvent(event: JsonObject, read: Read): void {
  if (isObject(event.response))
    read.response = { ...event.response, status: statusOf(event.type, event.response.status) }
  read.begun ||= !SAYS_NOTHING.has(event.type)
  read.error ??= event.error ?? (event.type === 'error' ? event : null)
  if (typeof event.delta === 'string') read.delta_bytes += utf8Length(event.delta)
}

/** The event's type decides over the status inside: that may be newer than the stream, or older. */
function statusOf(type: unknown, status: unknown): unknown {
  const ended = /^response\.(completed|incomplete|failed|cancelled)$/.exec(textOrNone(type))?.[1]
  return ended ?? (TERMINAL.has(status) ? 'in_progress' : status)
}
