// What a Converse call can use at most, read from its body, and the edits that keep it there. Pure.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html

import { type GatewayError, isRefusal } from '../errors.ts'
import { isObject, objectOrEmpty, PLAIN_BOUND, wholeWindow } from './answer.ts'
import { IMAGE_TOKENS as CLAUDE_IMAGE_TOKENS, tokensByName } from './anthropic-messages.ts'
import { type BedrockModel, type Family, isOpenAI, TEMPLATE_TOKENS } from './bedrock-model.ts'
import { dearestTier, isUnpriced, tierOf } from './bedrock-tier.ts'
import { dearestCacheWrite } from './cache-ttl.ts'
import { findOpenContent, type ReadBlock } from './content-walk.ts'
import type { Bound, Edit, JsonObject } from './dialect.ts'
import { editBound, editInside, invalidField, readArray, readPositiveInteger, unknownField } from './fields.ts'
import { TOOL_PREAMBLE_TOKENS, tokensOfBody } from './text-bound.ts'

/** More tokens than an inline image takes with these families. */
const IMAGE_TOKENS: Partial<Record<Family, number>> = {
  claude: CLAUDE_IMAGE_TOKENS,
  nova: 10_000,
  llama: 10_000,
  mistral: 10_000,
}
/** Qwen3-VL's are 16,384: https://huggingface.co/Qwen/Qwen3-VL-235B-A22B-Instruct/blob/main/preprocessor_config.json */
const OTHER_IMAGE_TOKENS = 20_000

/**
 * Fields whose cost is known. `guardrailConfig` and `promptVariables` are not among them: what they cost depends on what
 * they hold. `anthropicBeta` is an option of the AI SDK, which leaves it here beside the `anthropic_beta` made from it.
 */
const KNOWN_FIELDS = new Set(
  `additionalModelRequestFields additionalModelResponseFieldPaths anthropicBeta inferenceConfig messages outputConfig
  performanceConfig requestMetadata schemaVersion serviceTier system toolConfig`.split(/\s+/),
)
const KNOWN_INFERENCE_FIELDS = new Set(
  'maxTokens max_new_tokens temperature topP top_p topK top_k stopSequences reasoningConfig'.split(' '),
)
/** Fields that reach the model as they are: any other might raise the output bound again. */
const KNOWN_MODEL_FIELDS = new Set(
  `anthropic_beta inferenceConfig output_config reasoning reasoningConfig reasoning_config reasoning_effort thinking
  tool_choice topK top_k`.split(/\s+/),
)
/**
 * Nova takes an `inferenceConfig` of its own among the model's fields; AWS recommends a `topK` of 1 in it for tool calls:
 * https://docs.aws.amazon.com/nova/latest/userguide/prompting-tool-troubleshooting.html
 */
const KNOWN_NOVA_FIELDS = new Set('reasoningConfig topK top_k'.split(' '))

/** Blocks that cost no more than their bytes. */
const BLOCKS_OF_BYTES = new Set(['text', 'json', 'toolUse', 'reasoningContent', 'citationsContent', 'cachePoint'])

