// Reads what a Gemini answer used, from its JSON, its events or its growing array. Pure; unreadable usage is unknown usage.

import {
  bytesOfStrings,
  isObject,
  isTurnedAway,
  isWhole,
  meterLongAnswer,
  NO_USAGE,
  objectOrEmpty,
  parseJsonOrUndefined,
  stringOrNull,
  tokenCount,
  UNREAD,
} from './answer.ts'
import type { Asked, JsonObject, Meter, Metered, OpenMeter, TokenUsage } from './dialect.ts'
import { fieldsOf, messageAt, startReading } from './gemini-fields.ts'
import { createArrayReader } from './gemini-frames.ts'
import { askedTier } from './gemini-generate.ts'
import { modelInPath } from './gemini-request.ts'
import { googleErrorClass } from './google-errors.ts'
import { leaveOutArrays } from './leave-out-arrays.ts'
import { createSseReader } from './sse.ts'

/** Families that are known not to think: all that they bill shows in the answer. */
const THINKS_NEVER = /^gemini-(1\.|2\.0-flash(-lite|-\d|$))/
/** https://ai.google.dev/gemini-api/docs/priority-inference */
const TIER_HEADER = 'x-gemini-service-tier'
/**
 * Gemini 3 and later are billed for each search, older ones once for a prompt that was grounded. "We ignore the empty web
 * search queries when counting unique queries": Google's documentation, as https://discuss.ai.google.dev/t/168136 quotes it.
 */
const BILLED_BY_PROMPT = /^gemini-[12]\./

/** What the request says about its answer. */
interface Expected {
  model: string
  candidates: number
  /** The tier that was asked for. */
  service_tier: string | null
}

export function meterGenerate({ body, params }: Asked, stream: boolean): OpenMeter {
  const fields = fieldsOf(body, '', startReading())
  const { candidateCount, responseLogprobs } = messageAt(fields.generationConfig, '', startReading())
  const expected = {
    model: modelInPath(params),
    candidates: typeof candidateCount === 'number' ? candidateCount : 1,
    service_tier: askedTier(fields.serviceTier),
  }
  return ({ format, headers }) => {
    const answer = readAnswer(expected, headers)
    if (format === 'sse') return meterEvents(answer)
    return stream ? meterArray(answer) : meterJson(answer, responseLogprobs === true)
  }
}

/** Null where a number is missing or is no count. The prompt's tokens include cached ones, but not tool results. */
export function readGeminiUsage(usage: JsonObject): TokenUsage | null {
  if (typeof usage.promptTokenCount !== 'number') return null
  const prompt = tokenCount(usage.promptTokenCount)
  const input_tokens = prompt + tokenCount(usage.toolUsePromptTokenCount)
  const reasoning_tokens = tokenCount(usage.thoughtsTokenCount)
  const read: TokenUsage = {
    ...NO_USAGE,
    input_tokens,
    cached_input_tokens: tokenCount(usage.cachedContentTokenCount),
    audio_input_tokens: audioIn(usage.promptTokensDetails) + audioIn(usage.toolUsePromptTokensDetails),
    // Gemini leaves out counts that are zero. Where the total is larger than the parts, it counts.
    output_tokens: Math.max(
      tokenCount(usage.candidatesTokenCount) + reasoning_tokens,
      tokenCount(usage.totalTokenCount) - input_tokens,
    ),
    reasoning_tokens,
    audio_output_tokens: audioIn(usage.candidatesTokensDetails),
  }
  const adds = read.cached_input_tokens <= prompt && read.audio_input_tokens <= input_tokens
  return isWhole(read) && adds && read.audio_output_tokens <= read.output_tokens ? read : null
}

function audioIn(details: unknown): number {
  let tokens = 0
  for (const detail of Array.isArray(details) ? details : []) {
    if (isObject(detail) && detail.modality === 'AUDIO') tokens += tokenCount(detail.tokenCount)
  }
  return tokens
}

interface Answer {
  read(chunk: unknown): void
  /** True once every candidate has said that it finished. */
  readonly finished: boolean
  /** `ended`: the bytes reached their own end, as far as they can tell. */
  end(ended: boolean): Metered
}

