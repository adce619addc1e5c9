// Reads what OpenAI's transcripts and speech used. Pure; unreadable usage is unknown usage.

import {
  bytesOfStrings,
  errorClass,
  isObject,
  isTurnedAway,
  isWhole,
  meterAnswer,
  NO_USAGE,
  objectOrEmpty,
  tokenCount,
  UNREAD,
} from './answer.ts'
import type { AnswerHead, JsonObject, Meter, Metered, TokenUsage } from './dialect.ts'
import { readEvents } from './openai-events.ts'
import { utf8Length } from './text-bound.ts'

/** Speech has 21 tokens a second, and no codec on offer encodes a second in fewer than 700 bytes. */
const AUDIO_BYTES_PER_TOKEN = 32

/** A day of audio. More is an error, not usage. */
const MAX_SECONDS = 86_400

const BLANK: Metered = { ...UNREAD, may_hide_output: true }

type ReadUsage = (answer: JsonObject) => TokenUsage | null

/**
 * Null where a number is missing or is no count.
 * @param heard true where all input counts as audio, unless the usage tells the kinds apart.
 */
function readTokens({ usage }: JsonObject, heard: boolean): TokenUsage | null {
  if (!isObject(usage) || typeof usage.input_tokens !== 'number' || typeof usage.output_tokens !== 'number') return null
  const details = objectOrEmpty(usage.input_token_details)
  const read = {
    ...NO_USAGE,
    input_tokens: tokenCount(usage.input_tokens),
    audio_input_tokens: tokenCount(details.audio_tokens ?? (heard ? usage.input_tokens : 0)),
    output_tokens: tokenCount(usage.output_tokens),
  }
  return isWhole(read) ? read : null
}

/** Seconds, as units; null where the answer has none. A translation has no usage, only the duration of its file. */
function readSeconds({ usage, duration }: JsonObject): TokenUsage | null {
  const seconds = isObject(usage) ? usage.seconds : duration
  const isTime = typeof seconds === 'number' && seconds >= 0 && seconds <= MAX_SECONDS
  return isTime ? { ...NO_USAGE, units: Math.ceil(seconds) } : null
}

/**
 * Meters JSON, a stream that ends in `transcript.text.done`, or plain text, which has no usage.
 *
 * @param by_tokens true for a model that is billed by tokens: if its answer has only the `duration` of the file, that does not
 *   say what was used.
 */
export function meterTranscript(by_tokens: boolean, { format, status }: AnswerHead): Meter {
  const readUsage: ReadUsage = (answer) => readTokens(answer, true) ?? (by_tokens ? null : readSeconds(answer))
  if (format === 'sse') return meterEvents('transcript.text.done', utf8Length, readUsage)
  if (format === 'other') {
    const complete = status < 400
    return meterBytes((bytes) => ({ ...BLANK, complete, seen_output_bytes: by_tokens && complete ? bytes : 0 }))
  }
  return meterAnswer((answer) => {
    const error_class = answer.error ? errorClass(answer.error) : null
    const seen_output_bytes = by_tokens ? bytesOfStrings(answer.text) : 0
    const complete = typeof answer.text === 'string'
    return { ...BLANK, usage: readUsage(answer), complete, seen_output_bytes, error_class }
  })
}

/** Of an answer that is read by its length alone. */
function meterBytes(read: (bytes: number) => Metered): Meter {
  let bytes = 0
  return {
    push(chunk) {
      bytes += chunk.length
    },
    end: () => read(bytes),
  }
}

/** @param characters what the call is billed for, whatever the answer; null where it is billed by tokens. */
export function meterSpeech(characters: number | null, { format, status }: AnswerHead): Meter {
  const isSpeech = status < 400
  const usage = characters !== null && isSpeech ? { ...NO_USAGE, units: characters } : null
  if (format === 'sse' && usage === null)
    return meterEvents('speech.audio.done', audioTokens, (event) => readTokens(event, false))
  return meterBytes((bytes) => ({
    ...BLANK,
    usage,
    complete: isSpeech,
    seen_output_bytes: isSpeech ? Math.ceil(bytes / AUDIO_BYTES_PER_TOKEN) : 0,
    error_class: isSpeech ? null : 'upstream_error',
  }))
}

/** At most so many: base64 is a third longer than its bytes. */
const audioTokens = (base64: string) => Math.ceil(base64.length / AUDIO_BYTES_PER_TOKEN)

function meterEvents(last: string, tokensOf: (generated: string) => number, readUsage: ReadUsage): Meter {
  const metered: Metered = { ...BLANK }
  let done = false
  let begun = false
  const isOver = () => done
  const events = readEvents((event) => {
    if (event.error || event.type === 'error') metered.error_class ??= errorClass(event.error ?? event)
    else begun = true
    const generated = event.delta ?? event.audio
    if (typeof generated === 'string') metered.seen_output_bytes += tokensOf(generated)
    if (event.type !== last) return
    done = true
    metered.usage = readUsage(event)
  }, isOver)
  return {
    push: events.push,
    get ending() {
      return done ? 'over' : 'not_yet'
    },
    end() {
      const whole = events.end()
      const is_turned_away = whole && !begun && isTurnedAway(metered.error_class)
      return { ...metered, complete: done && whole && metered.error_class === null, is_turned_away }
    },
  }
}
