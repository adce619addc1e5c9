// What the catalogue does not know of a provider: its name there, its tiers, its cache writes, and which entries cannot
// be right. Data; pure. Percents are the dearest published ratio of any model.

export interface ProviderTraits {
  /** The provider in genai-prices. */
  catalogue_id: string
  /** True where the catalogue prices the cache writes of every model that bills them: the others write for nothing. */
  names_cache_writes: boolean
  /** Cache writes where no price is named, in percent of the input price. */
  cache_write_5m_percent: number
  cache_write_1h_percent: number
  tier_percent: ReadonlyMap<string, number>
  /** Fee of a search where no price is named. */
  web_search_usd_per_thousand: number
  /** True for entries that would be wrong: see the comments below. */
  is_wrong: (entry: string, facts: EntryFacts) => boolean
}

export interface EntryFacts {
  context_window: number | null
  has_long_context: boolean
}

const NO_TIERS: ReadonlyMap<string, number> = new Map()

/** Also where a provider is not known here: the dearest rules of any. */
export const PLAIN_TRAITS: Omit<ProviderTraits, 'catalogue_id'> = {
  names_cache_writes: false,
  cache_write_5m_percent: 125,
  cache_write_1h_percent: 200,
  tier_percent: NO_TIERS,
  web_search_usd_per_thousand: 35,
  is_wrong: () => false,
}

const OPENAI_TIERS = new Map([
  ['flex', 50],
  ['batch', 50],
  ['priority', 250],
])

export const PROVIDERS: ReadonlyMap<string, ProviderTraits> = new Map<string, ProviderTraits>([
  [
    'openai',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'openai',
      names_cache_writes: true,
      tier_percent: OPENAI_TIERS,
      web_search_usd_per_thousand: 10,
    },
  ],
  [
    'anthropic',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'anthropic',
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
        ['priority', 180],
      ]),
      // Vertex AI serves them, the Gemini API does not.
      is_wrong: (entry) => entry.startsWith('claude'),
    },
  ],
  // A deployment is priced by its name. Fallbacks of the catalogue: OpenAI's and Anthropic's list prices.
  ['azure', { ...PLAIN_TRAITS, catalogue_id: 'azure', tier_percent: OPENAI_TIERS }],
  ['groq', { ...PLAIN_TRAITS, catalogue_id: 'groq' }],
  // The alias moved on to dearer models, the entry did not.
  ['mistral', { ...PLAIN_TRAITS, catalogue_id: 'mistral', is_wrong: (entry) => entry === 'mistral-small-latest' }],
  // Aliases of ever newer models, at the off-peak prices of 2025.
  [
    'deepseek',
    { ...PLAIN_TRAITS, catalogue_id: 'deepseek', is_wrong: (entry) => /^deepseek-(chat|reasoner)$/.test(entry) },
  ],
  ['xai', { ...PLAIN_TRAITS, catalogue_id: 'x-ai' }],
  ['together', { ...PLAIN_TRAITS, catalogue_id: 'together' }],
  // Any host may serve open weights, at its own price. Of the closed ones some long-context prices are missing.
  [
    'openrouter',
    {
      ...PLAIN_TRAITS,
      catalogue_id: 'openrouter',
      is_wrong: (entry, { context_window, has_long_context }) => {
        if (/gpt-oss|image|audio/.test(entry)) return true
        if (/^(anthropic\/claude|openai\/|google\/gemini-[^/]*flash)/.test(entry)) return false
        const may_be_long = context_window === null || context_window > 200_000
        return !/^(google\/gemini|x-ai\/)/.test(entry) || (may_be_long && !has_long_context)
      },
    },
  ],
  ['workers-ai', { ...PLAIN_TRAITS, catalogue_id: 'cloudflare' }],
])
