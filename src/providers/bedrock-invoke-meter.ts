// Reads what an InvokeModel call used: from the usage of the model's family, else from Bedrock's own counts. Pure; unreadable
// usage is unknown usage.

import { bytesShown, changeEnd, isObject, parseJsonOrUndefined, tokenCount, usageOf } from './answer.ts'
import { type Expected as ExpectedMessage, expectedOf, meterWhole, readMessageEvents } from './anthropic-meter.ts'
import { meterFrames, meterJson, readConverseUsage } from './bedrock-meter.ts'
import { type BedrockModel, claudeName, type Family } from './bedrock-model.ts'
import { answeredTier, dearestTier, tierOfHeaders } from './bedrock-tier.ts'
import { askedCacheWrite } from './cache-ttl.ts'
import type { AnswerHead, Asked, JsonObject, Meter, Metered, OpenMeter, TokenUsage } from './dialect.ts'
import type { Frame } from './eventstream.ts'
import { readChatUsage } from './openai-meter.ts'

const METRICS = 'amazon-bedrock-invocationMetrics'

/** What the request says about its answer. */
interface Expected {
  family: Family | null
  cache_write: '5m' | '1h'
  /** The dearest tier that may answer. */
  tier: string | null
  /** What a request to Claude says about its message; null for other families. */
  message: ExpectedMessage | null
}

export function meterInvoke({ body, headers }: Asked, { id, family }: BedrockModel): OpenMeter {
  const message = family === 'claude' ? expectedOf({ ...body, model: claudeName(id) }) : null
  const cache_write = message?.cache_write ?? askedCacheWrite(body, 'cachePoint')
  const expected = { family, cache_write, tier: dearestTier(...tierOfHeaders(headers)), message }
  return (head) => meterExpected(expected, head)
}

function meterExpected({ family, cache_write, tier, message }: Expected, head: AnswerHead): Meter {
  const service_tier = answeredTier(tier, ...tierOfHeaders(head.headers))
  const finish = (metered: Metered, metrics: unknown = null): Metered => ({
    ...metered,
    service_tier,
    usage: metered.usage ?? metricsUsage(metrics, cache_write) ?? headerUsage(head.headers, family, cache_write),
  })
  if (message && head.status < 400) {
    return head.format === 'eventstream' ? meterClaudeFrames(message, finish) : changeEnd(meterWhole(message), finish)
  }
  if (head.format !== 'eventstream') {
    const meter = meterJson(head, (answer, metered) => {
      metered.complete = true
      metered.seen_output_bytes = bytesShown(answer)
      metered.usage = readUsage(answer, family, cache_write)
    })
    return changeEnd(meter, (metered) => (head.status < 400 ? finish(metered) : metered))
  }
  let metrics: unknown = null
  const meter = meterFrames(
    (frame, metered) => {
      const chunk = chunkOf(frame)
      if (!isObject(chunk)) return
      metered.seen_output_bytes += bytesShown(chunk)
      metrics = chunk[METRICS] ?? metrics
    },
    () => metrics !== null,
  )
  return changeEnd(meter, (metered) => (metrics === null ? metered : finish(metered, metrics)))
}

/** The JSON inside a `chunk` frame; undefined where there is none. */
export function chunkOf({ headers, body }: Frame): unknown {
  if (headers[':event-type'] !== 'chunk') return undefined
  const event = parseJsonOrUndefined(new TextDecoder().decode(body))
  if (!isObject(event) || typeof event.bytes !== 'string') return undefined
  try {
    const text = atob(event.bytes)
    const bytes = new Uint8Array(text.length)
    for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at)
    return parseJsonOrUndefined(new TextDecoder().decode(bytes))
  } catch {
    // It was not base64.
    return undefined
  }
}

/** Anthropic's own events say more than Bedrock's sum: how long caches live, whether the model thought. */
function meterClaudeFrames(message: ExpectedMessage, finish: (metered: Metered, metrics: unknown) => Metered): Meter {
  const events = readMessageEvents(message)
  let metrics: unknown = null
  const frames = meterFrames(
    (frame) => {
      const event = chunkOf(frame)
      events.read(event)
      if (isObject(event)) metrics = event[METRICS] ?? metrics
    },
    () => events.ended,
  )
  return changeEnd(frames, (framed) => {
    const { error_class, is_turned_away } = framed
    const metered = { ...events.end(framed.complete), is_turned_away, ...(error_class && { error_class }) }
    return events.ended || metered.usage ? finish(metered, metrics) : { ...metered, service_tier: null }
  })
}

/** Null where the body does not say. */
function readUsage(answer: JsonObject, family: Family | null, asked_cache_write: '5m' | '1h'): TokenUsage | null {
  const counts = (input: unknown, output: unknown) =>
    typeof input === 'number' && (typeof output === 'number' || output === null)
      ? usageOf({ input: tokenCount(input), cached: 0, writes: 0, output: tokenCount(output), asked_cache_write })
      : null
  if (family === 'nova') return readConverseUsage(answer.usage, asked_cache_write)
  if (family === 'chat' || family === 'mistral') return readChatUsage(answer.usage)
  if (family === 'llama') return counts(answer.prompt_token_count, answer.generation_token_count)
  if (family === 'titan_embed') return counts(answer.inputTextTokenCount, null)
  if (family === 'titan_text' && Array.isArray(answer.results)) {
    const output = answer.results.reduce(
      (sum, result) => sum + (isObject(result) ? tokenCount(result.tokenCount) : NaN),
      0,
    )
    return counts(answer.inputTextTokenCount, output)
  }
  return null
}

function metricsUsage(metrics: unknown, asked_cache_write: '5m' | '1h'): TokenUsage | null {
  if (!isObject(metrics)) return null
  const { inputTokenCount, outputTokenCount, cacheReadInputTokenCount, cacheWriteInputTokenCount } = metrics
  if (typeof inputTokenCount !== 'number' || typeof outputTokenCount !== 'number') return null
  return usageOf({
    input: tokenCount(inputTokenCount),
    cached: tokenCount(cacheReadInputTokenCount),
    writes: tokenCount(cacheWriteInputTokenCount),
    output: tokenCount(outputTokenCount),
    asked_cache_write,
  })
}

/** Usage from the headers. Embeddings have no output to count. */
function headerUsage(headers: Headers, family: Family | null, asked_cache_write: '5m' | '1h'): TokenUsage | null {
  const count = (name: string) => {
    const value = headers.get(`x-amzn-bedrock-${name}-token-count`)
    return value === null ? null : tokenCount(/^\d{1,15}$/.test(value) ? Number(value) : Number.NaN)
  }
  const input = count('input')
  const output = count('output') ?? (family === 'cohere_embed' || family === 'titan_embed' ? 0 : null)
  if (input === null || output === null) return null
  const cached = count('cache-read-input') ?? 0
  return usageOf({ input, cached, writes: count('cache-write-input') ?? 0, output, asked_cache_write })
}
