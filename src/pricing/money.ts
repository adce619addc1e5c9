// Money inside Tollgate is integer nano-dollars (a billionth of a US dollar), exact to nine million dollars. Pure.

export const NANO_USD_PER_USD = 1_000_000_000
export const NANO_USD_PER_CENT = 10_000_000

/** A sum of `count` things at so many nano-dollars a million. */
export interface Charge {
  count: number
  nano_usd_per_million: number
}

/** The price of several kinds of things, in nano-dollars, rounded up once. Exact: the products pass 2^53. */
export function priceOf(charges: Charge[]): number {
  let total = 0n
  for (const { count, nano_usd_per_million } of charges) total += BigInt(count) * BigInt(nano_usd_per_million)
  return Number((total + 999_999n) / 1_000_000n)
}

/** A catalogue's dollars (a float) as nano-dollars, rounded to the nearest. */
export function nanoUsdOfUsd(usd: number): number {
  return Math.round(usd * NANO_USD_PER_USD)
}

export function usdOfNanoUsd(nanoUsd: number): number {
  return nanoUsd / NANO_USD_PER_USD
}

/** May be fractional: a tenth of a cent is 0.1. */
export function centsOfNanoUsd(nanoUsd: number): number {
  return nanoUsd / NANO_USD_PER_CENT
}
