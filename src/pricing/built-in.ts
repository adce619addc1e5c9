// Prices that the catalogue lacks and that are simple enough to be sure of: what is billed by the piece. Data; pure.

import { type Price, priceWithoutTokens } from './price.ts'

const perUnit = (priced_as: string, unit_nano_usd: number): Price =>
  priceWithoutTokens({ priced_as, price_source: 'built-in', unit_nano_usd })

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
