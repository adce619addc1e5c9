// Reads what an OpenAI chat completion used, from its JSON or its stream. Pure; unreadable usage is unknown usage.

import {
  bufferAnswer,
  bytesOfStrings,
  errorClass,
  isObject,
  isWhole,
  parseJsonOrUndefined,
  stringOrNull,
  tokenCount,
  UNREAD,
} from './answer.ts'
import type { JsonObject, Meter, Metered, TokenUsage } from './dialect.ts'
import { createSseReader } from './sse.ts'

/** Families that are known not to reason: all that they bill is in the answer to be seen. */
export const VISIBLE_OUTPUT = /^gpt-(3\.5|4)(?!.*(audio|realtime|search))/

/** What an answer is expected to hold. */
export interface Expected {
  choices: number
  /** True where more is billed than is in the answer. */
  may_hide_output: boolean
}

/** Of chat completions, and of legacy ones, whose choices have a `text` in place of a `delta`. */
export function meterChat(body: JsonObject, stream: boolean, expected: Expected = expectedOf(body)): Meter {
  return stream ? meterStream(body, expected) : meterJson(body, expected)
}

const expectedOf = ({ n, audio }: JsonObject): Expected => ({
  choices: typeof n === 'number' ? n : 1,
  may_hide_output: isObject(audio),
})

/** Null where a number is missing or is no count. Cached, cache-written and audio tokens are inside the totals. */
export function readChatUsage(usage: unknown): TokenUsage | null {
  if (!isObject(usage)) return null
  if (typeof usage.prompt_tokens !== 'number' || typeof usage.completion_tokens !== 'number') return null
  const input = isObject(usage.prompt_tokens_details) ? usage.prompt_tokens_details : {}
  const output = isObject(usage.completion_tokens_details) ? usage.completion_tokens_details : {}
  const input_tokens = tokenCount(usage.prompt_tokens)
  const read: TokenUsage = {
    input_tokens,
    cached_input_tokens: tokenCount(input.cached_tokens),
    cache_write_5m_tokens: tokenCount(input.cache_write_tokens),
    cache_write_1h_tokens: 0,
    audio_input_tokens: tokenCount(input.audio_tokens),
    // xAI counts reasoning in the total alone.
    output_tokens: Math.max(tokenCount(usage.completion_tokens), tokenCount(usage.total_tokens) - input_tokens),
    reasoning_tokens: tokenCount(output.reasoning_tokens),
    audio_output_tokens: tokenCount(output.audio_tokens),
    web_search_requests: 0,
    units: 0,
  }
  return isWhole(read) && read.cached_input_tokens + read.cache_write_5m_tokens <= input_tokens ? read : null
}

function blank(body: JsonObject, { may_hide_output }: Expected): Metered {
  return {
    ...UNREAD,
    may_hide_output: may_hide_output || typeof body.model !== 'string' || !VISIBLE_OUTPUT.test(body.model),
    // An answer that names no tier was served at the standard one, unless the client asked for a dearer one.
    service_tier: body.service_tier === 'priority' ? 'priority' : null,
  }
}

function meterJson(body: JsonObject, expected: Expected): Meter {
  const buffer = bufferAnswer()
  return {
    push: buffer.push,
    end() {
      const metered = blank(body, expected)
      const answer = buffer.end()
      if (!isObject(answer)) return metered
      readCommon(answer, metered)
      metered.complete = metered.error_class === null && Array.isArray(answer.choices)
      metered.usage = readChatUsage(answer.usage)
      metered.seen_output_bytes = bytesOfStrings(answer.choices)
      return metered
    },
  }
}

function readCommon(chunk: JsonObject, metered: Metered): void {
  metered.response_model = stringOrNull(chunk.model) ?? metered.response_model
  metered.service_tier = stringOrNull(chunk.service_tier) ?? metered.service_tier
  if (chunk.error !== undefined && chunk.error !== null) metered.error_class ??= errorClass(chunk.error)
}

function meterStream(body: JsonObject, expected: Expected): Meter {
  const metered = blank(body, expected)
  const finished = new Set<unknown>()
  let done = false
  let unreadable = false
  let usage: TokenUsage | null = null
  /** Usage that came in a chunk of its own is final; beside choices it may be a sum so far. */
  let usageIsFinal = false

  const sse = createSseReader((data) => {
    if (data === '[DONE]') {
      done = true
      return
    }
    const chunk = parseJsonOrUndefined(data)
    if (!isObject(chunk)) {
      unreadable = true
      return
    }
    readCommon(chunk, metered)
    const parts = Array.isArray(chunk.choices) ? chunk.choices : []
    for (const part of parts) {
      if (!isObject(part)) continue
      metered.seen_output_bytes += bytesOfStrings(part.delta ?? part.text)
      if (typeof part.finish_reason === 'string') finished.add(part.index)
    }
    if (isObject(chunk.usage)) {
      usage = readChatUsage(chunk.usage)
      usageIsFinal = parts.length === 0
    }
  })

  return {
    push: sse.push,
    get finished() {
      return done
    },
    end() {
      sse.end()
      const ended = done || finished.size >= expected.choices
      metered.complete = ended && !sse.broken && !unreadable && metered.error_class === null
      metered.usage = usageIsFinal || ended ? usage : null
      return metered
    },
  }
}
