// What the input of an OpenAI response holds besides text: images, and what is stored at OpenAI. Pure.

import { isObject } from './answer.ts'
import type { JsonObject } from './dialect.ts'
import { hasOnly, textOrNone } from './fields.ts'
import { addedByImage } from './openai-parts.ts'
import { isDeclared } from './openai-responses-tools.ts'
import { TOOL_PREAMBLE_TOKENS } from './text-bound.ts'

/** Items that cost no more than their bytes. Others may stand for more: compactions, files, what is stored at OpenAI. */
const INLINE_ITEMS = new Set(
  `message agent_message function_call function_call_output custom_tool_call custom_tool_call_output local_shell_call
  local_shell_call_output shell_call shell_call_output apply_patch_call apply_patch_call_output computer_call
  computer_call_output`.split(/\s+/),
)

/** Items that bring tools which `tools` does not name. They may be of any kind, even tools that OpenAI runs. */
const ITEMS_OF_TOOLS = new Set(['additional_tools', 'tool_search_output'])

const TEXT_PARTS = new Set(['input_text', 'output_text', 'summary_text', 'reasoning_text', 'text', 'refusal'])
const IMAGE_PARTS: ReadonlySet<unknown> = new Set(['input_image', 'computer_screenshot'])

interface InputBound {
  /** The most that each image takes. */
  image_tokens: number
  added_tokens: number
  open_input: string | null
  unbounded: string | null
}

export function readResponseInput(input: string | unknown[], image_tokens: number): InputBound {
  const bound: InputBound = { image_tokens, added_tokens: 0, open_input: null, unbounded: null }
  if (typeof input === 'string') return bound
  for (const [index, item] of input.entries()) readItem(item, `input[${index}]`, bound)
  return bound
}

function readItem(item: unknown, path: string, bound: InputBound): void {
  // A message needs no type; an item that has neither refers to a stored one.
  const type = isObject(item) ? (item.type ?? (typeof item.role === 'string' ? 'message' : null)) : null
  if (!isObject(item) || typeof type !== 'string') bound.open_input ??= path
  else if (ITEMS_OF_TOOLS.has(type)) {
    // Like `tools`, they are written into the prompt, once for each item.
    bound.added_tokens += TOOL_PREAMBLE_TOKENS
    if (!Array.isArray(item.tools) || !item.tools.every(isDeclared)) bound.unbounded ??= path
  } else if (type === 'compaction_trigger') {
    // A pass of the model over everything.
    bound.unbounded ??= path
  } else if (type === 'configuration_update') {
    // It may set what the call's own fields could not. A schema is written into the prompt, like that of the call itself.
    if (!isPlainUpdate(item)) bound.unbounded ??= path
    else if (item.text !== undefined) bound.added_tokens += TOOL_PREAMBLE_TOKENS
  } else if (INLINE_ITEMS.has(type) || isWholeThought(item) || isSearchOfClient(item)) {
    readContent(item.content, `${path}.content`, bound)
    readContent(item.output, `${path}.output`, bound)
  } else bound.open_input ??= `${path}.${type.slice(0, 40)}`
}

/**
 * A thought that is encrypted and not stored costs its bytes: they are base64 of uncompressed text, and 650 bytes more
 * (`estimate_reasoning_length` of https://github.com/openai/codex/blob/main/codex-rs/core/src/context_manager/history.rs).
 * OpenAI refuses one that it cannot verify.
 */
function isWholeThought({ type, encrypted_content }: JsonObject): boolean {
  return type === 'reasoning' && typeof encrypted_content === 'string' && encrypted_content !== ''
}

/** A tool search of the client's says what was looked for. What was found is an item of its own, with its tools. */
function isSearchOfClient({ type, execution }: JsonObject): boolean {
  return type === 'tool_search_call' && execution === 'client'
}

/** An update that sets only how much the model thinks from there on, which the output bound covers, and its answer's schema. */
function isPlainUpdate({ type, id, reasoning = {}, text = {}, ...others }: JsonObject): boolean {
  return hasOnly(reasoning, 'effort') && hasOnly(text, 'format') && Object.keys(others).length === 0
}

/** Text, a list of parts or, in the output of a computer, one. */
function readContent(content: unknown, path: string, bound: InputBound): void {
  if (content === undefined || content === null || typeof content === 'string') return
  if (!Array.isArray(content)) readPart(content, path, bound)
  else for (const [index, part] of content.entries()) readPart(part, `${path}[${index}]`, bound)
}

function readPart(part: unknown, path: string, bound: InputBound): void {
  // The output of a shell has no type.
  if (isObject(part) && part.type === undefined && typeof part.stdout === 'string') return
  if (isObject(part) && typeof part.type === 'string' && TEXT_PARTS.has(part.type)) return
  const isImage = isObject(part) && IMAGE_PARTS.has(part.type) && (part.file_id ?? null) === null
  const added = isImage ? addedByImage(part.image_url, bound.image_tokens) : null
  if (added !== null) bound.added_tokens += added
  else if (isObject(part) && /audio/.test(textOrNone(part.type))) {
    // Audio has a rate of its own, and the usage does not say how many tokens it was. OpenRouter takes `ResponseInputAudio`.
    bound.unbounded ??= path
  } else bound.open_input ??= path
}
