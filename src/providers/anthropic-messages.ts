// What an Anthropic message can use at most, read from its body, and the edits that keep it there. Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import { isObject, objectOrEmpty, PLAIN_BOUND } from './answer.ts'
import { dearestCacheWrite } from './cache-ttl.ts'
import { findOpenContent, type ReadBlock } from './content-walk.ts'
import type { Bound, Edit, JsonObject } from './dialect.ts'
import {
  editBound,
  invalidField,
  readArray,
  readBoolean,
  readCount,
  readModel,
  readPositiveInteger,
  textOrNone,
  unknownField,
} from './fields.ts'
import { TOOL_PREAMBLE_TOKENS, tokensOfBody, utf8Length, visit } from './text-bound.ts'

/**
 * More than any image takes: at most 1,568 tokens, with newer models 4,784. Larger images are scaled down.
 * https://platform.claude.com/docs/en/build-with-claude/vision
 */
export const IMAGE_TOKENS = 5_000

/**
 * Fields whose cost is known. `fallbacks`, `mcp_servers`, `container`, `compaction`, `thread` are not among them.
 * `fallback_credit_token`, the credit of a refused message, makes a cache write as cheap as a read, and nothing dearer.
 * `billing_policy` says who pays, and Anthropic refuses a call that it cannot bill to them:
 * https://platform.claude.com/docs/en/manage-claude/oauth-apps/linked-billing
 * `safeguards` are looked at below.
 */
const KNOWN_FIELDS = new Set(
  `billing_policy cache_control context_management diagnostics fallback_credit_token inference_geo max_tokens messages
  metadata model output_config output_format safeguards service_tier speed stop_sequences stream system temperature thinking
  tool_choice tools top_k top_p`.split(/\s+/),
)

/**
 * Blocks that cost no more than their bytes. `thinking` has the whole thought, encrypted, in its signature; `fallback` says
 * where another model went on, and is not read by the model.
 */
const BLOCKS_OF_BYTES = new Set(['text', 'thinking', 'redacted_thinking', 'tool_use', 'server_tool_use', 'fallback'])

export function readMessageBound(body: JsonObject, bytes: number): Bound | GatewayError {
  const model = readModel(body)
  if (isRefusal(model)) return model
  const stream = readBoolean(body, 'stream')
  if (isRefusal(stream)) return stream
  if (!Array.isArray(body.messages)) return invalidField('messages', 'an array')
  // A bound of 0 fills the cache and generates nothing.
  const maxTokens = readCount(body, 'max_tokens')
  if (isRefusal(maxTokens)) return maxTokens
  if (maxTokens === null) return invalidField('max_tokens', 'set: the API demands it')
  const thinking = readThinkingBudget(body)
  if (isRefusal(thinking)) return thinking
  const declared = readArray(body, 'tools')
  if (isRefusal(declared)) return declared
  const tools = readTools(declared)
  if (isRefusal(tools)) return tools

  const media = readMedia(body, declared)
  const formatted = body.output_config || body.output_format ? TOOL_PREAMBLE_TOKENS : 0
  return {
    ...PLAIN_BOUND,
    model,
    stream,
    input_tokens: tokensOfBody(body, bytes) + media.added_tokens + tools.added_tokens + formatted,
    open_input: media.open_input ?? tools.open_input,
    rounds: tools.uses + 1,
    unbounded:
      unknownField(body, KNOWN_FIELDS) ??
      tools.hosted ??
      findCompaction(body) ??
      findSafeguard(body) ??
      findBroughtTool(body),
    // A bound at or below the thinking budget would be a 400 from Anthropic. Each round may write as much as the bound.
    output: { max_tokens: maxTokens, min_tokens: Math.min(maxTokens, thinking + 1), choices: tools.uses + 1 },
    cache_write: dearestCacheWrite(body, 'cache_control'),
    web_search_requests: tools.searches,
    service_tier: dearestTier(body),
  }
}

export function editMessage(body: JsonObject, granted_output_tokens: number | null): Edit[] {
  return editBound(body, 'max_tokens', granted_output_tokens)
}

/** The name of a price multiplier (see pricing/provider-traits.ts): for fast mode, inference in the US, or both. */
export function tierName(fast: boolean, us: boolean): 'fast_us' | 'fast' | 'us' | null {
  if (fast) return us ? 'fast_us' : 'fast'
  return us ? 'us' : null
}

