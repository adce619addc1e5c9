// Reads what an OpenAI chat completion used, from its JSON or its stream. Pure; unreadable usage is unknown usage.

import {
  bytesOfStrings,
  errorClass,
  isObject,
  isTurnedAway,
  isWhole,
  meterLongAnswer,
  NO_USAGE,
  objectOrEmpty,
  stringOrNull,
  tokenCount,
  UNREAD,
  withReasoning,
} from './answer.ts'
import type { JsonObject, Meter, Metered, OpenMeter, TokenUsage } from './dialect.ts'
import { leaveOutArrays } from './leave-out-arrays.ts'
import { readEvents } from './openai-events.ts'
import { recognizeRepeats } from './repeated-events.ts'
import { namedOpenAITier, unnamedOpenAITier } from './service-tiers.ts'

/** Families that are known not to reason: all that they bill shows in the answer. */
export const VISIBLE_OUTPUT = /^gpt-(3\.5|4)(?!.*(audio|realtime|search))/

/** The member of an answer that lists, for each token, which other tokens were likely. */
export const ALTERNATIVES = 'top_logprobs'
export const asksForAlternatives = ({ top_logprobs }: JsonObject): boolean =>
  typeof top_logprobs === 'number' && top_logprobs > 0

/** What an answer is expected to hold. */
interface Expected {
  choices: number
  /** True where more is billed than is in the answer. */
  may_hide_output: boolean
  alternatives: boolean
  /** The tier of an answer that names none. */
  service_tier: string | null
}

/**
 * Meters chat completions, and legacy ones, whose choices have a `text` in place of a `delta`.
 *
 * @param hides_more true where more is billed than is in the answer, whatever the model.
 */
export function meterChat(
  body: JsonObject,
  choices: number = typeof body.n === 'number' ? body.n : 1,
  hides_more: boolean = isObject(body.audio),
): OpenMeter {
  const expected: Expected = {
    choices,
    may_hide_output: hides_more || typeof body.model !== 'string' || !VISIBLE_OUTPUT.test(body.model),
    alternatives: asksForAlternatives(body),
    service_tier: unnamedOpenAITier(body),
  }
  return ({ format }) => (format === 'sse' ? meterStream(expected) : meterJson(expected))
}

/** Null where a number is missing or is no count. Cached, cache-written and audio tokens are inside the totals. */
export function readChatUsage(usage: unknown): TokenUsage | null {
  if (!isObject(usage)) return null
  if (typeof usage.prompt_tokens !== 'number' || typeof usage.completion_tokens !== 'number') return null
  const input = objectOrEmpty(usage.prompt_tokens_details)
  const output = objectOrEmpty(usage.completion_tokens_details)
  const input_tokens = tokenCount(usage.prompt_tokens)
  // Perplexity's and SGLang's stands beside the totals.
  const reasoning_tokens = tokenCount(output.reasoning_tokens ?? usage.reasoning_tokens)
  // OpenAI's name and OpenRouter's, Alibaba's, and that of LiteLLM and Databricks.
  const writes = [input.cache_write_tokens, input.cache_creation_input_tokens, usage.cache_creation_input_tokens]
  const read: TokenUsage = {
    ...NO_USAGE,
    input_tokens,
    // Moonshot's and Step's stands beside the totals, too.
    cached_input_tokens: tokenCount(input.cached_tokens ?? usage.cached_tokens),
    cache_write_5m_tokens: Math.max(...writes.map((count) => tokenCount(count))),
    audio_input_tokens: tokenCount(input.audio_tokens),
    // xAI counts reasoning in the total alone.
    output_tokens: Math.max(
      withReasoning(tokenCount(usage.completion_tokens), reasoning_tokens),
      tokenCount(usage.total_tokens) - input_tokens,
    ),
    reasoning_tokens,
    audio_output_tokens: tokenCount(output.audio_tokens),
  }
  return isWhole(read) && read.cached_input_tokens + read.cache_write_5m_tokens <= input_tokens ? read : null
}

const blank = ({ may_hide_output, service_tier }: Expected): Metered => ({ ...UNREAD, may_hide_output, service_tier })

