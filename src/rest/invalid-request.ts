// What is wrong with a request, as the client reads it: one message per field. Pure.

import type { z } from '@hono/zod-openapi'
import type { GatewayError } from '../errors.ts'
import { GatewayFault } from '../fault.ts'
import { wordsOf } from '../issue-words.ts'

/**
 * An error with every field at fault; the first one also makes the problem document's `field` and `detail`. `input` is what
 * was validated, `target` the part of the request that it came from.
 */
export function invalidRequest(error: z.ZodError, input: unknown, target = 'json'): GatewayError {
  // After a failed check, later ones of the same field say the same in other words: the first stands for all.
  const faults = new Map<string, string>()
  for (const issue of error.issues)
    for (const [field, message] of faultsOf(issue, input, target)) if (!faults.has(field)) faults.set(field, message)

  const errors = [...faults].map(([field, message]) => ({ field, message }))
  const [first] = errors
  if (!first) return { code: 'invalid_request', message: 'The request is not valid.' }
  return { code: 'invalid_request', message: `${first.field}: ${first.message}`, field: first.field, errors }
}

/** One field at fault, for what only a handler can check. `hint` follows the message. */
export function fieldFault(field: string, message: string, hint = ''): GatewayFault {
  const errors = [{ field, message }]
  return new GatewayFault({ code: 'invalid_request', message: `${field}: ${message}${hint}`, field, errors })
}

/** The client went away, or closed its side, before it had sent what it announced. */
export const endedEarly = (cause: unknown) =>
  new GatewayFault({ code: 'invalid_request', message: 'The request body ended early.' }, { cause })

function faultsOf(issue: z.core.$ZodIssue, input: unknown, target: string): [string, string][] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => [pathOf([...issue.path, key]), 'is not a known field'])
  const value = valueAt(input, issue.path)
  // Inside a query parameter that is JSON, nothing counts as missing: `input` has only the parameter's text.
  const isOfObject = issue.path.length > 0 && typeof valueAt(input, issue.path.slice(0, -1)) === 'object'
  const isMissing = issue.code !== 'custom' && isOfObject && value === undefined
  // Hono makes an array of a parameter that is repeated.
  const isRepeated = target === 'query' && Array.isArray(value)
  return [[pathOf(issue.path), isMissing ? 'is required' : isRepeated ? 'must be given once' : wordsOf(issue)]]
}

function valueAt(input: unknown, path: PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, part) => (typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined),
    input,
  )
}

/** `limits.requests`, `scopes[1]`. */
function pathOf(path: PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    return text === '' ? String(part) : `${text}.${String(part)}`
  }, '')
}
