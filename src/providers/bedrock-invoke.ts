// What an InvokeModel call can use at most. Each family of models has its own format of the body. Pure.
// https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html

import { type GatewayError, isRefusal } from '../errors.ts'
import { isObject, objectOrEmpty, PLAIN_BOUND } from './answer.ts'
import { editMessage, readMessageBound } from './anthropic-messages.ts'
import { conversesAudio, editConverse, readConverseBound } from './bedrock-converse.ts'
import { type BedrockModel, claudeName, type Family, isOpenAI, TEMPLATE_TOKENS } from './bedrock-model.ts'
import type { Bound, Edit, JsonObject } from './dialect.ts'
import { editBound, editInside, invalidField, readPositiveInteger, unknownField } from './fields.ts'
import { inSlices } from './many-inputs.ts'
import { editChat, readChatBound } from './openai-chat.ts'
import { findLinkedImage, sendsAudio } from './openai-parts.ts'
import { TOOL_PREAMBLE_TOKENS, tokensOfBody } from './text-bound.ts'

/** A family whose body is one prompt and flat parameters. */
interface PromptFamily {
  fields: ReadonlySet<string>
  /** The field that bounds the output; null for a family that has no output tokens. */
  max: string | null
  /** The object that holds `max`, and the fields that it may have. */
  within?: { field: string; fields: ReadonlySet<string> }
  /** The field that asks for several answers. */
  choices?: string
}

const words = (list: string) => new Set(list.split(/\s+/))

const PROMPT_FAMILIES: Partial<Record<Family, PromptFamily>> = {
  llama: { fields: words('prompt max_gen_len temperature top_p'), max: 'max_gen_len' },
  mistral: { fields: words('prompt max_tokens stop temperature top_p top_k'), max: 'max_tokens' },
  chat: { fields: words('prompt max_tokens stop temperature top_p'), max: 'max_tokens' },
  titan_text: {
    fields: words('inputText textGenerationConfig'),
    max: 'maxTokenCount',
    within: { field: 'textGenerationConfig', fields: words('maxTokenCount stopSequences temperature topP') },
  },
  cohere: {
    fields: words(
      `prompt temperature p k max_tokens stop_sequences return_likelihoods stream num_generations logit_bias truncate
      message chat_history documents preamble frequency_penalty presence_penalty seed return_prompt tools tool_results
      raw_prompting`,
    ),
    max: 'max_tokens',
    choices: 'num_generations',
  },
  titan_embed: { fields: words('inputText dimensions normalize embeddingTypes'), max: null },
  cohere_embed: { fields: words('texts input_type truncate embedding_types output_dimension max_tokens'), max: null },
}

/** Far more answers than any model gives; keeps the product with a bound exact. */
const MAX_CHOICES = 128

/** InvokeModel takes these as headers: what they would mean in the body is not known. */
const IN_HEADERS = ['service_tier', 'serviceTier', 'performanceConfig']

/** Fields that are headers in Anthropic's own API. */
const CLAUDE_FIELDS = ['anthropic_version', 'anthropic_beta']
/** Claude's fields that Bedrock takes elsewhere, or not at all. */
const NOT_ON_BEDROCK = ['model', 'stream', 'speed', 'inference_geo', 'service_tier']

export function readInvokeBound(body: JsonObject, bytes: number, model: BedrockModel): Bound | GatewayError {
  const { id, family } = model
  if (family === 'claude') return readClaudeBound(body, bytes, id)
  if (family === 'nova') {
    const bound = readConverseBound(body, bytes, model)
    return isRefusal(bound) ? bound : { ...bound, unbounded: bound.unbounded ?? firstSet(body, IN_HEADERS) }
  }
  if (isChat(family, body)) {
    const bound = readChatBound({ ...body, model: id }, bytes)
    if (isRefusal(bound)) return bound
    const input_tokens = bound.input_tokens + TEMPLATE_TOKENS
    const unbounded = firstSet(body, IN_HEADERS) ?? bound.unbounded ?? streamInBody(body) ?? foreignBound(body, id)
    return { ...bound, stream: false, input_tokens, open_input: bound.open_input ?? findLinkedImage(body), unbounded }
  }
  const prompt = family && PROMPT_FAMILIES[family]
  if (!prompt) {
    // A family whose format is not known.
    const unbounded = 'modelId'
    return { ...PLAIN_BOUND, model: id, stream: false, input_tokens: bytes, output: NO_BOUND, unbounded }
  }
  const output = readOutput(body, prompt)
  if (isRefusal(output)) return output
  return {
    ...PLAIN_BOUND,
    model: id,
    stream: false,
    ...boundInput(body, bytes, prompt),
    unbounded: unknownField(body, prompt.fields) ?? unknownWithin(body, prompt),
    output,
    cache_write: isOpenAI(id) ? '5m' : 'none',
  }
}

