// Reads usage that a provider reports in a place of its own, in addition to OpenAI's meter. Pure; must never throw.

import { bufferAnswer, changeEnd, isObject } from '../answer.ts'
import type { AnswerHead, JsonObject, Meter, Metered, TokenUsage } from '../dialect.ts'
import { leaveOutArrays } from '../leave-out-arrays.ts'
import { shortenStrings } from '../long-strings.ts'
import { readEvents } from '../openai-events.ts'
import { ALTERNATIVES, readChatUsage } from '../openai-meter.ts'
import type { Quirks } from './provider.ts'

/** Kinds of input in the request that the provider's usage may not tell apart. */
interface SentKinds {
  /** Cache writes are for an hour. */
  one_hour: boolean
  /** Audio is sent: all input counts as audio where the usage does not say how much was (Mistral only tells its seconds). */
  audio_input: boolean
}

export function withUsageQuirks(meter: Meter, { format }: AnswerHead, quirks: Quirks, sent: SentKinds): Meter {
  const reader = hasPlace(quirks) ? findUsage(format === 'sse', quirks) : null
  const push = (bytes: Uint8Array) => {
    meter.push(bytes)
    reader?.push(bytes)
  }
  const change = (metered: Metered): Metered => {
    const told = reader?.end()
    // A sum so far is not the usage. OpenAI's meter knows which one is final, but does not look at `usage_at`.
    const isFinal = metered.usage !== null || (metered.complete && quirks.usage_at !== null)
    // What is no chat's usage has been read by its own operation.
    const usage = isFinal && readChatUsage(told) !== null ? readTold(told, quirks) : metered.usage
    // Any model here may reason without showing it, whatever its name: unread usage is charged the hold.
    return { ...metered, may_hide_output: true, usage: usage && atDearest(usage, sent) }
  }
  return changeEnd(meter, change, push)
}

const hasPlace = ({ usage_at, cached_tokens_at }: Quirks) => usage_at !== null || cached_tokens_at !== null

function atDearest(usage: TokenUsage, { one_hour, audio_input }: SentKinds): TokenUsage {
  const writes = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
  return {
    ...usage,
    ...(one_hour && { cache_write_5m_tokens: 0, cache_write_1h_tokens: writes }),
    ...(audio_input && usage.audio_input_tokens === 0 && { audio_input_tokens: usage.input_tokens }),
  }
}

/** Finds the last usage of an answer. */
function findUsage(stream: boolean, quirks: Quirks): { push(bytes: Uint8Array): void; end(): JsonObject | undefined } {
  if (!stream) {
    // Usage comes after what may be megabytes of sound, of pictures, of alternative tokens.
    const [leaveOut, strings, buffer] = [leaveOutArrays(ALTERNATIVES), shortenStrings(), bufferAnswer()]
    const push = (bytes: Uint8Array) => buffer.push(strings.push(leaveOut(bytes)))
    return { push, end: () => usageIn(buffer.end(), quirks) }
  }
  let told: JsonObject | undefined
  const own_name = quirks.usage_at?.split('.').at(-1) ?? 'usage'
  const tells = new RegExp(String.raw`"(usage|${own_name})"\s*:\s*\{`)
  const read = (chunk: JsonObject) => {
    told = usageIn(chunk, quirks) ?? told
  }
  // Most chunks have none and need no parsing a second time.
  const events = readEvents(read, (json) => !tells.test(json))
  return {
    push: events.push,
    end() {
      events.end()
      return told
    },
  }
}

/** The usage in an answer or chunk, as it came. */
function usageIn(answer: unknown, { usage_at }: Quirks): JsonObject | undefined {
  const places = usage_at === null ? ['usage'] : [usage_at, 'usage']
  return places.map((path) => valueAt(answer, path)).find(isObject)
}

/** Null where a number is no count, or is more than what it is said to be inside of. */
function readTold(usage: JsonObject | undefined, { cached_tokens_at }: Quirks): TokenUsage | null {
  const cached = cached_tokens_at === null ? undefined : valueAt(usage, cached_tokens_at)
  if (cached === undefined) return readChatUsage(usage)
  const details = isObject(usage?.prompt_tokens_details) ? usage.prompt_tokens_details : {}
  return readChatUsage({ ...usage, prompt_tokens_details: { ...details, cached_tokens: cached } })
}

/** `x_groq.usage` of an object; undefined where there is none. */
function valueAt(value: unknown, path: string): unknown {
  let at = value
  for (const name of path.split('.')) at = isObject(at) && Object.hasOwn(at, name) ? at[name] : undefined
  return at
}
