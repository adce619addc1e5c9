// What the tools of an OpenAI response can cost. Pure.
//
//   function, custom, namespace of those          their bytes: the client runs them
//   local_shell, apply_patch, computer*,
//   shell with environment.type `local`,
//   tool_search with execution `client`           the client runs them; 1,000 tokens for what declares each
//   web_search*                                   with `max_tool_calls`: so many searches, and one round more
//   web_search_preview*                           unbounded: its fee, 25 dollars a thousand for some models, has no price here
//   file_search                                   unbounded: a fee a call that has no price here
//   code_interpreter, hosted shell                unbounded: a fee for each container, by its size and minutes
//   image_generation                              unbounded: another model's image tokens
//   mcp                                           unbounded: what a server declares and answers, in uncounted rounds
//   tool_search on the server,
//   programmatic_tool_calling, anything new       unbounded: uncounted rounds

import { isObject } from './answer.ts'
import { TOOL_PREAMBLE_TOKENS } from './text-bound.ts'

export interface ToolBound {
  added_tokens: number
  open_input: string | null
  unbounded: string | null
  rounds: number
  web_search_requests: number
}

export function readTools(tools: unknown[], max_tool_calls: number | null): ToolBound {
  const bound: ToolBound = { added_tokens: 0, open_input: null, unbounded: null, rounds: 1, web_search_requests: 0 }
  for (const [index, tool] of tools.entries()) {
    const path = `tools[${index}]`
    const kind = kindOf(tool)
    if (kind === 'built_in') bound.added_tokens += TOOL_PREAMBLE_TOKENS
    if (kind === 'search' && max_tool_calls !== null) {
      bound.open_input ??= path
      bound.rounds = max_tool_calls + 1
      bound.web_search_requests = max_tool_calls
    } else if (kind === 'search') bound.unbounded ??= 'max_tool_calls'
    else if (kind === 'unbounded') bound.unbounded ??= path
  }
  return bound
}

/** True where a tool runs at OpenAI: what it read and wrote need not be in the answer. */
export function isHosted(tool: unknown): boolean {
  const kind = kindOf(tool)
  return kind === 'search' || kind === 'unbounded'
}

/** True where a tool costs its bytes and nothing else. */
export function isDeclared(tool: unknown): boolean {
  return kindOf(tool) === 'declared'
}

function kindOf(tool: unknown): 'declared' | 'built_in' | 'search' | 'unbounded' {
  if (!isObject(tool)) return 'unbounded'
  switch (tool.type) {
    case 'function':
    case 'custom':
      return 'declared'
    case 'namespace':
      return Array.isArray(tool.tools) && tool.tools.every(isOfClient) ? 'declared' : 'unbounded'
    case 'local_shell':
    case 'apply_patch':
    case 'computer':
    case 'computer_use_preview':
      return 'built_in'
    case 'shell':
      return isObject(tool.environment) && tool.environment.type === 'local' ? 'built_in' : 'unbounded'
    case 'tool_search':
      return tool.execution === 'client' ? 'built_in' : 'unbounded'
    case 'web_search':
    case 'web_search_2025_08_26':
      return 'search'
    default:
      return 'unbounded'
  }
}

const isOfClient = (tool: unknown) => isObject(tool) && (tool.type === 'function' || tool.type === 'custom')

/** The first tool that is not the client's own: `tools[1]`. */
export function findHosted(tools: unknown[]): string | null {
  const at = tools.findIndex((tool) => !isOfClient(tool))
  return at === -1 ? null : `tools[${at}]`
}
