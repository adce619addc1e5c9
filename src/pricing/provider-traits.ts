// The traits of each provider that the catalogue knows. Data; pure. Percents are the dearest published ratio of any model.

import { type ModelTiers, PLAIN_TRAITS, type ProviderTraits } from './traits.ts'

/**
 * `priority` has `fast` as a newer name, which is read as the older one; 250 % is GPT-5.5's, the dearest.
 * https://developers.openai.com/api/docs/pricing, https://openai.com/api-fast-mode/
 */
const OPENAI_TIERS = new Map([
  ['flex', 50],
  ['batch', 50],
  ['priority', 250],
])

/** From the same pages. Where input, cached input and output differ, the dearest. */
const OPENAI_MODEL_TIERS: readonly ModelTiers[] = [
  [
    /^gpt-5(\.[124])?$|^gpt-5(\.1)?-codex$|^gpt-5\.4-mini$|^gpt-5\.6-(sol|terra|luna)$|^gpt-6-astra$|^gpt-4\.1-nano$/,
    { priority: 200 },
  ],
  [/^o4-mini$/, { priority: 182 }],
  [/^gpt-5-mini$/, { priority: 180 }],
  [/^(o3|gpt-4\.1(-mini)?|gpt-4o-2024-05-13)$/, { priority: 175 }],
  [/^gpt-4o$/, { priority: 170 }],
  [/^gpt-4o-mini$/, { priority: 167 }],
  // They have no discount in batches.
  [/^gpt-3\.5(-turbo)?-(0301|0613|1106)$/, { batch: 100 }],
]

/**
 * $4 and $20 in place of $5 and $30 until 21 November 2026 at least (Azure: 30 November), as others quote
 * https://developers.openai.com/api/docs/models/gpt-5.6-sol. OpenRouter's entry is half of that.
 */
const GPT_5_6_SOL = /(^|\W)gpt-5\.6(-sol)?$/

