// Whether the check of input and output that OpenAI makes beside an answer may change what the answer costs. Pure.
// https://developers.openai.com/api/docs/guides/moderation

import { isObject } from './answer.ts'
import type { JsonObject } from './dialect.ts'
import { hasOnly, textOrNone } from './fields.ts'

/** https://developers.openai.com/api/docs/models/omni-moderation-latest */
const FREE = /^omni-moderation-/

/**
 * Names `moderation` unless it only scores what is generated all the same, by a free model. Whether an answer that it blocks
 * is billed, and says so, is not documented.
 */
export function unknownModeration({ moderation }: JsonObject): 'moderation' | null {
  if (moderation === undefined || moderation === null) return null
  if (!isObject(moderation)) return 'moderation'
  const { model, policy, ...others } = moderation
  const isKnown = FREE.test(textOrNone(model)) && Object.keys(others).length === 0 && onlyScores(policy ?? {})
  return isKnown ? null : 'moderation'
}

const onlyScores = (policy: unknown): boolean =>
  isObject(policy) &&
  Object.values(policy).every((of) => of === null || (isObject(of) && hasOnly(of, 'mode') && of.mode === 'score'))
