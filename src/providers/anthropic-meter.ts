// Reads what an Anthropic message used, from its JSON or its stream. Pure; unreadable usage is unknown usage.

import {
  addUsage,
  bytesOfStrings,
  bytesShown,
  errorClass,
  isObject,
  isTurnedAway,
  meterLongAnswer,
  NO_USAGE,
  objectOrEmpty,
  parseJsonOrUndefined,
  stringOrNull,
  tokenCount,
  UNREAD,
  usageOf,
} from './answer.ts'
import { tierName } from './anthropic-messages.ts'
import { askedCacheWrite } from './cache-ttl.ts'
import type { JsonObject, Meter, Metered, OpenMeter, TokenUsage } from './dialect.ts'
import { textOrNone } from './fields.ts'
import { recognizeRepeats } from './repeated-events.ts'
import { createSseReader } from './sse.ts'

/** Families that think only when asked to: if not, all that they bill shows in the answer. */
const THINKS_WHEN_ASKED = /^claude-(2|3|instant|(opus|sonnet|haiku)-4(-[0156])?(-\d{8})?$)/

export function meterMessage(body: JsonObject): OpenMeter {
  const expected = expectedOf(body)
  return ({ format }) => (format === 'sse' ? meterStream(expected) : meterWhole(expected))
}

/** @param asked_cache_write the kind of the cache writes whose lifetime the answer does not tell. */
export function readMessageUsage(usage: JsonObject, asked_cache_write: '5m' | '1h'): TokenUsage | null {
  if (typeof usage.input_tokens !== 'number' || typeof usage.output_tokens !== 'number') return null
  const searches = objectOrEmpty(usage.server_tool_use)
  const details = objectOrEmpty(usage.output_tokens_details)
  const beside: TokenUsage = {
    ...NO_USAGE,
    reasoning_tokens: tokenCount(details.thinking_tokens),
    web_search_requests: tokenCount(searches.web_search_requests),
  }
  const runs = billedRuns(usage).map((run) => usageOfRun(run, asked_cache_write))
  return [beside, ...runs].reduce(addUsage, NO_USAGE)
}

/**
 * Runs of the model besides the message itself (compaction, advice) are billed and are not in the totals. Where another model
 * took over from one that refused, the totals are those of the last run alone, and the list has that run, too; a run that was
 * refused before it wrote anything is free. See `usage.iterations` in @anthropic-ai/sdk/lib/middleware.
 */
function billedRuns(usage: JsonObject): JsonObject[] {
  const runs = Array.isArray(usage.iterations) ? usage.iterations.filter(isObject) : []
  if (runs.some(({ type }) => type === 'fallback_message'))
    return runs.filter(({ output_tokens }) => output_tokens !== 0)
  return [usage, ...runs.filter(({ type }) => type !== 'message')]
}

function usageOfRun(run: JsonObject, asked_cache_write: '5m' | '1h'): TokenUsage | null {
  const split = objectOrEmpty(run.cache_creation)
  return usageOf({
    input: tokenCount(run.input_tokens),
    cached: tokenCount(run.cache_read_input_tokens),
    writes: tokenCount(run.cache_creation_input_tokens),
    write5m: tokenCount(split.ephemeral_5m_input_tokens),
    write1h: tokenCount(split.ephemeral_1h_input_tokens),
    output: tokenCount(run.output_tokens),
    asked_cache_write,
  })
}

const INPUT_FIELDS: ReadonlySet<string> = new Set([
  'input_tokens',
  'cache_read_input_tokens',
  'cache_creation_input_tokens',
  'cache_creation',
])

/** False where all counts are 0: some servers send zeros in all events but one, and no message has an empty input. */
const hasInput = ({ input_tokens, cache_read_input_tokens, cache_creation_input_tokens }: JsonObject): boolean =>
  [input_tokens, cache_read_input_tokens, cache_creation_input_tokens].some((count) => tokenCount(count) !== 0)

/** What the request says about its answer. */
export interface Expected {
  /** True where more is billed than is in the answer. */
  may_hide_output: boolean
  cache_write: '5m' | '1h'
  speed: unknown
  inference_geo: unknown
}

export function expectedOf(body: JsonObject): Expected {
  const { speed, inference_geo } = body
  const thinking = objectOrEmpty(body.thinking).type
  const asksNoThought = thinking === undefined && typeof body.model === 'string' && THINKS_WHEN_ASKED.test(body.model)
  const may_hide_output = thinking !== 'disabled' && !asksNoThought
  return { may_hide_output, cache_write: askedCacheWrite(body, 'cache_control'), speed, inference_geo }
}

function readUsage(usage: JsonObject, expected: Expected, metered: Metered): void {
  metered.usage = readMessageUsage(usage, expected.cache_write)
  metered.service_tier = answeredTier(usage, expected)
}

