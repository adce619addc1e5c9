// Prices of the genai-prices catalogue as integers, and only those that can be right: a wrong price breaks a cap in
// silence, a missing one is refused aloud and mended by an override. No I/O; the clock is the catalogue's (dated prices).

import type { MatchLogic, ModelPrice, PriceCalculationResult } from '@pydantic/genai-prices'
import { nanoUsdOfUsd } from './money.ts'
import type { Price, Rates } from './price.ts'

export type Catalogue = (provider: string, model: string) => Price | null

let loading: Promise<Catalogue> | undefined

/** Loads the catalogue on first use: evaluating its 480 KB takes 35 ms, which no worker's start should wait for. */
export function loadCatalogue(): Promise<Catalogue> {
  loading ??= import('@pydantic/genai-prices').then(({ calcPrice }) => (provider, model) => {
    if (!PROVIDERS.has(provider)) return null
    const id = model.trim().toLowerCase()
    let found: PriceCalculationResult
    try {
      found = calcPrice({ input_tokens: 0 }, id, { providerId: provider })
    } catch {
      // The catalogue throws on an entry that it cannot price: so that model has no price.
      return null
    }
    if (!found || !matchesForSure(found.model.match, id)) return null
    return priceOfEntry(provider, id, found.model.id, found.model_price, found.model.context_window ?? null)
  })
  return loading
}

interface ProviderTraits {
  /** Cache writes where the catalogue names no price, in percent of the input price. */
  cache_write_5m_percent: number
  cache_write_1h_percent: number
  tier_percent: ReadonlyMap<string, number>
}

/** What the catalogue does not know. A tier's percent is the dearest published ratio of any model. */
const PROVIDERS: ReadonlyMap<string, ProviderTraits> = new Map([
  [
    'openai',
    {
      cache_write_5m_percent: 100,
      cache_write_1h_percent: 100,
      tier_percent: new Map([
        ['flex', 50],
        ['batch', 50],
        ['priority', 250],
      ]),
    },
  ],
  [
    'anthropic',
    {
      cache_write_5m_percent: 125,
      cache_write_1h_percent: 200,
      // `us` and `fast_us` are Tollgate's own names: see tierName in the dialect.
      tier_percent: new Map([
        ['batch', 50],
        ['us', 110],
        ['fast', 600],
        ['fast_us', 660],
      ]),
    },
  ],
])

/** Prices that Tollgate applies, or (searches of stored files) that no operation of its can cause. */
const UNDERSTOOD = new Set(
  `input_mtok output_mtok cache_read_mtok cache_write_mtok cache_write_1h_mtok input_audio_mtok output_audio_mtok
  cache_audio_read_mtok web_searches_kcount storage_searches_kcount requests_kcount`.split(/\s+/),
)

/** Dearest fee of a search where the catalogue names none. */
const WEB_SEARCH_USD_PER_THOUSAND = 10

/** Entries that match by prefix also match what they do not mean (`-fast`, `-v2`): only dates and `latest` may follow. */
export function matchesForSure(match: MatchLogic, id: string): boolean {
  if ('or' in match) return match.or.some((one) => matchesForSure(one, id))
  if ('equals' in match) return match.equals.toLowerCase() === id
  if ('regex' in match) return /^\^.*\$$/.test(match.regex) && new RegExp(match.regex).test(id)
  if ('starts_with' in match) {
    const prefix = match.starts_with.toLowerCase()
    return id.startsWith(prefix) && /^([-@]?\d{8}|-\d{4}-\d{2}-\d{2}|\d{4}|)(-latest)?$/.test(id.slice(prefix.length))
  }
  return false
}

export function priceOfEntry(
  provider: string,
  model: string,
  entry: string,
  prices: ModelPrice,
  context_window: number | null,
): Price | null {
  const traits = PROVIDERS.get(provider)
  if (!traits || Object.keys(prices).some((key) => !UNDERSTOOD.has(key))) return null
  const starts = new Set<number>()
  for (const price of Object.values(prices)) {
    if (typeof price === 'object') for (const tier of price.tiers) starts.add(tier.start)
  }
  const rates = ratesAt(prices, 0, traits, model)
  if (rates === null) return null
  const long_context: Price['long_context'] = []
  for (const above_input_tokens of [...starts].sort((a, b) => a - b)) {
    const dearer = ratesAt(prices, above_input_tokens + 1, traits, model)
    if (dearer === null) return null
    long_context.push({ above_input_tokens, rates: dearer })
  }
  return {
    rates,
    long_context,
    tier_percent: traits.tier_percent,
    web_search_nano_usd_per_million:
      nanoUsdOfUsd(usdAt(prices, 'web_searches_kcount', 0) ?? WEB_SEARCH_USD_PER_THOUSAND) * 1_000,
    request_nano_usd: Math.ceil(nanoUsdOfUsd(usdAt(prices, 'requests_kcount', 0) ?? 0) / 1_000),
    unit_nano_usd: null,
    context_window: largestWindow(provider, entry, context_window),
    priced_as: entry,
    price_source: 'catalogue',
  }
}

/** Null where a price cannot be right. */
function ratesAt(prices: ModelPrice, inputTokens: number, traits: ProviderTraits, model: string): Rates | null {
  const rate = (key: string) => {
    const usd = usdAt(prices, key, inputTokens)
    return usd === undefined ? undefined : nanoUsdOfUsd(usd)
  }
  const input = rate('input_mtok') ?? 0
  const output = rate('output_mtok') ?? (/embedding/.test(model) ? 0 : undefined)
  if (input <= 0 || output === undefined || (output === 0 && !/embedding/.test(model))) return null
  const audio_input = rate('input_audio_mtok') ?? null
  const audio_output = rate('output_audio_mtok') ?? null
  // Audio at text rates is ten times too cheap; searches on every call are in no answer.
  if (/audio|realtime/.test(model) && (audio_input === null || audio_output === null)) return null
  if (/search|research/.test(model)) return null
  const write = rate('cache_write_mtok') ?? Math.ceil((input * traits.cache_write_5m_percent) / 100)
  return {
    input,
    cached_input: rate('cache_read_mtok') ?? input,
    cache_write_5m: write,
    cache_write_1h:
      rate('cache_write_1h_mtok') ?? Math.max(write, Math.ceil((input * traits.cache_write_1h_percent) / 100)),
    output,
    audio_input,
    audio_output,
  }
}

function usdAt(prices: ModelPrice, key: string, inputTokens: number): number | undefined {
  const price = prices[key]
  if (typeof price !== 'object') return price
  return price.tiers.findLast((tier) => inputTokens > tier.start)?.price ?? price.base
}

/** A header (`anthropic-beta: context-1m-...`) opens a window of a million to models whose entry says 200,000. */
function largestWindow(provider: string, entry: string, context_window: number | null): number | null {
  if (context_window === null) return null
  return provider === 'anthropic' && /^claude-(sonnet|opus|haiku)-[4-9]/.test(entry)
    ? Math.max(context_window, 1_000_000)
    : context_window
}
