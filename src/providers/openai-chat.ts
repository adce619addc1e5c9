// What an OpenAI chat completion can use at most, read from its body, and the edits that keep it there. Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import { isObject, objectOrEmpty, PLAIN_BOUND } from './answer.ts'
import { unpricedCache } from './cache-ttl.ts'
import type { Bound, Edit, JsonObject } from './dialect.ts'
import {
  editBound,
  invalidField,
  readArray,
  readBoolean,
  readModel,
  readPositiveInteger,
  unknownField,
} from './fields.ts'
import { unknownModeration } from './openai-moderation.ts'
import { addedByImage, imageTokens, imageUrl } from './openai-parts.ts'
import { findHosted } from './openai-responses-tools.ts'
import { openAITier } from './service-tiers.ts'
import { TOOL_PREAMBLE_TOKENS, tokensOfBody, visit } from './text-bound.ts'

/** OpenAI's own limit of `n` (that of `best_of` is 20); keeps the product with a bound far below 2^53. */
export const MAX_CHOICES = 128

/** Fields whose cost is known: in the bytes, or accounted for below. `N` is unknown: some JSON parsers take it for `n`. */
const KNOWN_FIELDS = new Set(
  `audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages metadata
  modalities model moderation n parallel_tool_calls presence_penalty prompt_cache_key prompt_cache_options
  prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream
  stream_options temperature tool_choice tools top_logprobs top_p user verbosity`.split(/\s+/),
)

export function readChatBound(body: JsonObject, bytes: number): Bound | GatewayError {
  const model = readModel(body)
  if (isRefusal(model)) return model
  const stream = readBoolean(body, 'stream')
  if (isRefusal(stream)) return stream
  if (!Array.isArray(body.messages)) return invalidField('messages', 'an array')
  const output = readOutput(body)
  if (isRefusal(output)) return output
  const usageFlag = readUsageFlag(body)
  if (isRefusal(usageFlag)) return usageFlag
  const tools = readArray(body, 'tools')
  if (isRefusal(tools)) return tools
  const modalities = readArray(body, 'modalities')
  if (isRefusal(modalities)) return modalities

  const media = readMedia(body.messages, imageTokens(model))
  const tier = openAITier(body)
  const preamble = tools.length > 0 || body.functions || body.response_format ? TOOL_PREAMBLE_TOKENS : 0
  return {
    ...PLAIN_BOUND,
    model,
    stream,
    input_tokens: tokensOfBody(body, bytes) + media.added_tokens + preamble,
    open_input: media.open_input,
    unbounded:
      findUnbounded(body, model, tools, modalities) ?? tier.unbounded ?? unpricedCache(body) ?? unknownModeration(body),
    output,
    // Newer models write their cache without being asked, at 1.25 times the input price.
    cache_write: '5m',
    audio_input: media.audio,
    audio_output: modalities.includes('audio') || isObject(body.audio),
    service_tier: tier.service_tier,
  }
}

/** Asks for usage in streams, and writes the granted bound wherever the client's own is larger or absent. */
export function editChat(body: JsonObject, granted_output_tokens: number | null): Edit[] {
  const set = ['max_tokens', 'max_completion_tokens'].filter((field) => typeof body[field] === 'number')
  const fields = set.length > 0 ? set : ['max_completion_tokens']
  return [...askForUsage(body), ...fields.flatMap((field) => editBound(body, field, granted_output_tokens))]
}

export function askForUsage(body: JsonObject): Edit[] {
  if (!isStreamWithoutUsage(body)) return []
  const options = objectOrEmpty(body.stream_options)
  return [{ field: 'stream_options', value: { ...options, include_usage: true } }]
}

/** True for a stream whose client did not ask for usage. */
export function isStreamWithoutUsage(body: JsonObject): boolean {
  return body.stream === true && objectOrEmpty(body.stream_options).include_usage !== true
}

function readOutput(body: JsonObject): NonNullable<Bound['output']> | GatewayError {
  const n = readPositiveInteger(body, 'n', { most: MAX_CHOICES })
  if (isRefusal(n)) return n
  const maxTokens = readPositiveInteger(body, 'max_tokens')
  if (isRefusal(maxTokens)) return maxTokens
  const maxCompletionTokens = readPositiveInteger(body, 'max_completion_tokens')
  if (isRefusal(maxCompletionTokens)) return maxCompletionTokens
  // Which of two a model obeys is not promised: the larger one counts, and both are clamped.
  const larger = Math.max(maxTokens ?? 0, maxCompletionTokens ?? 0)
  return { max_tokens: larger > 0 ? larger : null, min_tokens: 1, choices: n ?? 1 }
}

