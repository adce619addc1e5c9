// Every API that a deployment forwards to: its dialect, where it is and whose credential is used. Pure.

import type { Config } from '../config.ts'
import type { Price } from '../pricing/price.ts'
import { anthropic } from '../providers/anthropic.ts'
import { bedrockUpstream, createBedrock } from '../providers/bedrock.ts'
import { KNOWN_PROVIDERS } from '../providers/compatible/table.ts'
import type { Dialect, Upstream } from '../providers/dialect.ts'
import { gemini } from '../providers/gemini.ts'
import { googlePlaces, placesPrices } from '../providers/google-places.ts'
import { openai } from '../providers/openai.ts'
import { openAICompatible, upstreamOf, versionOf } from '../providers/openai-compatible.ts'
import { perCallDialect, perCallPrices } from '../providers/per-call.ts'

export interface Provider {
  dialect: Dialect
  upstream: Upstream
  /** For models of `/v1`: the version below the prefix where it speaks OpenAI's API, else the route to use; null: none. */
  one_endpoint: { version: string } | { use: string } | null
}

/** Prices that come with configuration. */
export function configuredPrices({
  PER_CALL_SERVICES,
}: Config): (provider: string, model: string) => Price | undefined {
  const services = perCallPrices(PER_CALL_SERVICES)
  return (provider, model) => placesPrices(provider, model) ?? services(provider, model)
}

/** Every name that a call or a price can have here, also of shipped providers that are not switched on. */
export function providerNames(config: Config): string[] {
  const names = providersOf(config).map(({ dialect }) => dialect.provider)
  return [...new Set([...names, ...KNOWN_PROVIDERS.map(({ name }) => name)])]
}

export function providersOf(config: Config): Provider[] {
  return [
    {
      dialect: openai,
      upstream: { base_url: config.OPENAI_BASE_URL, credential: config.OPENAI_API_KEY },
      one_endpoint: { version: '/v1' },
    },
    {
      dialect: anthropic,
      upstream: { base_url: config.ANTHROPIC_BASE_URL, credential: config.ANTHROPIC_API_KEY },
      one_endpoint: { use: '/anthropic/v1/messages' },
    },
    {
      dialect: createBedrock({ region: config.BEDROCK_REGION }),
      upstream: bedrockUpstream(config),
      one_endpoint: { use: '/bedrock/model/{id}/converse' },
    },
    {
      dialect: gemini,
      upstream: { base_url: config.GEMINI_BASE_URL, credential: config.GEMINI_API_KEY },
      one_endpoint: { use: '/gemini/v1beta/models/{model}:generateContent' },
    },
    {
      dialect: googlePlaces,
      upstream: { base_url: config.GOOGLE_PLACES_BASE_URL, credential: config.GOOGLE_PLACES_API_KEY },
      one_endpoint: null,
    },
    ...config.PER_CALL_SERVICES.map((service) => ({
      dialect: perCallDialect(service),
      upstream: { base_url: service.base_url, credential: service.credential },
      one_endpoint: null,
    })),
    ...config.COMPATIBLE_PROVIDERS.map((provider) => ({
      dialect: openAICompatible(provider),
      upstream: upstreamOf(provider),
      one_endpoint: { version: versionOf(provider) },
    })),
  ]
}
