// Prices that the catalogue lacks and that are simple enough to be sure of: what is billed by the piece. Data; pure.

import type { Price } from './price.ts'

const NOTHING = {
  input: 0,
  cached_input: 0,
  cache_write_5m: 0,
  cache_write_1h: 0,
  output: 0,
  audio_input: null,
  audio_output: null,
}

const perUnit = (priced_as: string, unit_nano_usd: number): Price => ({
  rates: NOTHING,
  long_context: [],
  tier_percent: new Map(),
  web_search_nano_usd_per_million: 0,
  request_nano_usd: 0,
  unit_nano_usd,
  context_window: null,
  priced_as,
  price_source: 'built-in',
})

/** By `provider model`; https://platform.openai.com/docs/pricing. */
export const BUILT_IN: ReadonlyMap<string, Price> = new Map([
  // $0.006 a minute; a unit is a second.
  ['openai whisper-1', perUnit('whisper-1', 100_000)],
  // $15 and $30 a million characters; a unit is a character.
  ['openai tts-1', perUnit('tts-1', 15_000)],
  ['openai tts-1-1106', perUnit('tts-1', 15_000)],
  ['openai tts-1-hd', perUnit('tts-1-hd', 30_000)],
  ['openai tts-1-hd-1106', perUnit('tts-1-hd', 30_000)],
])