export function readUsageFlag(body: JsonObject): boolean | GatewayError {
  const options = body.stream_options ?? {}
  if (!isObject(options)) return invalidField('stream_options', 'an object')
  return readBoolean(options, 'include_usage', 'stream_options.include_usage')
}

function findUnbounded(body: JsonObject, model: string, tools: unknown[], modalities: unknown[]): string | null {
  const unknown = unknownField(body, KNOWN_FIELDS)
  if (unknown !== null) return unknown
  const hosted = findHosted(tools)
  if (hosted !== null) return hosted
  // Images, and whatever comes next, have rates of their own.
  if (modalities.some((one) => one !== 'text' && one !== 'audio')) return 'modalities'
  // These models (deep research, too) search the web on every call, for a fee per search that the answer does not show.
  return /search/i.test(model) ? 'model' : null
}

interface Media {
  /** The most that each image takes. */
  image_tokens: number
  added_tokens: number
  open_input: string | null
  audio: boolean
}

/** What the messages hold besides text. A part of an unknown type may refer to anything. */
function readMedia(messages: unknown[], image_tokens: number): Media {
  const media: Media = { image_tokens, added_tokens: 0, open_input: null, audio: false }
  for (const [at, message] of messages.entries()) {
    const path = `messages[${at}]`
    if (!isObject(message)) {
      media.open_input ??= path
      continue
    }
    media.audio ||= Boolean(message.audio)
    const member = Object.entries(message).find(([name, value]) => mayRefer(name, value))
    if (member) media.open_input ??= `${path}.${member[0].slice(0, 40)}`
    const content = message.content ?? ''
    if (typeof content === 'string') continue
    if (!Array.isArray(content)) {
      media.open_input ??= `${path}.content`
      continue
    }
    for (const [index, part] of content.entries()) readPart(part, `${path}.content[${index}]`, media)
  }
  return media
}

/** Members of a message that cost no more than their bytes, or are looked at elsewhere. */
const MESSAGE_FIELDS = new Set(['annotations', 'cache_control', 'content', 'function_call', 'parsed', 'tool_calls'])

/** Other members may refer to anything (audio by its id, images) unless they hold neither text nor number. */
function mayRefer(name: string, value: unknown): boolean {
  if (typeof value !== 'object' || value === null || MESSAGE_FIELDS.has(name)) return false
  const isThought = name === 'reasoning_details' || name === 'thinking_blocks'
  if (isThought && Array.isArray(value)) return !value.every(isThoughtOfBytes)
  let saysSomething = false
  visit(value, (one) => {
    saysSomething ||= typeof one === 'string' || typeof one === 'number'
  })
  return saysSomething
}

/**
 * Thoughts as OpenRouter and LiteLLM write them. Encrypted ones of Claude and Gemini are whole; another model's may be an id.
 * https://openrouter.ai/docs/use-cases/reasoning-tokens
 */
const THOUGHTS_OF_BYTES: ReadonlySet<unknown> = new Set([
  'reasoning.text',
  'reasoning.summary',
  'thinking',
  'redacted_thinking',
])
const WHOLE_WHEN_ENCRYPTED: ReadonlySet<unknown> = new Set(['anthropic-claude-v1', 'google-gemini-v1'])

function isThoughtOfBytes(detail: unknown): boolean {
  if (!isObject(detail)) return false
  const isWhole = detail.type === 'reasoning.encrypted' && WHOLE_WHEN_ENCRYPTED.has(detail.format)
  return isWhole || THOUGHTS_OF_BYTES.has(detail.type)
}

function readPart(part: unknown, path: string, media: Media): void {
  if (!isObject(part) || typeof part.type !== 'string') {
    media.open_input ??= path
  } else if (part.type === 'image_url') {
    const added = addedByImage(imageUrl(part), media.image_tokens)
    if (added === null) media.open_input ??= `${path}.image_url`
    else media.added_tokens += added
  } else if (part.type !== 'text' && part.type !== 'refusal' && !isThought(part)) {
    media.audio ||= part.type === 'input_audio'
    media.open_input ??= `${path}.${part.type.slice(0, 40)}`
  }
}

/** A thought of Mistral's, all of which is in the body: https://docs.mistral.ai/capabilities/reasoning */
function isThought({ type, thinking }: JsonObject): boolean {
  const isText = (chunk: unknown) => isObject(chunk) && chunk.type === 'text' && typeof chunk.text === 'string'
  return type === 'thinking' && Array.isArray(thinking) && thinking.every(isText)
}