export const PROVIDERS: ReadonlyMap<string, ProviderTraits> = new Map<string, ProviderTraits>([
  [
    'openai',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'openai',
      names_cache_writes: true,
      tier_percent: OPENAI_TIERS,
      model_tiers: OPENAI_MODEL_TIERS,
      batches_without_cache: /^(?!gpt-[5-9])/,
      images_apart: /^(chat)?gpt-image-/,
      web_search_usd_per_thousand: 10,
      tokens_of_search: [/^gpt-4(o|\.1)-mini(-\d{4}-\d{2}-\d{2})?$/, 8_000],
      raised: [[GPT_5_6_SOL, 125, 150]],
    },
  ],
  [
    'anthropic',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'anthropic',
      // https://platform.claude.com/docs/en/about-claude/pricing, .../build-with-claude/fast-mode: 600 % are Opus 4.6 and 4.7.
      // `us`, `fast_us` and `batch_us` are Tollgate's own names: see tierName in the dialect.
      tier_percent: new Map([
        ['batch', 50],
        ['batch_us', 55],
        // Paid for in advance.
        ['priority', 100],
        ['us', 110],
        ['fast', 600],
        ['fast_us', 660],
      ]),
      model_tiers: [[/^claude-opus-(4-8|5|5-5)$/, { fast: 200, fast_us: 220 }]],
      web_search_usd_per_thousand: 10,
    },
  ],
  // Prices of us-east-1. `optimized` is the latency that `performanceConfig` asks for.
  [
    'bedrock',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'aws',
      tier_percent: new Map([
        ['flex', 50],
        ['batch', 50],
        ['priority', 175],
        ['optimized', 125],
      ]),
      raised: [
        [GPT_5_6_SOL, 125, 150],
        // "Public extended access" since December 2025: https://aws.amazon.com/bedrock/pricing, as Helicone/helicone #5709 quotes it.
        [/anthropic\.claude-3-5-sonnet/, 200, 200],
        // A fifth above the global price, which some entries are: the same page, as BerriAI/litellm #27120 and #39764 quote it.
        [/^us-gov\./, 120, 120],
      ],
    },
  ],
  [
    'gemini',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'google',
      tier_percent: new Map([
        ['flex', 50],
        ['batch', 50],
        // 75 to 100 % more than standard: https://ai.google.dev/gemini-api/docs/optimization
        ['priority', 200],
      ]),
      // From 1 December 2026 on: https://ai.google.dev/gemini-api/docs/deprecations, as others quote it.
      routed: new Map([['gemini-2.5-pro', 'gemini-3.8-flash']]),
      // Vertex AI serves Claude, the Gemini API does not. The preview is retired; what replaced it costs up to four times as much.
      is_wrong: (entry) => entry.startsWith('claude') || entry === 'gemini-2.5-flash-preview',
    },
  ],
  // A deployment is priced by its name. Fallbacks of the catalogue: OpenAI's and Anthropic's list prices, which are Azure's, too.
  // DeepSeek's, xAI's and Moonshot's are not: https://azure.microsoft.com/pricing/details/ai-foundry-models/deepseek. Of Phi,
  // OpenRouter's are there, of which Azure's (https://prices.azure.com) are up to three times.
  [
    'azure',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'azure',
      tier_percent: OPENAI_TIERS,
      raised: [[GPT_5_6_SOL, 125, 150]],
      is_wrong: (entry) => !/^(gpt-|o\d|ada$|text-embedding-|codex-|claude-)/.test(entry),
    },
  ],
  ['groq', { ...PLAIN_TRAITS, catalogue_id: 'groq' }],
  // The aliases moved on to dearer models, the entries did not: https://api.mistral.ai/v1/models has these two among the names
  // of Medium 3.5, as two that copied it in September 2026 quote it.
  [
    'mistral',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'mistral',
      routed: new Map([
        ['mistral-medium', 'mistral-medium-latest'],
        ['magistral-medium-latest', 'mistral-medium-latest'],
      ]),
      is_wrong: (entry) => entry === 'mistral-small-latest',
    },
  ],
  // Aliases of ever newer models, at the off-peak prices of 2025.
  [
    'deepseek',
    { ...PLAIN_TRAITS, catalogue_id: 'deepseek', is_wrong: (entry) => /^deepseek-(chat|reasoner)$/.test(entry) },
  ],
  // Retired names that go on to newer models at their prices, most of them dearer, some with a larger window, and an alias
  // that moves: https://docs.x.ai/developers/migration/may-15-retirement, and karthink/gptel #1454 of all older ones.
  [
    'xai',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'x-ai',
      is_wrong: (_, { name }) => /^grok-([23]|4(-|$)|code|build|latest)/.test(name),
    },
  ],
  [
    'together',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'together',
      // $1.04 in place of $0.88 since July 2026: https://www.together.ai/models/llama-3-3-70b, as anomalyco/models.dev #2989 shows it.
      raised: [[/llama-3\.3-70b-instruct-turbo$/i, 10_400 / 88, 10_400 / 88]],
    },
  ],
  // Any host may serve open weights, at its own price. Some closed models lack their long-context prices.
  [
    'openrouter',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'openrouter',
      raised: [
        [GPT_5_6_SOL, 250, 300],
        // Bedrock's price, in https://openrouter.ai/api/v1/models as @oh-my-pi/pi-catalog 18.2.11 read it.
        [/^anthropic\/claude-3\.5-sonnet/, 200, 200],
      ],
      is_wrong: (entry, { context_window, has_long_context }) => {
        if (/gpt-oss|image|audio|grok-4-fast/.test(entry)) return true
        if (/^(anthropic\/claude|openai\/|google\/gemini-[^/]*flash)/.test(entry)) return false
        const may_be_long = context_window === null || context_window > 200_000
        return !/^(google\/gemini|x-ai\/)/.test(entry) || (may_be_long && !has_long_context)
      },
    },
  ],
  // Neurons are billed, and their dollars rounded: https://developers.cloudflare.com/workers-ai/platform/pricing. Of this one
  // @earendil-works/pi-ai 1.6.0 has $0.0605.
  ['workers-ai', { ...PLAIN_TRAITS, catalogue_id: 'cloudflare', raised: [[/glm-4\.7-flash$/, 101, 100]] }],
])
