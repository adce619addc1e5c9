// OpenAI's transcriptions, translations and speech: what each can use at most. Pure.
//
//   gpt-4o(-mini)-transcribe   tokens: a file must fit the context window, unless it is cut into chunks
//   whisper-1                  seconds (`units`). Nothing bounds them: a FLAC of silence holds hours in kilobytes
//   tts-1, tts-1-hd            characters of the input (`units`)
//   gpt-4o-mini-tts            tokens. Nothing bounds those of the audio: `instructions` may ask for any slowness

import { type GatewayError, isRefusal } from '../errors.ts'
import { PLAIN_BOUND } from './answer.ts'
import type { Asked, Bound, JsonObject, OpenMeter, Operation } from './dialect.ts'
import { invalidField, readModel, unknownField } from './fields.ts'
import { meterSpeech, meterTranscript } from './openai-audio-meter.ts'
import { readFormBoolean, tokensOfForm, unknownFormField } from './openai-form.ts'
import { tokensOfText } from './text-bound.ts'

const TRANSCRIBE = /^gpt-4o(-mini)?-transcribe(-diarize|-\d{4}-\d{2}-\d{2})?$/
/** The context window of these models, whose own limit of a transcript is far lower. */
const TRANSCRIPT_TOKENS = 16_000

const TRANSCRIPTION_FIELDS = new Set(
  `chunking_strategy file include include[] keywords keywords[] known_speaker_names known_speaker_names[]
  known_speaker_references known_speaker_references[] language languages languages[] model prompt response_format stream
  temperature timestamp_granularities timestamp_granularities[]`.split(/\s+/),
)
const TRANSLATION_FIELDS = new Set(['file', 'model', 'prompt', 'response_format', 'temperature'])
const SPEECH_FIELDS = new Set('input instructions model response_format speed stream_format voice'.split(' '))

export const audioOperations: Operation[] = [
  {
    name: 'audio_transcriptions',
    method: 'POST',
    path: '/v1/audio/transcriptions',
    takes: 'form',
    readBound: ({ body }) => readTranscriptBound(body, TRANSCRIPTION_FIELDS),
    meter: meterOf,
  },
  {
    name: 'audio_translations',
    method: 'POST',
    path: '/v1/audio/translations',
    takes: 'form',
    readBound: ({ body }) => readTranscriptBound(body, TRANSLATION_FIELDS),
    meter: meterOf,
  },
  {
    name: 'audio_speech',
    method: 'POST',
    path: '/v1/audio/speech',
    readBound: ({ body, bytes }) => readSpeechBound(body, bytes),
    meter({ body }) {
      const characters = charactersOf(body)
      return (head) => meterSpeech(characters, head)
    },
  },
]

/** Only for a form that `readBound` has accepted. */
function meterOf({ body: { model } }: Asked): OpenMeter {
  const by_tokens = TRANSCRIBE.test(String(model))
  return (head) => meterTranscript(by_tokens, head)
}

function readTranscriptBound(form: JsonObject, known: ReadonlySet<string>): Bound | GatewayError {
  const model = readModel(form)
  if (isRefusal(model)) return model
  const stream = readFormBoolean(form, 'stream')
  if (isRefusal(stream)) return stream
  const byTokens = TRANSCRIBE.test(model)
  return {
    ...PLAIN_BOUND,
    model,
    stream,
    input_tokens: byTokens ? tokensOfForm(form) : 0,
    open_input: byTokens ? 'file' : null,
    unbounded: unknownFormField(form, known) ?? findUnbounded(form, model, byTokens),
    // No field limits a transcript: there is nothing to clamp.
    output: byTokens ? { max_tokens: TRANSCRIPT_TOKENS, min_tokens: TRANSCRIPT_TOKENS, choices: 1 } : null,
    audio_input: byTokens,
  }
}

function findUnbounded(form: JsonObject, model: string, byTokens: boolean): string | null {
  if (!byTokens) return /^whisper/.test(model) ? 'file' : 'model'
  // Each chunk has a context window of its own.
  return form.chunking_strategy === undefined ? null : 'chunking_strategy'
}

function readSpeechBound(body: JsonObject, bytes: number): Bound | GatewayError {
  const model = readModel(body)
  if (isRefusal(model)) return model
  if (typeof body.input !== 'string') return invalidField('input', 'a string')
  const units = charactersOf(body)
  const unknown = unknownField(body, SPEECH_FIELDS)
  if (units !== null)
    return { ...PLAIN_BOUND, model, stream: false, input_tokens: 0, unbounded: unknown, output: null, units }
  return {
    ...PLAIN_BOUND,
    model,
    stream: body.stream_format === 'sse',
    input_tokens: tokensOfText(body, bytes),
    unbounded: unknown ?? 'model',
    output: { max_tokens: null, min_tokens: 1, choices: 1 },
  }
}

/** How many characters are billed; null for models billed by tokens. UTF-16 units, which are never fewer than characters. */
function charactersOf({ model, input }: JsonObject): number | null {
  return /^tts-1(-|$)/.test(String(model)) && typeof input === 'string' ? input.length : null
}
