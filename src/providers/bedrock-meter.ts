// Reads what a Bedrock call used, from its JSON or its frames. Pure; unreadable usage is unknown usage.

import {
  bufferAnswer,
  bytesOfStrings,
  isObject,
  isTurnedAway,
  parseJsonOrUndefined,
  tokenCount,
  UNREAD,
  usageOf,
} from './answer.ts'
import { answeredTier, dearestTier, tierOf } from './bedrock-tier.ts'
import { askedCacheWrite } from './cache-ttl.ts'
import type { AnswerHead, JsonObject, Meter, Metered, OpenMeter, TokenUsage } from './dialect.ts'
import { createFrameReader, type Frame } from './eventstream.ts'

/** Usage as Converse and Nova report it: input without cache reads and writes. */
export function readConverseUsage(usage: unknown, asked_cache_write: '5m' | '1h'): TokenUsage | null {
  if (!isObject(usage)) return null
  if (typeof usage.inputTokens !== 'number' || typeof usage.outputTokens !== 'number') return null
  const details = Array.isArray(usage.cacheDetails) ? usage.cacheDetails.filter(isObject) : []
  const written = (ttl: string) =>
    details.reduce((sum, detail) => sum + (detail.ttl === ttl ? tokenCount(detail.inputTokens) : 0), 0)
  return usageOf({
    input: tokenCount(usage.inputTokens),
    cached: tokenCount(usage.cacheReadInputTokens ?? usage.cacheReadInputTokenCount),
    writes: tokenCount(usage.cacheWriteInputTokens ?? usage.cacheWriteInputTokenCount),
    write5m: written('5m'),
    write1h: written('1h'),
    output: tokenCount(usage.outputTokens),
    asked_cache_write,
  })
}

/** What a Converse request says about its answer. */
interface Expected {
  cache_write: '5m' | '1h'
  /** The dearest tier that may answer. */
  tier: string | null
}

export function meterConverse(body: JsonObject): OpenMeter {
  const expected = { cache_write: askedCacheWrite(body, 'cachePoint'), tier: dearestTier(...tierOf(body)) }
  return (head) => meterExpected(expected, head)
}

function meterExpected({ cache_write, tier }: Expected, head: AnswerHead): Meter {
  const readEnd = (answer: JsonObject, metered: Metered) => {
    metered.usage = readConverseUsage(answer.usage, cache_write)
    metered.service_tier = answeredTier(tier, ...tierOf(answer))
  }
  if (head.format !== 'eventstream') {
    return meterJson(head, (answer, metered) => {
      metered.complete = isObject(answer.output)
      // Only the content: nobody generated the role.
      const message = isObject(answer.output) ? answer.output.message : null
      metered.seen_output_bytes = bytesOfStrings(isObject(message) ? message.content : answer.output)
      readEnd(answer, metered)
    })
  }
  let stopped = false
  let told = false
  return meterFrames(
    ({ headers, body: bytes }, metered) => {
      const type = headers[':event-type']
      const event = parseJsonOrUndefined(new TextDecoder().decode(bytes))
      if (!isObject(event)) return
      if (type === 'contentBlockStart' || type === 'contentBlockDelta') {
        metered.seen_output_bytes += bytesOfStrings(event.start ?? event.delta)
      } else if (type === 'messageStop') {
        stopped = true
      } else if (type === 'metadata') {
        told = true
        readEnd(event, metered)
      }
    },
    () => stopped,
    () => told,
  )
}

/** Meters one JSON answer. Errors are `{ message }`, with their type in a header. */
export function meterJson(head: AnswerHead, read: (answer: JsonObject, metered: Metered) => void): Meter {
  const buffer = bufferAnswer()
  return {
    push: buffer.push,
    end() {
      const metered = blank()
      const answer = buffer.end()
      if (head.status >= 400) metered.error_class = exceptionClass(head.headers.get('x-amzn-errortype') ?? '')
      else if (isObject(answer)) read(answer, metered)
      return metered
    },
  }
}

/**
 * Meters a stream of frames.
 *
 * @param stopped true once the answer has reached its own end.
 * @param told true once usage has come, after which nothing follows. Default: once `stopped`.
 */
export function meterFrames(
  onEvent: (frame: Frame, metered: Metered) => void,
  stopped: () => boolean,
  told = stopped,
): Meter {
  const metered = blank()
  let begun = false
  const frames = createFrameReader((frame) => {
    if (told()) return
    if (frame.headers[':message-type'] === 'event') {
      begun = true
      return onEvent(frame, metered)
    }
    metered.error_class ??= exceptionClass(frame.headers[':exception-type'] ?? frame.headers[':error-code'] ?? '')
  })
  return {
    push: frames.push,
    get ending() {
      if (told()) return 'over'
      return stopped() ? 'may_be_over' : 'not_yet'
    },
    end() {
      const whole = told() || (!frames.broken && frames.pending === 0)
      metered.complete = stopped() && whole && metered.error_class === null
      metered.is_turned_away = whole && !begun && isTurnedAway(metered.error_class)
      return metered
    },
  }
}

/** Bedrock's type of an exception as one of our stable classes. */
function exceptionClass(type: string): string {
  if (/throttl|quota/i.test(type)) return 'upstream_rate_limited'
  return /unavailable|notReady/i.test(type) ? 'upstream_overloaded' : 'upstream_error'
}

/** Models may reason without showing it. */
const blank = (): Metered => ({ ...UNREAD, may_hide_output: true })
