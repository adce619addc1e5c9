// Converts limits and amounts between the API (`cost_cents`, `cost_usd`) and what is stored (nano-dollars). Pure.

import { z } from '@hono/zod-openapi'
import type { LimitType } from '../../durable-objects/ledger/types.ts'
import type { CapSettings } from '../postgres/caps.ts'
import { centsOfNanoUsd, NANO_USD_PER_CENT, NANO_USD_PER_USD, usdOfNanoUsd } from '../pricing/money.ts'
import { withoutNulls } from './fields.ts'

const MOST_USD = 9_000_000

const count = z.int().min(0)
const cents = z
  .number()
  .min(0)
  .max(MOST_USD * 100)
  .openapi({ description: 'US cents; may be fractional.' })
const usd = z.number().min(0).max(MOST_USD)

const limits = z.strictObject({
  requests: count.nullish(),
  tokens: count.nullish(),
  cost_cents: cents.nullish(),
  cost_usd: usd.nullish(),
})

type Limits = z.output<typeof limits>
type LimitColumns = Pick<CapSettings, 'limit_requests' | 'limit_tokens' | 'limit_cost_nano_usd'>

/** The limits of a new cap: at least one, and the cost in cents or in dollars. Null counts as absent. */
export const limitsOfNewCap = limits
  .transform(withoutNulls)
  .refine((given) => Object.keys(given).length > 0, 'must have at least one limit')
  .transform(toColumns)
  .openapi({ description: 'At least one limit; null counts as absent. cost_cents or cost_usd, not both.' })

/** Limits that replace those of a cap; null removes one. */
export const limitsOfChangedCap = limits.transform(toColumns).openapi({
  description:
    'Given limits change, null removes one, at least one limit must remain. cost_cents or cost_usd, not both.',
})

function toColumns({ requests, tokens, cost_cents, cost_usd }: Limits, context: z.RefinementCtx): LimitColumns {
  const columns = { limit_requests: requests, limit_tokens: tokens }
  if (cost_cents !== undefined && cost_usd !== undefined) {
    context.addIssue({ code: 'custom', path: ['cost_usd'], message: 'cannot be set together with cost_cents' })
    return columns
  }
  const [field, cost, unit] =
    cost_usd === undefined
      ? (['cost_cents', cost_cents, NANO_USD_PER_CENT] as const)
      : (['cost_usd', cost_usd, NANO_USD_PER_USD] as const)
  if (typeof cost !== 'number') return { ...columns, limit_cost_nano_usd: cost }
  const nanoUsd = exactNanoUsd(cost, unit)
  if (nanoUsd === null)
    context.addIssue({ code: 'custom', path: [field], message: 'must be a whole number of nano-dollars' })
  return { ...columns, limit_cost_nano_usd: nanoUsd }
}

/** Null where the amount is not a whole number of nano-dollars, apart from rounding errors of its float. */
function exactNanoUsd(amount: number, unit: number): number | null {
  const nanoUsd = Math.round(amount * unit)
  return Math.abs(amount * unit - nanoUsd) <= 4 * Number.EPSILON * nanoUsd ? nanoUsd : null
}

export const limitsSchema = z.object({
  requests: z.int().nullable(),
  tokens: z.int().nullable(),
  cost_cents: z.number().nullable(),
  cost_usd: z.number().nullable(),
})

/** Null where a dimension is not limited. */
export function limitsView(limits: { requests: number | null; tokens: number | null; cost: number | null }) {
  const { requests, tokens, cost } = limits
  return { requests, tokens, ...(cost === null ? { cost_cents: null, cost_usd: null } : costView(cost)) }
}

export const amountsSchema = z.object({
  requests: z.int(),
  tokens: z.int(),
  cost_cents: z.number(),
  cost_usd: z.number(),
})

export function amountsView({ requests, tokens, cost }: Record<LimitType, number>) {
  return { requests, tokens, ...costView(cost) }
}

export function costView(nano_usd: number) {
  return { cost_cents: centsOfNanoUsd(nano_usd), cost_usd: usdOfNanoUsd(nano_usd) }
}
