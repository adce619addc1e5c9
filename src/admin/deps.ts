// What the admin routes depend on.

import type { KeyRing } from '../auth/keys.ts'
import type { PriceStore } from '../pricing/overrides.ts'
import type { Deps } from '../rest/in-force.ts'

export interface AdminDeps extends Deps {
  keys: Pick<KeyRing, 'issue'>
  /** Milliseconds since the epoch. */
  now: () => number
  /** A UUIDv7. */
  newId: () => string
  /** Names of the providers that a price may be of. */
  providers: readonly string[]
  /** Where the workers read the prices that are set here; null: none can be set. */
  priceStore: Pick<PriceStore, 'put'> | null
}
