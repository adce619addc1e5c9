// What the admin routes are made of.

import type { PriceStore } from '../pricing/overrides.ts'
import type { Deps } from '../rest/in-force.ts'

export interface AdminDeps extends Deps {
  /** Signs a key's text; the same ids give the same text. */
  keys: { issue(userId: string, keyId: string): Promise<string> }
  /** Milliseconds since the epoch. */
  now: () => number
  /** A UUIDv7. */
  newId: () => string
  /** Those that a price can be of. */
  providers: readonly string[]
  /** Where the workers read the prices that are set here; null: none can be set. */
  priceStore: PriceStore | null
}
