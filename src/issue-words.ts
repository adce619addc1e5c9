// What a schema finds wrong, as words about the field: zod's own speak of its types. Pure.

import type { z } from 'zod'

const ZODS_OWN = /^(Invalid|Too small|Too big)\b/

const KINDS: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}

/** `must be a whole number`; the schema's own message where it has one. */
export function wordsOf(issue: z.core.$ZodIssue): string {
  if (!ZODS_OWN.test(issue.message)) return issue.message
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${KINDS[issue.expected] ?? issue.expected}`
    case 'too_small':
      return `must ${sizeOf(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`
    case 'too_big':
      return `must ${sizeOf(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`
    case 'invalid_format':
      return `must be a valid ${issue.format}`
    default:
      return issue.message
  }
}

function sizeOf(origin: string, relation: string, size: number | bigint): string {
  switch (origin) {
    case 'string':
      return `have ${relation} ${size} characters`
    case 'array':
      return `have ${relation} ${size} entries`
    default:
      return `be ${relation} ${size}`
  }
}