export function readConverseBound(body: JsonObject, bytes: number, model: BedrockModel): Bound | GatewayError {
  const messages = body.messages ?? (model.is_prompt ? [] : null)
  if (!Array.isArray(messages)) return invalidField('messages', 'an array')
  const system = readArray(body, 'system')
  if (isRefusal(system)) return system
  const max_tokens = readMaxTokens(body)
  if (isRefusal(max_tokens)) return max_tokens
  const tools = readTools(body.toolConfig)
  if (isRefusal(tools)) return tools

  const media = readMedia(body, (model.family && IMAGE_TOKENS[model.family]) ?? OTHER_IMAGE_TOKENS)
  const formatted = body.outputConfig || modelFields(body).output_config ? TOOL_PREAMBLE_TOKENS : 0
  const cache_write = dearestCacheWrite(body, 'cachePoint')
  const template = model.family === 'claude' ? 0 : TEMPLATE_TOKENS
  const output = {
    max_tokens,
    // A bound at or below the thinking budget would be refused.
    min_tokens: Math.min(max_tokens ?? Number.MAX_SAFE_INTEGER, thinkingBudget(body) + 1),
    choices: 1,
  }
  return {
    ...PLAIN_BOUND,
    model: model.id,
    stream: false,
    input_tokens: tokensOfBody(body, bytes) + media.added_tokens + tools.added_tokens + formatted + template,
    open_input: media.open_input,
    unbounded: (model.is_prompt ? 'modelId' : null) ?? findUnknown(body) ?? tools.hosted,
    output: max_tokens === null && takesNoBound(body) ? wholeWindow(output) : output,
    cache_write: cache_write === 'none' && writesUnasked(model) ? '5m' : cache_write,
    audio_input: media.audio,
    service_tier: dearestTier(...tierOf(body)),
  }
}

/** OpenAI's newer models write their cache without being asked; an ARN of the account's own does not say whose model it is. */
const writesUnasked = ({ id }: BedrockModel) => isOpenAI(id) || id.startsWith('arn:')

export function editConverse(body: JsonObject, granted_output_tokens: number | null): Edit[] {
  const config = objectOrEmpty(body.inferenceConfig)
  const set = ['maxTokens', 'max_new_tokens'].filter((name) => typeof config[name] === 'number')
  const names = set.length > 0 ? set : ['maxTokens']
  return editInside(
    'inferenceConfig',
    config,
    names.flatMap((name) => editBound(config, name, granted_output_tokens)),
  )
}

/** Nova's InvokeModel body may have either name; the larger counts, and both are clamped. */
function readMaxTokens(body: JsonObject): number | null | GatewayError {
  const config = body.inferenceConfig ?? {}
  if (!isObject(config)) return invalidField('inferenceConfig', 'an object')
  const maxTokens = readPositiveInteger(config, 'maxTokens', { path: 'inferenceConfig.maxTokens' })
  if (isRefusal(maxTokens)) return maxTokens
  const maxNewTokens = readPositiveInteger(config, 'max_new_tokens', { path: 'inferenceConfig.max_new_tokens' })
  if (isRefusal(maxNewTokens)) return maxNewTokens
  return maxTokens === null && maxNewTokens === null ? null : Math.max(maxTokens ?? 0, maxNewTokens ?? 0)
}

function findUnknown(body: JsonObject): string | null {
  const more = 'additionalModelRequestFields'
  return (
    unknownField(body, KNOWN_FIELDS) ??
    (isUnpriced(...tierOf(body)) ? 'performanceConfig' : null) ??
    unknownInside(body, 'inferenceConfig', KNOWN_INFERENCE_FIELDS) ??
    unknownInside(body, more, KNOWN_MODEL_FIELDS) ??
    unknownInside(modelFields(body), 'inferenceConfig', KNOWN_NOVA_FIELDS, `${more}.`)
  )
}

function unknownInside(holder: JsonObject, name: string, known: ReadonlySet<string>, path = ''): string | null {
  const inside = holder[name] ?? {}
  if (!isObject(inside)) return path + name
  const field = unknownField(inside, known)
  return field && `${path}${name}.${field}`
}

const modelFields = ({ additionalModelRequestFields: more }: JsonObject) => objectOrEmpty(more)

function thinkingBudget(body: JsonObject): number {
  const { thinking: anthropics, reasoning_config } = modelFields(body)
  const thinking = anthropics ?? reasoning_config
  const budget = objectOrEmpty(thinking).budget_tokens
  return typeof budget === 'number' && Number.isSafeInteger(budget) && budget > 0 ? budget : 0
}

/**
 * At its highest effort Nova refuses a call that has a bound. Only Nova has the field; an ARN may hide which model it is.
 * https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html, UKGovernmentBEIS/inspect_ai #3767
 */
