// What a schema finds wrong, as words about the field: zod's own speak of its types. Pure.

import type { z } from 'zod'

const ZODS_OWN = /^(Invalid|Too small|Too big|Unrecognized)\b/

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
      if (issue.minimum === 1 && issue.origin in COUNTED) return 'must not be empty'
      return `must ${sizeOf(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`
    case 'too_big':
      return `must ${sizeOf(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`
    case 'invalid_format':
      return `must be a valid ${issue.format}`
    case 'unrecognized_keys':
      return `has unknown fields: ${issue.keys.join(', ')}`
    case 'invalid_key':
      return 'has a name that is not possible here'
    default:
      return issue.message
  }
}

const COUNTED: Record<string, string> = { string: ' characters', array: ' entries' }

function sizeOf(origin: string, relation: string, size: number | bigint): string {
  const counted = COUNTED[origin]
  return counted ? `have ${relation} ${size}${counted}` : `be ${relation} ${size}`
}