export function editInvoke(
  body: JsonObject,
  granted_output_tokens: number | null,
  { id, family }: BedrockModel,
): Edit[] {
  if (family === 'claude') return editMessage(body, granted_output_tokens)
  if (family === 'nova') return editConverse(body, granted_output_tokens)
  if (isChat(family, body)) return editMessages(body, granted_output_tokens, id)
  const { max, within } = (family && PROMPT_FAMILIES[family]) || { max: null }
  if (max === null) return []
  if (!within) return editBound(body, max, granted_output_tokens)
  const config = objectOrEmpty(body[within.field])
  return editInside(within.field, config, editBound(config, max, granted_output_tokens))
}

export function invokesAudio(body: JsonObject, { family }: BedrockModel): boolean {
  return family === 'nova' ? conversesAudio(body) : isChat(family, body) && sendsAudio(body)
}

const NO_BOUND = { max_tokens: null, min_tokens: 1, choices: 1 }

/** Families that take either a prompt or OpenAI's messages. */
function isChat(family: Family | null, body: JsonObject): boolean {
  return (family === 'chat' || family === 'mistral') && body.messages !== undefined
}

/** Only OpenAI's own models know `max_completion_tokens`, the newer name of the bound. */
function editMessages(body: JsonObject, granted_output_tokens: number | null, id: string): Edit[] {
  const edits = editChat({ ...body, stream: false }, granted_output_tokens)
  if (isOpenAI(id) || typeof body.max_completion_tokens === 'number') return edits
  return edits.map(({ field, value }) => ({ field: field === 'max_completion_tokens' ? 'max_tokens' : field, value }))
}

/** The field, where the newer name of the bound stands alone and no documentation says that the model obeys it. */
function foreignBound({ max_tokens, max_completion_tokens }: JsonObject, id: string): string | null {
  const isAlone = (max_completion_tokens ?? null) !== null && (max_tokens ?? null) === null
  return isAlone && !isOpenAI(id) ? 'max_completion_tokens' : null
}

/** The path chooses whether to stream: what a `stream` in the body would do is not known. */
function streamInBody(body: JsonObject): string | null {
  return body.stream === undefined || body.stream === false ? null : 'stream'
}

function readClaudeBound(body: JsonObject, bytes: number, id: string): Bound | GatewayError {
  const message: JsonObject = { ...body, model: claudeName(id), inference_geo: 'global' }
  for (const field of CLAUDE_FIELDS) delete message[field]
  const bound = readMessageBound(message, bytes)
  if (isRefusal(bound)) return bound
  const foreign = firstSet(body, NOT_ON_BEDROCK)
  return { ...bound, model: id, stream: false, service_tier: null, unbounded: bound.unbounded ?? foreign }
}

const firstSet = (body: JsonObject, fields: string[]): string | null =>
  fields.find((field) => body[field] !== undefined && body[field] !== null) ?? null

function boundInput(body: JsonObject, bytes: number, { fields }: PromptFamily): Pick<Bound, 'input_tokens' | 'rounds'> {
  const tokens = tokensOfBody(body, bytes)
  // The window bounds each text and not their sum.
  if (fields.has('texts')) return inSlices(tokens)
  const preamble = firstSet(body, ['tools', 'documents']) === null ? 0 : TOOL_PREAMBLE_TOKENS
  return { input_tokens: tokens + TEMPLATE_TOKENS + preamble, rounds: 1 }
}

function readOutput(body: JsonObject, { max, within, choices }: PromptFamily): Bound['output'] | GatewayError {
  if (max === null) return null
  const holder = within ? (body[within.field] ?? {}) : body
  if (!isObject(holder)) return invalidField(within?.field ?? 'body', 'an object')
  const max_tokens = readPositiveInteger(holder, max, { path: within ? `${within.field}.${max}` : max })
  if (isRefusal(max_tokens)) return max_tokens
  const n = choices ? readPositiveInteger(body, choices, { most: MAX_CHOICES }) : 1
  if (isRefusal(n)) return n
  return { max_tokens, min_tokens: 1, choices: n ?? 1 }
}

function unknownWithin(body: JsonObject, { within }: PromptFamily): string | null {
  if (!within) return null
  const holder = body[within.field]
  const field = isObject(holder) ? unknownField(holder, within.fields) : null
  return field && `${within.field}.${field}`
}
