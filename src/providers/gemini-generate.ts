// What a Gemini answer can use at most, read from its request, and the edits that keep it there. Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import { isObject, objectOrEmpty, PLAIN_BOUND } from './answer.ts'
import type { Asked, Bound, Edit, JsonObject } from './dialect.ts'
import { editBound, editInside, invalidField, readPositiveInteger, textOrNone } from './fields.ts'
import { readContents } from './gemini-contents.ts'
import { fieldsOf, listOf, messageAt, type Reading, spellingOf, startReading, unknownIn } from './gemini-fields.ts'
import { modelInPath, refuseOtherModel, refuseQuery } from './gemini-request.ts'
import { TOOL_PREAMBLE_TOKENS, tokensOfBody } from './text-bound.ts'

/** Google's own limit. */
const MAX_CANDIDATES = 8

/** Fields whose cost is known: in the bytes, or accounted for below. */
const KNOWN_FIELDS = new Set(
  `cachedContent contents continuationToken generationConfig labels model safetySettings serviceTier store
  systemInstruction toolConfig tools`.split(/\s+/),
)

/** `routingConfig` and `modelSelectionConfig` are not among these: they may choose another model. */
const KNOWN_CONFIG = new Set(
  `audioTimestamp candidateCount enableEnhancedCivicAnswers frequencyPenalty imageConfig logprobs maxOutputTokens
  mediaResolution presencePenalty responseJsonSchema _responseJsonSchema responseLogprobs responseMimeType
  responseModalities responseSchema seed speechConfig stopSequences temperature thinkingConfig topK topP`.split(/\s+/),
)

const KNOWN_THINKING = new Set(['includeThoughts', 'thinkingBudget', 'thinkingLevel'])

export function readGenerateBound({ body, bytes, params, query }: Asked, stream: boolean): Bound | GatewayError {
  const model = modelInPath(params)
  const refused = refuseQuery(query)
  if (refused) return refused
  const reading = startReading(model)
  const fields = fieldsOf(body, '', reading)
  if (!isObject(fields.contents) && !Array.isArray(fields.contents)) return invalidField('contents', 'an array')
  reading.refusal ??= refuseOtherModel(fields.model, model, 'model')
  reading.unbounded ??= unknownIn(fields, KNOWN_FIELDS, '')

  readContents(fields.contents, 'contents', reading)
  readInstruction(fields.systemInstruction, reading)
  readTools(fields.tools, reading)
  const config = messageAt(fields.generationConfig, 'generationConfig', reading)
  reading.unbounded ??= unknownIn(config, KNOWN_CONFIG, 'generationConfig.')
  if (config.responseSchema || config.responseJsonSchema || config._responseJsonSchema)
    reading.added_tokens += TOOL_PREAMBLE_TOKENS
  const output = readOutput(config, reading)
  if (isRefusal(output)) return output
  // Cached content may hold hosted tools, too.
  if (fields.cachedContent !== undefined) reading.unbounded ??= 'cachedContent'
  // A continuation token stands for an earlier answer.
  if (fields.continuationToken !== undefined) reading.open_input ??= 'continuationToken'
  const audio_output = readModalities(config, reading)
  if (reading.refusal) return reading.refusal

  return {
    ...PLAIN_BOUND,
    model,
    stream,
    input_tokens: tokensOfBody(body, bytes) + reading.added_tokens,
    open_input: reading.open_input,
    unbounded: reading.unbounded,
    output,
    audio_input: reading.audio_input,
    audio_output,
    service_tier: askedTier(fields.serviceTier),
  }
}

/** Writes the granted bound where the client's own is larger or absent, in the client's spelling. */
export function editGenerate(body: JsonObject, granted_output_tokens: number | null): Edit[] {
  if (granted_output_tokens === null) return []
  const field = spellingOf(body, 'generationConfig')
  const config = objectOrEmpty(body[field])
  return editInside(field, config, editBound(config, spellingOf(config, 'maxOutputTokens'), granted_output_tokens))
}

/** The dearest tier that may answer; null for the standard one. */
export function askedTier(tier: unknown): 'priority' | null {
  const isCheap = tier === undefined || /^(unspecified|standard|flex)$/i.test(textOrNone(tier))
  return isCheap ? null : 'priority'
}

/** The API also takes plain text, whose bytes are counted already. */
function readInstruction(instruction: unknown, reading: Reading): void {
  if (typeof instruction !== 'string') readContents(instruction, 'systemInstruction', reading)
}

function readTools(tools: unknown, reading: Reading): void {
  for (const [at, tool] of listOf(tools).entries()) {
    reading.added_tokens += TOOL_PREAMBLE_TOKENS
    for (const [name, value] of Object.entries(messageAt(tool, `tools[${at}]`, reading))) {
      const here = `tools[${at}].${name.slice(0, 40)}`
      if (name === 'functionDeclarations' || (Array.isArray(value) && value.length === 0)) continue
      // The client runs `computerUse`, but Google writes its declaration. All others run at Google: they loop, and searches
      // have fees.
      if (name === 'computerUse') reading.open_input ??= here
      else reading.unbounded ??= here
    }
  }
}

function readOutput(config: JsonObject, reading: Reading): NonNullable<Bound['output']> | GatewayError {
  const max = readPositiveInteger(config, 'maxOutputTokens', { path: 'generationConfig.maxOutputTokens' })
  if (isRefusal(max)) return max
  const choices = readPositiveInteger(config, 'candidateCount', {
    path: 'generationConfig.candidateCount',
    most: MAX_CANDIDATES,
  })
  if (isRefusal(choices)) return choices
  const thinking = messageAt(config.thinkingConfig, 'generationConfig.thinkingConfig', reading)
  reading.unbounded ??= unknownIn(thinking, KNOWN_THINKING, 'generationConfig.thinkingConfig.')
  const budget = thinking.thinkingBudget ?? 0
  if (typeof budget !== 'number' || !Number.isSafeInteger(budget)) {
    return invalidField('generationConfig.thinkingConfig.thinkingBudget', 'an integer')
  }
  // Thoughts count towards the bound: one at or below their budget could end before the first word. -1 lets the model choose.
  const useful = Math.max(budget, 0) + 1
  return { max_tokens: max, min_tokens: max === null ? useful : Math.min(max, useful), choices: choices ?? 1 }
}

/** Models that answer with images (Nano Banana) or films (Omni), whatever they are asked for. */
const MAKES_PICTURES = /image|banana|omni/i

/** True for audio. Images and films cost by the piece or up to ten times as much as text, whatever bounds the text. */
function readModalities(config: JsonObject, reading: Reading): boolean {
  if (MAKES_PICTURES.test(reading.model)) reading.unbounded ??= 'model'
  let audio = /tts|audio/i.test(reading.model)
  for (const modality of listOf(config.responseModalities)) {
    if (/^audio$/i.test(textOrNone(modality))) audio = true
    else if (!/^text$/i.test(textOrNone(modality))) reading.unbounded ??= 'generationConfig.responseModalities'
  }
  return audio
}
