// Prices of the genai-prices catalogue as integers, and only those that can be right: a wrong price breaks a cap silently;
// a missing one is refused with an error, and an override supplies it. No I/O; the clock is the catalogue's (dated prices).

import type { ModelPrice, PriceCalculationResult } from '@pydantic/genai-prices'
import { BUILT_IN } from './built-in.ts'
import { isSameBedrockModel, matchesForSure, modelKey } from './model-id.ts'
import { nanoUsdOfUsd } from './money.ts'
import { atPercent, type Price, type Rates } from './price.ts'
import { PROVIDERS } from './provider-traits.ts'
import {
  CACHE_WRITE_1H_PERCENT,
  CACHE_WRITE_5M_PERCENT,
  foundTokens,
  type ProviderTraits,
  tiersOf,
  uncachedTiersOf,
} from './traits.ts'

export type Catalogue = (provider: string, model: string) => Price | null

type CalcPrice = typeof import('@pydantic/genai-prices').calcPrice

let loaded: Catalogue | undefined

/**
 * Loads the catalogue on first use: evaluating its 480 KB takes 35 ms, which no worker's start should wait for. What is
 * kept is the catalogue and not a promise of it: a load that fails is tried again.
 */
export async function loadCatalogue(): Promise<Catalogue> {
  loaded ??= catalogueOf((await import('@pydantic/genai-prices')).calcPrice)
  return loaded
}

/** A price may be remembered for ten minutes, and a call may last half an hour. */
const AHEAD_MS = 45 * 60_000

/** Some prices change with the hour or on a date: the dearer of today's and the one soon to come. */
export function catalogueOf(calcPrice: CalcPrice, now: () => number = Date.now): Catalogue {
  return (provider, model) => {
    const id = modelKey(provider, model)
    const fixed = BUILT_IN.get(`${provider} ${id}`)
    if (fixed) return fixed
    const today = priceAt(calcPrice, provider, id, now())
    const soon = priceAt(calcPrice, provider, id, now() + AHEAD_MS)
    return today && soon && sumOf(soon) > sumOf(today) ? soon : today
  }
}

const sumOf = ({ rates }: Price) => rates.input + rates.output

/** At the model's own rates; where another model is said to answer in its place, at the dearer of both. */
function priceAt(calcPrice: CalcPrice, provider: string, id: string, at_ms: number): Price | null {
  const price = ownPriceAt(calcPrice, provider, id, at_ms)
  const other = PROVIDERS.get(provider)?.routed.get(id)
  const answering = other && ownPriceAt(calcPrice, provider, other, at_ms)
  if (!price || !answering) return price
  const dearer = (kind: 'input' | 'cached_input' | 'output') => Math.max(price.rates[kind], answering.rates[kind])
  const rates = { input: dearer('input'), cached_input: dearer('cached_input'), output: dearer('output') }
  return { ...price, rates: { ...price.rates, ...rates } }
}

function ownPriceAt(calcPrice: CalcPrice, provider: string, id: string, at_ms: number): Price | null {
  const traits = PROVIDERS.get(provider)
  if (!traits) return null
  let found: PriceCalculationResult
  try {
    found = calcPrice({ input_tokens: 0 }, id, { providerId: traits.catalogue_id, timestamp: new Date(at_ms) })
  } catch {
    // The catalogue throws on an entry that it cannot price.
    return null
  }
  if (!found) return null
  const { model, model_price } = found
  const same = provider === 'bedrock' ? isSameBedrockModel(model.id, id) : matchesForSure(model.match, id)
  // Some entries were copied from OpenRouter or guessed, and say so.
  if (!same || (provider !== 'openrouter' && /openrouter|trusting/i.test(model.price_comments ?? ''))) return null
  return priceOfEntry(provider, id, model.id, model_price, model.context_window ?? null)
}

/** Prices that Tollgate applies, or that none of its operations can cause (searches of stored files). */
const UNDERSTOOD = new Set(
  `input_mtok output_mtok cache_read_mtok cache_write_mtok cache_write_1h_mtok input_audio_mtok output_audio_mtok
  cache_audio_read_mtok web_searches_kcount storage_searches_kcount requests_kcount`.split(/\s+/),
)
const OF_IMAGES = /^(input_image|cache_image_read|output_image)_mtok$/

export function priceOfEntry(
  provider: string,
  model: string,
  entry: string,
  prices: ModelPrice,
  context_window: number | null,
): Price | null {
  const traits = PROVIDERS.get(provider)
  if (!traits) return null
  const understands = (key: string) =>
    UNDERSTOOD.has(key) || (OF_IMAGES.test(key) && traits.images_apart?.test(entry) === true)
  if (!Object.keys(prices).every(understands)) return null
  const starts = startsOf(prices)
  if (traits.is_wrong(entry, { name: model, context_window, has_long_context: starts.length > 0 })) return null
  const ratesAbove = (input_tokens: number) => {
    const plain = ratesAt(prices, input_tokens, traits, model)
    return plain && raise(plain, traits, [entry, model])
  }
  const rates = ratesAbove(0)
  if (rates === null) return null
  const long_context: Price['long_context'] = []
  for (const above_input_tokens of starts) {
    const dearer = ratesAbove(above_input_tokens + 1)
    if (dearer === null) return null
    long_context.push({ above_input_tokens, rates: dearer })
  }
  if (starts.length === 0 && LONG_SONNET.test(entry))
    long_context.push({ above_input_tokens: 200_000, rates: scaled(rates, 200, 150) })
  return {
    rates,
    long_context,
    tier_percent: tiersOf(traits, model),
    ...uncachedTiersOf(traits, model),
    web_search_nano_usd_per_million:
      nanoUsdOfUsd(usdAt(prices, 'web_searches_kcount', 0) ?? traits.web_search_usd_per_thousand) * 1_000 +
      foundTokens(traits, model) * rates.input,
    request_nano_usd: Math.ceil(nanoUsdOfUsd(usdAt(prices, 'requests_kcount', 0) ?? 0) / 1_000),
    unit_nano_usd: null,
    context_window: largestWindow(provider, entry, context_window),
    priced_as: entry,
    price_source: 'catalogue',
  }
}