function takesNoBound(body: JsonObject): boolean {
  const more = modelFields(body)
  const holders = [more, more.inferenceConfig, body.inferenceConfig].filter(isObject)
  const isHigh = (config: unknown) =>
    isObject(config) && config.type !== 'disabled' && config.maxReasoningEffort === 'high'
  return holders.some(({ reasoningConfig }) => isHigh(reasoningConfig))
}

interface Tools {
  added_tokens: number
  /** The path of a tool that Amazon runs: it loops, and some of them have a fee per use. */
  hosted: string | null
}

function readTools(config: unknown): Tools | GatewayError {
  if (config === undefined || config === null) return { added_tokens: 0, hosted: null }
  if (!isObject(config)) return invalidField('toolConfig', 'an object')
  const tools = config.tools ?? []
  if (!Array.isArray(tools)) return invalidField('toolConfig.tools', 'an array')
  const hosted = tools.findIndex((tool) => !isObject(tool) || !(tool.toolSpec || tool.cachePoint) || tool.systemTool)
  return { added_tokens: TOOL_PREAMBLE_TOKENS, hosted: hosted === -1 ? null : `toolConfig.tools[${hosted}]` }
}

interface Media {
  added_tokens: number
  audio: boolean
}

/** What a block is read with: the most that an image takes, and the definitions of tools that it may offer by name. */
interface Known {
  image_tokens: number
  tokensOfTool: (name: unknown) => number | undefined
}

export const conversesAudio = (body: JsonObject): boolean => readMedia(body, 0).audio

/** What system and messages hold besides text. A block of an unknown kind may refer to anything. */
function readMedia(body: JsonObject, image_tokens: number): Media & { open_input: string | null } {
  const media: Media = { added_tokens: 0, audio: false }
  let byName: ReadonlyMap<unknown, number> | null = null
  const tokensOfTool = (name: unknown) => {
    byName ??= tokensByName(toolSpecs(body.toolConfig))
    return byName.get(name)
  }
  const open_input = findOpenContent(body, (block) => readBlock(block, media, { image_tokens, tokensOfTool }))
  return { ...media, open_input }
}

function toolSpecs(config: unknown): unknown[] {
  const tools = isObject(config) && Array.isArray(config.tools) ? config.tools : []
  return tools.map((tool) => (isObject(tool) ? tool.toolSpec : null))
}

function readBlock(block: unknown, media: Media, { image_tokens, tokensOfTool }: Known): ReturnType<ReadBlock> {
  if (!isObject(block)) return 'open'
  const kinds = Object.keys(block).filter((kind) => block[kind] !== null)
  const [kind = ''] = kinds
  if (kinds.every((name) => BLOCKS_OF_BYTES.has(name))) return null
  const value = block[kind]
  if (kinds.length > 1 || !isObject(value)) return 'open'
  if (kind === 'toolResult') return { content: value.content }
  if ((kind === 'toolAddition' || kind === 'toolRemoval') && isObject(value.tool) && !value.tool.serverName) {
    // The definition of a tool that is offered is written again.
    const definition = kind === 'toolAddition' ? tokensOfTool(value.tool.name) : 0
    media.added_tokens += (definition ?? 0) + TOOL_PREAMBLE_TOKENS
    return definition === undefined ? 'open' : null
  }
  const source = objectOrEmpty(value.source)
  if (kind === 'image' && typeof source.bytes === 'string' && Object.keys(source).length === 1) {
    // An image is never read as text: its tokens take the place of its bytes.
    media.added_tokens += image_tokens - source.bytes.length
    return null
  }
  media.audio ||= kind === 'audio'
  // Citing splits a text into sentences, each with a mark of its own.
  const isCited = isObject(value.citations) && value.citations.enabled !== false
  if (kind === 'document' && !isCited && typeof source.text === 'string' && Object.keys(source).length === 1)
    return null
  return kind === 'searchResult' && !isCited ? { content: value.content } : 'open'
}
