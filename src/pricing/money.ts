// Money inside Tollgate is integer nano-dollars (a billionth of a US dollar), exact to nine million dollars. Pure.

export const NANO_USD_PER_USD = 1_000_000_000
export const NANO_USD_PER_CENT = 10_000_000

/** `count` things at a price per million of them. */
export interface Charge {
  count: number
  nano_usd_per_million: number
}

const MOST_NANO_USD = BigInt(Number.MAX_SAFE_INTEGER)

/**
 * The price of several kinds of things, in nano-dollars, rounded up once. BigInt, because the products pass 2^53. Never
 * more than nine million dollars: larger numbers would not be exact.
 */
export function priceOf(charges: Charge[]): number {
  let total = 0n
  for (const { count, nano_usd_per_million } of charges) total += BigInt(count) * BigInt(nano_usd_per_million)
  const nano_usd = (total + 999_999n) / 1_000_000n
  return Number(nano_usd > MOST_NANO_USD ? MOST_NANO_USD : nano_usd)
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

/** Why an amount in dollars is refused: a message that follows the name of its field. */
export interface MoneyFault {
  fault: string
}

const MOST_DECIMALS = 9
const DECIMAL = /^(\d+)(?:\.(\d+))?$/

/**
 * A decimal amount of US dollars as nano-dollars, exactly: a string (`"0.15"`) digit by digit, a number by its shortest
 * spelling (`1e-7`), which is what its sender wrote.
 */
export function nanoUsdOfDecimal(amount: string | number, most_usd: number): number | MoneyFault {
  const text = typeof amount === 'number' ? plainDigits(amount) : amount.trim()
  if (text.startsWith('-')) return { fault: 'must not be negative' }
  const parts = text.length <= 50 ? DECIMAL.exec(text) : null
  if (!parts?.[1]) return { fault: 'must be a decimal amount of US dollars, such as "0.15"' }
  const decimals = (parts[2] ?? '').replace(/0+$/, '')
  if (decimals.length > MOST_DECIMALS) return { fault: `must have at most ${MOST_DECIMALS} decimals` }
  const nano_usd = BigInt(parts[1]) * BigInt(NANO_USD_PER_USD) + BigInt(decimals.padEnd(MOST_DECIMALS, '0'))
  if (nano_usd > BigInt(most_usd) * BigInt(NANO_USD_PER_USD)) return { fault: `must be at most ${most_usd}` }
  return Number(nano_usd)
}

/** `0.0000001` for 1e-7. What no decimal spells stays as it is: `NaN`, `Infinity`, `1e+21`. */
function plainDigits(amount: number): string {
  const [, digits = '', fraction = '', exponent = ''] = /^(\d)(?:\.(\d+))?e-(\d+)$/.exec(String(amount)) ?? []
  return exponent === '' ? String(amount) : `0.${'0'.repeat(Number(exponent) - 1)}${digits}${fraction}`
}

/** The exact amount in US dollars: `0.15`. */
export function decimalOfNanoUsd(nano_usd: number): string {
  const digits = String(BigInt(nano_usd)).padStart(MOST_DECIMALS + 1, '0')
  const decimals = digits.slice(-MOST_DECIMALS).replace(/0+$/, '')
  return digits.slice(0, -MOST_DECIMALS) + (decimals && `.${decimals}`)
}
