// What Gemini's contents hold besides text, and the tokens that this takes. Pure.

import { isObject } from './answer.ts'
import type { JsonObject } from './dialect.ts'
import { hasOnly, textOrNone } from './fields.ts'
import { listOf, messageAt, type Reading, unknownIn } from './gemini-fields.ts'

/**
 * Gemini 3 spends at most 2,240 tokens on an image; older ones 258 on each of at most 16 tiles. Newer ones are unknown.
 * https://ai.google.dev/gemini-api/docs/media-resolution
 */
const INLINE_IMAGE_TOKENS = 5_000
const COUNTS_IMAGES = /^gemini-[123](?!\d)/
const STILL_IMAGE = /^image\/(png|jpe?g|webp|heic|heif)$/i

const CONTENT_FIELDS = new Set(['role', 'parts'])

/** Parts that cost no more than their bytes. A signature holds its whole thought, encrypted. */
const PARTS_OF_BYTES = new Set(
  `text thought thoughtSignature functionCall executableCode codeExecutionResult videoMetadata mediaResolution
  partMetadata speechMetadata`.split(/\s+/),
)

/** Reads one content or a list of them. */
export function readContents(contents: unknown, path: string, reading: Reading): void {
  for (const [at, content] of listOf(contents).entries()) {
    const here = Array.isArray(contents) ? `${path}[${at}]` : path
    const fields = messageAt(content, here, reading)
    reading.unbounded ??= unknownIn(fields, CONTENT_FIELDS, `${here}.`)
    for (const [index, part] of listOf(fields.parts).entries()) {
      readPart(part, `${here}.parts[${index}]`, reading)
    }
  }
}

/** False where there is anything but text, for operations at which everything else has rates of its own. */
export function holdsOnlyText(contents: unknown): boolean {
  return listOf(contents).every(
    (content) => isObject(content) && listOf(content.parts).every((part) => hasOnly(part, 'text')),
  )
}

function readPart(part: unknown, path: string, reading: Reading): void {
  for (const [name, value] of Object.entries(messageAt(part, path, reading))) {
    const here = `${path}.${name.slice(0, 40)}`
    if (PARTS_OF_BYTES.has(name)) continue
    if (name === 'inlineData') readInline(messageAt(value, here, reading), here, reading)
    else if (name === 'functionResponse') readFunctionResponse(messageAt(value, here, reading), here, reading)
    else if (name === 'mediaProcessing') readProcessing(value, here, reading)
    else {
      if (name === 'fileData') reading.audio_input ||= mayBeFilm(messageAt(value, here, reading))
      reading.open_input ??= here
    }
  }
}

function readInline({ mimeType, data }: JsonObject, path: string, reading: Reading): void {
  const type = textOrNone(mimeType)
  if (STILL_IMAGE.test(type) && COUNTS_IMAGES.test(reading.model) && typeof data === 'string') {
    // An image is never read as text: its tokens take the place of its bytes.
    reading.added_tokens += INLINE_IMAGE_TOKENS - data.length
    return
  }
  // Bytes do not bound it: a second of silence is next to no bytes and 32 tokens.
  reading.audio_input ||= mayHoldAudio(type)
  reading.open_input ??= path
}

/**
 * By default a film is read once. A model that explores it by itself (`AGENTIC`) reads its input again for each look.
 * https://ai.google.dev/gemini-api/docs/video-understanding#agentic-video-understanding
 */
function readProcessing(processing: unknown, path: string, reading: Reading): void {
  if (processing !== 'STATIC' && processing !== 'MEDIA_PROCESSING_UNSPECIFIED') reading.unbounded ??= path
}

/** A link to YouTube is a film, whatever its `mimeType` says. */
const mayBeFilm = ({ mimeType, fileUri }: JsonObject) =>
  mayHoldAudio(mimeType) || /youtu\.?be/i.test(textOrNone(fileUri))

/** Films have a sound track. */
const mayHoldAudio = (mimeType: unknown) => !/^(image|text)\/|^application\/pdf$/i.test(textOrNone(mimeType))

/** A function may have answered with media beside its JSON. */
function readFunctionResponse(fields: JsonObject, path: string, reading: Reading): void {
  for (const [at, part] of listOf(fields.parts).entries()) {
    const here = `${path}.parts[${at}]`
    for (const [name, value] of Object.entries(messageAt(part, here, reading))) {
      if (name === 'inlineData') readInline(messageAt(value, here, reading), `${here}.inlineData`, reading)
      else if (name === 'mediaProcessing') readProcessing(value, `${here}.${name}`, reading)
      else {
        reading.audio_input = true
        reading.open_input ??= `${path}.parts`
      }
    }
  }
}
