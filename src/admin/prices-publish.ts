// Brings saved prices into force: the workers' store gets all that applies now or will, before the answer goes out.

import type { Context } from 'hono'
import { GatewayFault } from '../fault.ts'
import { isSecondPrice, isTooManyPrices, loadOverrides, MOST_PRICES } from '../postgres/prices.ts'
import { encodeOverrides, IN_FORCE_AFTER_MS, type PriceStore } from '../pricing/overrides.ts'
import { conflict } from '../rest/app.ts'
import { changeInForce, untilInForce } from '../rest/in-force.ts'
import type { AdminDeps } from './deps.ts'

type PriceDeps = Pick<AdminDeps, 'db' | 'priceStore' | 'now'>

/** KV takes one write per key and second. */
const WAITS_MS = [0, 1_100, 2_200, 4_400]

/**
 * Runs a change, then publishes.
 * @throws {GatewayFault} `not_configured` before anything is saved, `not_yet_in_force`, `conflict`, and what `change` throws.
 */
export async function saveAndPublish<T>(deps: PriceDeps, change: () => Promise<T>): Promise<T> {
  const store = storeOf(deps)
  return changeInForce(change, refusalOf, () => publish(deps, store))
}

function storeOf({ priceStore }: PriceDeps): Pick<PriceStore, 'put'> {
  if (priceStore) return priceStore
  const message = 'Prices cannot be set here: no KV namespace is bound as PRICES, so no worker would learn of them.'
  throw new GatewayFault({ code: 'not_configured', message })
}

/**
 * Writes the whole state, again and again until nobody has changed it in the meantime: the last of racing writers sees what
 * all have saved.
 */
async function publish(deps: PriceDeps, store: Pick<PriceStore, 'put'>): Promise<void> {
  await untilInForce(WAITS_MS, async () => {
    const state = await loadState(deps)
    await store.put(state)
    return (await loadState(deps)) === state
  })
}

/** A worker whose clock is behind must still find the version before the newest. */
const CLOCK_SKEW_MS = 10 * 60_000

const loadState = async ({ db, now }: PriceDeps) => encodeOverrides(await loadOverrides(db, now(), CLOCK_SKEW_MS))

/** What the caller is told of a change that was not made; null: something else went wrong. */
function refusalOf(error: unknown): GatewayFault | null {
  if (error instanceof GatewayFault) return error
  if (isSecondPrice(error)) {
    const message = 'The model already has a price from this instant on. Change that one, or name another instant.'
    return conflict(message, 'effective_from')
  }
  if (isTooManyPrices(error)) {
    return conflict(
      `At most ${MOST_PRICES} prices may be in force or to come, and this would make more. Delete some first.`,
    )
  }
  return null
}

const IN_FORCE_BY = 'tollgate-in-force-by'

/** Tells when a published change is in force in every worker at the latest. */
export function sayInForceBy(c: Context, { now }: PriceDeps): void {
  c.header(IN_FORCE_BY, new Date(now() + IN_FORCE_AFTER_MS).toISOString())
}

/** Documents that header. */
export const inForceBy = {
  headers: {
    [IN_FORCE_BY]: {
      description: 'When the change is in force in every worker at the latest.',
      schema: { type: 'string' as const, format: 'date-time' },
    },
  },
}
