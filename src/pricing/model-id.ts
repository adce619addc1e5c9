// Ids of models: which spellings mean the same model, and which catalogue entries certainly mean it. A prefix or a part also
// matches other models (`-fast`, `-v2`), so a near miss has no price. Pure.

import type { MatchLogic } from '@pydantic/genai-prices'

const ARN = /^arn:aws[\w-]*:bedrock:[\w-]*:\d*:(?:inference-profile|foundation-model)\/(.+)$/

/**
 * What prices are found by: lower case, and of an ARN the id at its end. Other ARNs (application profiles, provisioned
 * throughput) name no model: only an override of the whole ARN can price them.
 */
export function modelKey(provider: string, model: string): string {
  const id = model.trim().toLowerCase()
  return provider === 'bedrock' ? (ARN.exec(id)?.[1] ?? id) : id
}

const DATED = /^([-@]?\d{8}|-?\d{4}-\d{2}-\d{2}|\d{4}|)(-latest)?$/

/** True where the entry means `id` (lower case), not merely matches it. */
export function matchesForSure(match: MatchLogic, id: string): boolean {
  const sure = (one: MatchLogic) => matchesForSure(one, id)
  if ('or' in match) return match.or.some(sure)
  if ('and' in match) return match.and.some(sure) && match.and.every((one) => matches(one, id))
  if ('equals' in match) return match.equals.toLowerCase() === id
  if ('regex' in match) return /^\^.*\$$/.test(match.regex) && new RegExp(match.regex).test(id)
  if ('starts_with' in match) {
    const prefix = match.starts_with.toLowerCase()
    return id.startsWith(prefix) && DATED.test(id.slice(prefix.length))
  }
  if ('ends_with' in match) return match.ends_with.toLowerCase() === id
  return match.contains.toLowerCase() === id
}

/** As the catalogue itself matches. */
function matches(match: MatchLogic, id: string): boolean {
  if ('or' in match) return match.or.some((one) => matches(one, id))
  if ('and' in match) return match.and.every((one) => matches(one, id))
  if ('equals' in match) return match.equals.toLowerCase() === id
  if ('regex' in match) return new RegExp(match.regex).test(id)
  if ('starts_with' in match) return id.startsWith(match.starts_with.toLowerCase())
  if ('ends_with' in match) return id.endsWith(match.ends_with.toLowerCase())
  return id.includes(match.contains.toLowerCase())
}

/** Prefixes that inference profiles put before a model's id. */
export const GEOGRAPHIES = 'global|us-gov|apac|us|eu|jp|au|ca|in|sa|me|af|il|mx'

const BEDROCK_ID = new RegExp(
  [
    `^((?<geography>regional|${GEOGRAPHIES})[.])?`, // us.
    '(?<name>[a-z0-9]+[.].+?)', // anthropic.claude-opus-4-5
    '(-(?<date>[0-9]{8}))?', // -20251101
    '(-v(?<version>[0-9]+))?', // -v1
    '(:(?<revision>[0-9]+))?', // :0
    '(:[0-9]+k)?$', // :48k
  ].join(''),
)

/** The catalogue matches Bedrock's ids by their parts; this compares part by part. */
export function isSameBedrockModel(entry: string, id: string): boolean {
  const [wanted, given] = [BEDROCK_ID.exec(entry)?.groups, BEDROCK_ID.exec(id)?.groups]
  if (!wanted || !given || wanted.name !== given.name) return false
  // Claude and GPT-5.6 cost the same in every geography (GovCloud is a raise of `provider-traits.ts`), all others more than
  // in the US, as the models of Nova do: https://github.com/anomalyco/models.dev/pull/6597, from AWS's price list.
  const isSamePriceEverywhere = /^(anthropic\.claude|openai\.gpt-5)/.test(given.name ?? '')
  if (!isSamePriceEverywhere && !/^(|us|us-gov|global)$/.test(given.geography ?? '')) return false
  // The global endpoint is the cheaper one.
  if (wanted.geography === 'global' && given.geography !== 'global') return false
  return ['date', 'version', 'revision'].every((part) => !wanted[part] || !given[part] || wanted[part] === given[part])
}