/** A workspace may default to US inference: only `global` rules its surcharge out. */
function dearestTier(body: JsonObject): string | null {
  return tierName((body.speed ?? 'standard') !== 'standard', body.inference_geo !== 'global')
}

function readThinkingBudget(body: JsonObject): number | GatewayError {
  const thinking = body.thinking ?? {}
  if (!isObject(thinking)) return invalidField('thinking', 'an object')
  return readPositiveInteger(thinking, 'budget_tokens', { path: 'thinking.budget_tokens' }) ?? 0
}

/** Compaction runs the model once more over the whole context. */
function findCompaction(body: JsonObject): string | null {
  if (!isObject(body.context_management)) return null
  const { edits = [] } = body.context_management
  const clears = (edit: unknown) => isObject(edit) && typeof edit.type === 'string' && edit.type.startsWith('clear_')
  return Array.isArray(edits) && edits.every(clears) ? null : 'context_management'
}

/**
 * Claude Code's auto mode asks Anthropic to check what the model is about to do: that is not charged. Other safeguards may be.
 * https://code.claude.com/docs/en/auto-mode-classifier-billing
 */
function findSafeguard({ safeguards }: JsonObject): string | null {
  const isFree = (one: unknown) => isObject(one) && one.type === 'dangerous_tool_use'
  const asked = safeguards ?? []
  return Array.isArray(asked) && asked.every(isFree) ? null : 'safeguards'
}

/** The path of a tool that a message brings and `tools` does not name: it may be of any kind, even one that Anthropic runs. */
function findBroughtTool(body: JsonObject): string | null {
  const isReference = (tool: unknown) => isObject(tool) && /^(mcp_)?tool(set)?_reference$/.test(textOrNone(tool.type))
  return findOpenContent(body, (block) => {
    let brings = false
    visit(block, (value) => {
      if (!isObject(value) || value.type !== 'tool_addition') return
      brings ||= !isReference(value.tool) && readClientsTool(value.tool) === null
    })
    return brings ? 'open' : null
  })
}

/** Tokens of a tool's definition beyond its bytes; null where the client does not run the tool, or bytes do not bound it. */
function readClientsTool(tool: unknown): number | null {
  if (!isObject(tool) || tool.type !== 'tool_definition') return null
  const read = readTools([tool.definition])
  return isRefusal(read) || read.hosted || read.open_input ? null : read.added_tokens
}

interface Tools {
  added_tokens: number
  open_input: string | null
  /** How often the tools that Anthropic runs may be used: each use is a round of the model over its whole input. */
  uses: number
  /** How many of those uses are searches, each of which has a fee. */
  searches: number
  /** The path of a tool that Anthropic runs as often as it likes. */
  hosted: string | null
}

/** Far more uses than any call makes; keeps products with a context window small. */
const MAX_USES = 1_000

/**
 * Anthropic's own tools that `max_uses` bounds. Newer versions are also called by code that the model writes, which no field
 * bounds, unless `allowed_callers` forbids that.
 */
const USES = /^web_(search|fetch)_\d{8}$/
const CALLED_DIRECTLY = new Set(['web_search_20250305', 'web_fetch_20250910'])

function readTools(tools: unknown[]): Tools | GatewayError {
  const added_tokens = tools.length > 0 ? TOOL_PREAMBLE_TOKENS : 0
  const read: Tools = { added_tokens, open_input: null, uses: 0, searches: 0, hosted: null }
  for (const [at, tool] of tools.entries()) {
    const path = `tools[${at}]`
    const type = isObject(tool) ? textOrNone(tool.type ?? 'custom') : ''
    if (type === 'custom') continue
    if (isObject(tool) && USES.test(type)) {
      const uses = readPositiveInteger(tool, 'max_uses', { path: `${path}.max_uses`, most: MAX_USES })
      if (isRefusal(uses)) return uses
      if (uses === null || !isCalledDirectly(tool, type)) {
        read.hosted ??= path
        continue
      }
      // What it finds becomes input, of unknown length.
      read.open_input ??= path
      read.uses += uses
      if (type.startsWith('web_search')) read.searches += uses
    } else if (/^(computer|browser)_toolset_/.test(type)) read.open_input ??= path
    else if (/^(bash|text_editor|computer|memory)_\d/.test(type)) {
      // Anthropic writes the schemas of these itself.
      read.added_tokens += TOOL_PREAMBLE_TOKENS
    } else read.hosted ??= path
  }
  return read
}