/** The input lengths above which long-context rates begin, ascending. */
function startsOf(prices: ModelPrice): number[] {
  const tiers = Object.values(prices).flatMap((price) => (typeof price === 'object' ? price.tiers : []))
  return [...new Set(tiers.map(({ start }) => start))].sort((a, b) => a - b)
}

function raise(rates: Rates, { raised }: ProviderTraits, names: string[]): Rates {
  const found = raised.find(([pattern]) => names.some((name) => pattern.test(name)))
  return found ? scaled(rates, found[1], found[2]) : rates
}

/** All rates but those of audio and images. */
function scaled(rates: Rates, input_percent: number, output_percent: number): Rates {
  return {
    ...rates,
    input: atPercent(rates.input, input_percent),
    cached_input: atPercent(rates.cached_input, input_percent),
    cache_write_5m: atPercent(rates.cache_write_5m, input_percent),
    cache_write_1h: atPercent(rates.cache_write_1h, input_percent),
    output: atPercent(rates.output, output_percent),
  }
}

/** Embeddings and rerankers, whose answers have no tokens. */
const WITHOUT_OUTPUT = /embed|\/bge-/

/** Null where a price cannot be right. */
function ratesAt(prices: ModelPrice, inputTokens: number, traits: ProviderTraits, model: string): Rates | null {
  const rate = (key: string) => {
    const usd = usdAt(prices, key, inputTokens)
    return usd === undefined ? undefined : nanoUsdOfUsd(usd)
  }
  const input = rate('input_mtok') ?? 0
  const output = rate('output_mtok') ?? 0
  if (input <= 0 || (output === 0 && !WITHOUT_OUTPUT.test(model))) return null
  const audio_input = rate('input_audio_mtok') ?? null
  // A speech model writes audio, at the only output price that it has.
  const audio_output = rate('output_audio_mtok') ?? (/tts/.test(model) ? output : null)
  // Audio at text rates would be ten times too cheap. Models that search on every call report it in no answer.
  if (/audio|realtime|sonic/.test(model) && (audio_input === null || audio_output === null)) return null
  if (/(^|-)(re)?search(-|$)/.test(model)) return null
  const image_input = rate('input_image_mtok') ?? null
  const usualWrite = (percent: number) => (traits.names_cache_writes ? input : atPercent(input, percent))
  // At least the input rate: some entries have only the fee for storing, which is charged on top.
  const cache_write_5m = Math.max(rate('cache_write_mtok') ?? usualWrite(CACHE_WRITE_5M_PERCENT), input)
  return {
    input,
    // No usage tells whether text or images were cached: the dearer counts.
    cached_input: Math.max(rate('cache_read_mtok') ?? input, rate('cache_image_read_mtok') ?? image_input ?? 0),
    cache_write_5m,
    cache_write_1h: rate('cache_write_1h_mtok') ?? Math.max(cache_write_5m, usualWrite(CACHE_WRITE_1H_PERCENT)),
    output,
    audio_input,
    audio_output,
    image_input,
    image_output: rate('output_image_mtok') ?? null,
  }
}

function usdAt(prices: ModelPrice, key: string, inputTokens: number): number | undefined {
  const price = prices[key]
  if (typeof price !== 'object') return price
  return price.tiers.findLast((tier) => inputTokens > tier.start)?.price ?? price.base
}

/** Sonnet 4 and 4.5 cost more beyond 200,000 tokens, wherever they are served; not every entry says so. */
const LONG_SONNET = /claude-(4-sonnet|sonnet-4)([-.][05])?(-\d{8})?(-v\d)?(:\d)?$/

/**
 * A header (`anthropic-beta: context-1m-...`) opens a window of a million to Sonnet 4 and 4.5, whose entries say 200,000:
 * no longer at Anthropic itself (https://platform.claude.com/docs/en/release-notes/overview, 30 April 2026). Gemini's Pro
 * models have one that their entries leave out: https://ai.google.dev/gemini-api/docs/models. Palmyra X5's entry has the
 * window of X4: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-palmyra-x5.html
 */
function largestWindow(provider: string, entry: string, context_window: number | null): number | null {
  if (context_window === null) return /^gemini-(2\.5|3|3\.1)-pro(-preview)?$/.test(entry) ? 1_048_576 : null
  if (/palmyra-x5/.test(entry)) return Math.max(context_window, 1_040_000)
  return provider !== 'anthropic' && LONG_SONNET.test(entry) ? Math.max(context_window, 1_000_000) : context_window
}