/** Reads a whole answer, or a stream chunk by chunk: each chunk says what was used so far, the last one all that was used. */
function readAnswer({ model, candidates, service_tier }: Expected, headers: Headers): Answer {
  const metered: Metered = {
    ...UNREAD,
    may_hide_output: !THINKS_NEVER.test(model),
    // Priority is served as standard where it has no room. An answer that names no tier was served at the one asked for.
    service_tier: answeredTier({ serviceTier: headers.get(TIER_HEADER) }) ?? service_tier,
  }
  const finished = new Set<unknown>()
  const queries = new Set<string>()
  let searches = 0
  let blocked = false
  let begun = false
  let unreadable = false
  let usage: JsonObject | null = null

  const readCandidate = (candidate: unknown) => {
    if (!isObject(candidate)) return
    if (isObject(candidate.content)) metered.seen_output_bytes += bytesOfStrings(candidate.content.parts)
    if (typeof candidate.finishReason === 'string') finished.add(candidate.index ?? 0)
    const grounding = objectOrEmpty(candidate.groundingMetadata)
    for (const kind of ['webSearchQueries', 'imageSearchQueries']) {
      const searched = Array.isArray(grounding[kind]) ? grounding[kind] : []
      for (const query of searched) if (query !== '') queries.add(JSON.stringify([kind, query]))
    }
    const grounded = Array.isArray(grounding.groundingChunks) && grounding.groundingChunks.length > 0 ? 1 : 0
    searches = Math.max(searches, queries.size, grounded)
  }

  const areAllFinished = () => blocked || finished.size >= candidates

  return {
    get finished() {
      return areAllFinished()
    },
    read(chunk) {
      const seenBefore = metered.seen_output_bytes
      if (!isObject(chunk)) {
        unreadable = true
        return
      }
      if (isObject(chunk.error)) metered.error_class ??= googleErrorClass(chunk.error)
      else begun = true
      metered.response_model = stringOrNull(chunk.modelVersion) ?? metered.response_model
      for (const candidate of Array.isArray(chunk.candidates) ? chunk.candidates : []) readCandidate(candidate)
      blocked ||= isObject(chunk.promptFeedback) && typeof chunk.promptFeedback.blockReason === 'string'
      if (isObject(chunk.usageMetadata)) usage = chunk.usageMetadata
      // Output that comes after a usage is not counted in it.
      else if (metered.seen_output_bytes > seenBefore) usage = null
    },
    end(ended) {
      // JSON that has closed and has its usage is complete, whether or not it says why it has no (other) candidate.
      const hasToldAll = areAllFinished() || usage !== null
      metered.complete = ended && !unreadable && metered.error_class === null && hasToldAll
      const isNothingElse = !begun && !unreadable && usage === null && metered.seen_output_bytes === 0
      metered.is_turned_away = isNothingElse && isTurnedAway(metered.error_class)
      // A newer model may have answered in place of a retired one.
      metered.may_hide_output ||= !THINKS_NEVER.test(metered.response_model ?? model)
      if (usage === null || !metered.complete) return metered
      metered.service_tier = answeredTier(usage) ?? metered.service_tier
      const read = readGeminiUsage(usage)
      if (read === null) return metered
      const isByPrompt = BILLED_BY_PROMPT.test(metered.response_model ?? model)
      metered.usage = { ...read, web_search_requests: isByPrompt ? Math.min(searches, 1) : searches }
      return metered
    },
  }
}

function answeredTier({ serviceTier, trafficType }: JsonObject): string | null {
  const said = `${stringOrNull(serviceTier)} ${stringOrNull(trafficType)}`.toLowerCase()
  return ['priority', 'flex', 'batch', 'standard'].find((tier) => said.includes(tier)) ?? null
}

/** @param alternatives true where the answer lists, for each token, which other tokens were likely. */
function meterJson(answer: Answer, alternatives: boolean): Meter {
  const meter = meterLongAnswer((whole, shortened) => {
    answer.read(whole)
    const metered = answer.end(true)
    return { ...metered, may_hide_output: metered.may_hide_output || shortened }
  })
  if (!alternatives) return meter
  const leaveOut = leaveOutArrays('topCandidates')
  return { ...meter, push: (bytes) => meter.push(leaveOut(bytes)) }
}

/**
 * Never `over` before the end: nothing marks the last event, and older models say in every event that they have finished. An
 * error may come as plain JSON, in lines of no event: https://github.com/theopenco/llmgateway/pull/3616
 */
function meterEvents(answer: Answer): Meter {
  const readStray = (lines: string) => {
    const stray = parseJsonOrUndefined(lines)
    if (isObject(stray) && isObject(stray.error)) answer.read(stray)
  }
  const sse = createSseReader((data) => answer.read(parseJsonOrUndefined(data)), readStray)
  return {
    push: sse.push,
    get ending() {
      return answer.finished ? 'may_be_over' : 'not_yet'
    },
    end() {
      sse.end()
      if (sse.broken) answer.read(undefined)
      const metered = answer.end(answer.finished)
      return { ...metered, may_hide_output: metered.may_hide_output || sse.shortened }
    },
  }
}

function meterArray(answer: Answer): Meter {
  const array = createArrayReader((json) => answer.read(parseJsonOrUndefined(json)))
  return {
    push: array.push,
    get ending() {
      return array.closed ? 'over' : 'not_yet'
    },
    end() {
      if (array.broken) answer.read(undefined)
      return answer.end(array.closed)
    },
  }
}
