// Names of service tiers, in requests and answers, and which of them cost no more than the standard one. Pure.

import { stringOrNull } from './answer.ts'
import type { Bound, JsonObject } from './dialect.ts'

/** `scale` and `reserved` are paid for in advance, `on_demand` is Groq's standard tier; `flex` and `batch` cost less. */
const NO_DEARER: ReadonlySet<unknown> = new Set([
  undefined,
  null,
  'default',
  'standard',
  'auto',
  'on_demand',
  'scale',
  'reserved',
  'flex',
  'batch',
])

export const isNoDearerTier = (tier: unknown): boolean => NO_DEARER.has(tier)

/** `fast` is the newer name of `priority`: https://openai.com/api-fast-mode/ */
const OPENAI_TIERS: ReadonlySet<unknown> = new Set([undefined, null, 'auto', 'default', 'flex', 'priority', 'fast'])

/** The dearest tier that may answer an OpenAI body. Unset and `auto` mean what the project is set to: maybe `priority`. */
export function openAITier({ service_tier: tier }: JsonObject): Pick<Bound, 'service_tier' | 'unbounded'> {
  return {
    service_tier: tier === 'default' || tier === 'flex' ? null : 'priority',
    unbounded: OPENAI_TIERS.has(tier) ? null : 'service_tier',
  }
}

/** The tier that an OpenAI answer or body names, or null. */
export function namedOpenAITier({ service_tier: tier }: JsonObject): string | null {
  return tier === 'fast' ? 'priority' : stringOrNull(tier)
}

/** What an OpenAI answer that names no tier costs: the standard price, unless a dearer one was asked for. */
export const unnamedOpenAITier = (body: JsonObject): 'priority' | null =>
  namedOpenAITier(body) === 'priority' ? 'priority' : null
