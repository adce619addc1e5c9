// What tests of OpenAI's operations share.

import type { Operation } from '../../../src/providers/dialect.ts'
import { openai } from '../../../src/providers/openai.ts'

export function operation(name: string): Operation {
  const found = openai.operations.find((one) => one.name === name)
  if (!found) throw new Error(`There is no operation ${name}`)
  return found
}
