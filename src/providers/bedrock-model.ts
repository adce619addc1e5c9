// What a Bedrock model id or ARN says: which price applies, and in which family's format the body is written. Pure.
// https://docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html

import type { GatewayError } from '../errors.ts'
import { GEOGRAPHIES } from '../pricing/model-id.ts'
import { BEDROCK_ID } from './configured-fields.ts'
import { invalidField } from './fields.ts'

export type Family =
  | 'claude'
  | 'nova'
  | 'titan_text'
  | 'titan_embed'
  | 'llama'
  | 'mistral'
  | 'cohere'
  | 'cohere_embed'
  | 'chat'

export interface BedrockModel {
  /**
   * What prices are found by: the id without the ARN around it, with the geography of its inference profile (`us.`,
   * `global.`: prices differ). The whole ARN where it names something of the account's own (a provisioned model, an
   * application's inference profile, a router): only an override can price that.
   */
  id: string
  /** Null where the id does not tell the format of the body. */
  family: Family | null
  /** True for a stored prompt: what it holds is not in the body. */
  is_prompt: boolean
}

/** The most tokens that a model's template writes around a prompt or messages. Not for Claude, whose template is known. */
export const TEMPLATE_TOKENS = 300

const ARN = /^arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d*:([a-z-]+)\/(.+)$/
const GEOGRAPHY = new RegExp(`^(${GEOGRAPHIES})\\.`)

const FAMILIES: [RegExp, Family][] = [
  [/^anthropic\.claude-/, 'claude'],
  [/^amazon\.nova-(?!.*(canvas|reel|sonic|embed))/, 'nova'],
  [/^amazon\.titan-(text|tg1)/, 'titan_text'],
  [/^amazon\.titan-embed-(text|g1-text)/, 'titan_embed'],
  [/^meta\.llama/, 'llama'],
  [/^mistral\./, 'mistral'],
  [/^cohere\.command/, 'cohere'],
  [/^cohere\.embed/, 'cohere_embed'],
  [/^(openai|qwen|deepseek)\./, 'chat'],
]

export function readModelId(id: string): BedrockModel | GatewayError {
  if (!BEDROCK_ID.test(id)) return invalidField('modelId', 'a model id or an ARN')
  const [, kind, name = ''] = ARN.exec(id) ?? []
  if (kind === 'foundation-model' || kind === 'inference-profile') return describe(name)
  if (id.startsWith('arn:')) return { id, family: null, is_prompt: kind === 'prompt' }
  return describe(id)
}

/** True of OpenAI's own models, also with a geography before their name: `us.openai.gpt-...`. */
export const isOpenAI = (id: string): boolean => /(^|\.)openai\./.test(id)

/** Anthropic's own name of a Claude model: `claude-sonnet-4-5-20250929`. */
export function claudeName(id: string): string {
  return id
    .replace(GEOGRAPHY, '')
    .replace(/^anthropic\./, '')
    .replace(/-v\d+(:.*)?$/, '')
}

function describe(id: string): BedrockModel {
  const plain = id.replace(GEOGRAPHY, '')
  const family = FAMILIES.find(([pattern]) => pattern.test(plain))?.[1] ?? null
  return { id, family, is_prompt: false }
}