function meterJson(expected: Expected): Meter {
  const meter = meterLongAnswer((answer, shortened) => {
    const metered = blank(expected)
    readCommon(answer, metered)
    metered.may_hide_output ||= shortened
    metered.complete = metered.error_class === null && Array.isArray(answer.choices)
    metered.usage = readChatUsage(answer.usage)
    metered.seen_output_bytes = bytesOfChoices(answer.choices)
    return metered
  })
  if (!expected.alternatives) return meter
  const leaveOut = leaveOutArrays(ALTERNATIVES)
  return { ...meter, push: (bytes) => meter.push(leaveOut(bytes)) }
}

const bytesOfChoices = (choices: unknown) =>
  Array.isArray(choices) ? choices.reduce((sum, choice) => sum + bytesGenerated(choice), 0) : 0

/** Bytes of what a choice says. The role does not count: nobody generated it. */
function bytesGenerated(choice: unknown): number {
  if (!isObject(choice)) return 0
  const said = choice.delta ?? choice.message ?? choice.text
  return bytesOfStrings(isObject(said) ? { ...said, role: null } : said)
}

function readCommon(chunk: JsonObject, metered: Metered): void {
  // Azure's chunks about its content filter have a model of no letters.
  metered.response_model = stringOrNull(chunk.model) || metered.response_model
  metered.service_tier = namedOpenAITier(chunk) ?? metered.service_tier
  const error = errorOf(chunk)
  if (error !== null) metered.error_class ??= errorClass(error)
}

/** Mistral's errors are no member of a chunk but all of it, and so were vLLM's. */
const errorOf = (chunk: JsonObject): unknown => chunk.error ?? (chunk.object === 'error' ? chunk : null)

function meterStream(expected: Expected): Meter {
  const metered = blank(expected)
  const finished = new Set<unknown>()
  const repeats = recognizeRepeats()
  let usage: TokenUsage | null = null
  /** Usage in a chunk of its own is final; in a chunk with choices it may be a sum so far. */
  let usageIsFinal = false
  /** True where something was generated after the last usage, which cannot count that. */
  let wentOn = false
  let begun = false

  const readChunk = (chunk: JsonObject, json: string) => {
    readCommon(chunk, metered)
    const parts = Array.isArray(chunk.choices) ? chunk.choices : []
    for (const part of parts) {
      if (!isObject(part)) continue
      const bytes = bytesGenerated(part)
      metered.seen_output_bytes += bytes
      wentOn ||= bytes > 0
      // Some say '' in every chunk but the last.
      if (typeof part.finish_reason === 'string' && part.finish_reason !== '') finished.add(part.index)
      if (parts.length === 1 && isObject(part.delta)) repeats.learn(json, bytes)
    }
    if (parts.length > 0) usageIsFinal = false
    // Moonshot's stands in the choice; of several nobody says whether each has its own.
    const told = chunk.usage ?? (expected.choices === 1 ? parts.find(isObject)?.usage : null)
    begun ||= errorOf(chunk) === null || isObject(told)
    if (isObject(told)) {
      usage = readChatUsage(told)
      usageIsFinal = parts.length === 0
      wentOn = false
    }
  }
  /** Counts a chunk that only repeats the one before it with another text. False for a chunk with more to read. */
  const isRepeat = (json: string) => {
    const bytes = repeats.bytesOf(json)
    // After a usage each chunk must be read, to see whether generation went on.
    if (bytes === null || usage !== null) return false
    metered.seen_output_bytes += bytes
    return true
  }
  const events = readEvents(readChunk, isRepeat)
  const areAllFinished = () => finished.size >= expected.choices

  return {
    push: events.push,
    get ending() {
      if (events.done) return 'over'
      // Not all that speak this API end with [DONE].
      return areAllFinished() ? 'may_be_over' : 'not_yet'
    },
    end() {
      const whole = events.end()
      const ended = events.done || areAllFinished()
      metered.complete = ended && whole && metered.error_class === null
      const isNothingElse = whole && !begun && metered.seen_output_bytes === 0
      metered.is_turned_away = isNothingElse && isTurnedAway(metered.error_class)
      metered.may_hide_output ||= events.shortened
      metered.usage = usageIsFinal || (ended && !wentOn) ? usage : null
      return metered
    },
  }
}
