// Walks the content of a system prompt and of messages, whose blocks may hold content in turn. Pure.

import { isObject } from './answer.ts'
import type { JsonObject } from './dialect.ts'

/** Null for a block that its bytes bound, `open` for one that they do not, else the content that it holds. */
export type ReadBlock = (block: unknown) => null | 'open' | { content: unknown }

/** The path of something that bytes do not bound (`messages[0].content[1]`); null where there is nothing like that. */
export function findOpenContent({ system, messages }: JsonObject, readBlock: ReadBlock): string | null {
  let open: string | null = null
  const waiting: { content: unknown; path: string }[] = [{ content: system, path: 'system' }]
  for (const [at, message] of (Array.isArray(messages) ? messages : []).entries()) {
    if (isObject(message)) waiting.push({ content: message.content, path: `messages[${at}].content` })
    else open ??= `messages[${at}]`
  }
  // A list to be walked, not recursion: results hold documents that hold blocks.
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { content, path } = next
    if (content === undefined || content === null || typeof content === 'string') continue
    if (!Array.isArray(content)) {
      open ??= path
      continue
    }
    for (const [at, block] of content.entries()) {
      const inside = readBlock(block)
      if (inside === 'open') open ??= `${path}[${at}]`
      else if (inside !== null) waiting.push({ content: inside.content, path: `${path}[${at}]` })
    }
  }
  return open
}
