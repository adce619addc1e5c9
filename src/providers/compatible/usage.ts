// Reads usage that a provider reports in a place of its own, in addition to OpenAI's meter. Pure; must never throw.

import { bufferAnswer, changeEnd, isObject, parseJsonOrUndefined } from '../answer.ts'
import type { AnswerHead, Meter, Metered, TokenUsage } from '../dialect.ts'
import { leaveOutArrays } from '../leave-out-arrays.ts'
import { shortenStrings } from '../long-strings.ts'
import { ALTERNATIVES, readChatUsage } from '../openai-meter.ts'
import { createSseReader } from '../sse.ts'
import type { Quirks } from './provider.ts'

/** Kinds of input in the request that the provider's usage may not tell apart. */
interface SentKinds {
  /** Cache writes are for an hour. */
  one_hour: boolean
  /** Audio is sent: all input counts as audio where the usage does not say how much was (Mistral only tells its seconds). */
  audio_input: boolean
}

export function withUsageQuirks(meter: Meter, { format }: AnswerHead, quirks: Quirks, sent: SentKinds): Meter {
  const reader = hasPlace(quirks) ? readUsage(format === 'sse', quirks) : null
  const push = (bytes: Uint8Array) => {
    meter.push(bytes)
    reader?.push(bytes)
  }
  const change = (metered: Metered): Metered => {
    const own = reader?.end() ?? null
    // A sum so far is not the usage. OpenAI's meter knows which one is final, but does not look at `usage_at`.
    const isFinal = metered.usage !== null || (metered.complete && quirks.usage_at !== null)
    const usage = isFinal && own !== null ? own : metered.usage
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

/** The last usage of an answer. */
function readUsage(stream: boolean, quirks: Quirks): { push(bytes: Uint8Array): void; end(): TokenUsage | null } {
  if (!stream) {
    // Usage comes after what may be megabytes of sound, of pictures, of alternative tokens.
    const [leaveOut, strings, buffer] = [leaveOutArrays(ALTERNATIVES), shortenStrings(), bufferAnswer()]
    const push = (bytes: Uint8Array) => buffer.push(strings.push(leaveOut(bytes)))
    return { push, end: () => usageIn(buffer.end(), quirks) ?? null }
  }
  let usage: TokenUsage | null = null
  const own_name = quirks.usage_at?.split('.').at(-1) ?? 'usage'
  const tells = new RegExp(String.raw`"(usage|${own_name})"\s*:\s*\{`)
  const sse = createSseReader((data) => {
    // Most chunks have none and need no parsing a second time.
    if (!tells.test(data)) return
    const told = usageIn(parseJsonOrUndefined(data), quirks)
    if (told !== undefined) usage = told
  })
  return {
    push: sse.push,
    end() {
      sse.end()
      return usage
    },
  }
}

/** The usage in an answer or chunk: undefined where there is none, null where it cannot be read. */
function usageIn(answer: unknown, { usage_at, cached_tokens_at }: Quirks): TokenUsage | null | undefined {
  const elsewhere = usage_at === null ? undefined : valueAt(answer, usage_at)
  const usage = isObject(elsewhere) ? elsewhere : valueAt(answer, 'usage')
  if (!isObject(usage)) return undefined
  const cached = cached_tokens_at === null ? undefined : valueAt(usage, cached_tokens_at)
  if (cached === undefined) return readChatUsage(usage)
  const details = isObject(usage.prompt_tokens_details) ? usage.prompt_tokens_details : {}
  return readChatUsage({ ...usage, prompt_tokens_details: { ...details, cached_tokens: cached } })
}

/** `x_groq.usage` of an object; undefined where there is none. */
function valueAt(value: unknown, path: string): unknown {
  let at = value
  for (const name of path.split('.')) at = isObject(at) && Object.hasOwn(at, name) ? at[name] : undefined
  return at
}