function isCalledDirectly({ allowed_callers }: JsonObject, type: string): boolean {
  if (allowed_callers === undefined || allowed_callers === null) return CALLED_DIRECTLY.has(type)
  return Array.isArray(allowed_callers) && allowed_callers.length > 0 && allowed_callers.every((by) => by === 'direct')
}

interface Added {
  tokens: number
  /** Tokens of the definition of the client's own tool with this name. */
  tokensOfTool: (name: unknown) => number | undefined
}

/** What system and messages hold besides text. A block of an unknown type may refer to anything. */
function readMedia(body: JsonObject, tools: unknown[]): { added_tokens: number; open_input: string | null } {
  let byName: ReadonlyMap<unknown, number> | null = null
  const tokensOfTool = (name: unknown) => {
    byName ??= tokensByName([...tools, ...definitionsIn(body.messages)])
    return byName.get(name)
  }
  const added: Added = { tokens: 0, tokensOfTool }
  const open_input = findOpenContent(body, (block) => readBlock(block, added))
  return { added_tokens: added.tokens, open_input }
}

/** Definitions of tools in messages: each replaces an earlier one of the same name. */
function definitionsIn(messages: unknown): unknown[] {
  const definitions: unknown[] = []
  visit(messages, (value) => {
    if (isObject(value) && value.type === 'tool_definition') definitions.push(value.definition)
  })
  return definitions
}

/** Tokens of the definitions of the client's own tools. Where two have the same name, the larger counts. */
export function tokensByName(tools: unknown[]): ReadonlyMap<unknown, number> {
  const byName = new Map<unknown, number>()
  for (const tool of tools) {
    if (!isObject(tool) || (tool.type ?? 'custom') !== 'custom') continue
    const tokens = tokensOfBody({ tools: [tool] }, utf8Length(JSON.stringify(tool)))
    byName.set(tool.name, Math.max(tokens, byName.get(tool.name) ?? 0))
  }
  return byName
}

/** Tokens beyond its bytes of a block that offers or takes away a tool, by value or by name; null where bytes do not bound it. */
function tokensOfChange({ type, tool }: JsonObject, { tokensOfTool }: Added): number | null {
  if (!isObject(tool) || tool.type !== 'tool_reference') return readClientsTool(tool)
  const definition = type === 'tool_addition' ? tokensOfTool(tool.name) : 0
  return definition === undefined ? null : definition + TOOL_PREAMBLE_TOKENS
}

function readBlock(block: unknown, added: Added): ReturnType<ReadBlock> {
  if (!isObject(block) || typeof block.type !== 'string') return 'open'
  if (BLOCKS_OF_BYTES.has(block.type)) return null
  if (block.type === 'tool_reference') {
    // The tool's definition is written again wherever a block refers to it.
    const tokens = added.tokensOfTool(block.tool_name)
    added.tokens += tokens ?? 0
    return tokens === undefined ? 'open' : null
  }
  if (block.type === 'tool_addition' || block.type === 'tool_removal') {
    const tokens = tokensOfChange(block, added)
    added.tokens += tokens ?? 0
    return tokens === null ? 'open' : null
  }
  const isCited = isObject(block.citations) && block.citations.enabled !== false
  if (isCited) added.tokens += TOOL_PREAMBLE_TOKENS
  if (block.type === 'tool_result' || block.type === 'search_result') return { content: block.content }
  const source = objectOrEmpty(block.source)
  if (block.type === 'image') {
    if (source.type === 'base64' && typeof source.data === 'string') {
      // An image is never read as text: its tokens take the place of its bytes.
      added.tokens += IMAGE_TOKENS - source.data.length
      return null
    }
    // What it refers to must be an image, too, and takes no more tokens than an inline one.
    if (source.type === 'url' || source.type === 'file') {
      added.tokens += IMAGE_TOKENS
      return null
    }
  }
  // Citing splits a text into sentences, each with a mark of its own.
  if (block.type === 'document' && source.type === 'text' && !isCited) return null
  if (block.type === 'document' && source.type === 'content') return { content: source.content }
  return 'open'
}