/**
 * Speed and place multiply the price; `priority` does not, because commitments are paid for separately. What the answer does
 * not say is taken from the request.
 */
export function answeredTier(
  usage: JsonObject,
  asked: { speed?: unknown; inference_geo?: unknown } = {},
): string | null {
  const isFast = (usage.speed ?? asked.speed ?? 'standard') !== 'standard'
  const isUs = (usage.inference_geo ?? asked.inference_geo) === 'us'
  if (usage.service_tier === 'batch' && !isFast) return isUs ? 'batch_us' : 'batch'
  return tierName(isFast, isUs) ?? stringOrNull(usage.service_tier)
}

export function meterWhole(expected: Expected): Meter {
  return meterLongAnswer((answer, shortened) => {
    const metered: Metered = { ...UNREAD, may_hide_output: expected.may_hide_output || shortened }
    if (answer.type === 'error') metered.error_class = errorClass(answer.error)
    metered.complete = answer.type === 'message'
    metered.response_model = stringOrNull(answer.model)
    metered.seen_output_bytes = bytesShown(answer.content)
    if (isObject(answer.usage)) readUsage(answer.usage, expected, metered)
    return metered
  })
}

/** Reads the events of a message's stream, however they are framed. */
export interface MessageEvents {
  read(event: unknown): void
  /** `read` of an event's JSON, which is not parsed where it only repeats the event before it with another text. */
  readJson(json: string): void
  /** True once the event that ends the stream was read. */
  readonly ended: boolean
  /** @param whole false where some of the stream could not be read. */
  end(whole: boolean): Metered
}

export function readMessageEvents(expected: Expected): MessageEvents {
  const metered: Metered = { ...UNREAD, may_hide_output: expected.may_hide_output }
  const repeats = recognizeRepeats()
  let usage: JsonObject = {}
  let isOutputTold = false
  let stopped = false
  let ended = false
  let begun = false
  let unreadable = false

  /** Each usage has the totals so far: fields that are set replace earlier ones, and nothing is added up. */
  const overwrite = (latest: unknown) => {
    if (!isObject(latest)) return
    const tells = ([name, value]: [string, unknown]) => value !== null && (hasInput(latest) || !INPUT_FIELDS.has(name))
    usage = { ...usage, ...Object.fromEntries(Object.entries(latest).filter(tells)) }
  }

  const read = (event: unknown, json: string | null) => {
    // Some servers end with OpenAI's `[DONE]` behind it.
    if (ended) return
    begun ||= !isObject(event) || (event.type !== 'ping' && event.type !== 'error')
    if (!isObject(event)) {
      unreadable = true
    } else if (event.type === 'message_start' && isObject(event.message)) {
      metered.response_model = stringOrNull(event.message.model)
      overwrite(event.message.usage)
    } else if (event.type === 'content_block_start' || event.type === 'content_block_delta') {
      const block = event.content_block ?? event.delta
      const bytes = event.type === 'content_block_start' ? bytesShown(block) : bytesOfStrings(block)
      metered.seen_output_bytes += bytes
      if (isObject(block) && /thinking/.test(textOrNone(block.type))) metered.may_hide_output = true
      if (json !== null && isObject(block) && block === event.delta) repeats.learn(json, bytes)
    } else if (event.type === 'message_delta') {
      overwrite(event.usage)
      isOutputTold ||= isObject(event.usage) && typeof event.usage.output_tokens === 'number'
      stopped ||= isObject(event.delta) && typeof event.delta.stop_reason === 'string'
    } else if (event.type === 'message_stop') {
      ended = true
    } else if (event.type === 'error') {
      metered.error_class ??= errorClass(event.error)
    }
  }

  return {
    read: (event) => read(event, null),
    readJson(json) {
      const bytes = repeats.bytesOf(json)
      if (bytes === null) read(parseJsonOrUndefined(json), json)
      else metered.seen_output_bytes += bytes
    },
    get ended() {
      return ended
    },
    end(whole) {
      metered.complete = ended && whole && !unreadable && metered.error_class === null
      metered.is_turned_away = whole && !begun && isTurnedAway(metered.error_class)
      // message_start has only a first count of the output. The final one is there once the stream has said why it stopped.
      if (isOutputTold && (stopped || ended)) readUsage(usage, expected, metered)
      return metered
    },
  }
}

function meterStream(expected: Expected): Meter {
  const events = readMessageEvents(expected)
  const sse = createSseReader(events.readJson)
  return {
    push: sse.push,
    get ending() {
      return events.ended ? 'over' : 'not_yet'
    },
    end() {
      sse.end()
      const metered = events.end(!sse.broken)
      return { ...metered, may_hide_output: metered.may_hide_output || sse.shortened }
    },
  }
}
