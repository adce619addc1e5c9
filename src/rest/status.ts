// A user's usage as its ledger enforces it, and what the ledger says of the caller.

import { z } from '@hono/zod-openapi'
import {
  type Caller,
  type CapStatus,
  type LedgerStatus,
  LIMIT_TYPES,
  type Snapshot,
} from '../../durable-objects/ledger/types.ts'
import { GatewayFault } from '../fault.ts'
import type { CallerIdentity } from '../middleware/authenticate.ts'
import { askLedger } from '../middleware/ledger-calls.ts'
import { refusalError } from '../middleware/refusal-error.ts'
import { loadSnapshot } from '../postgres/snapshots.ts'
import { provisionUser } from '../postgres/users.ts'
import { amountsSchema, amountsView, limitsSchema, limitsView } from './amounts.ts'
import { found } from './app.ts'
import { capType } from './caps.ts'
import type { Deps } from './in-force.ts'

const percentage = z.number().nullable()

export const capStatusSchema = z
  .object({
    id: z.guid(),
    cap_type: capType,
    current_usage: amountsSchema.openapi({ description: 'Settled usage plus what is in flight.' }),
    held: amountsSchema.openapi({ description: 'The part of it that is in flight.' }),
    limits: limitsSchema,
    percentage_used: z.object({ requests: percentage, tokens: percentage, cost: percentage }),
    reset_time: z.iso.datetime().nullable(),
    window_start: z.iso.datetime().nullable(),
    refused: z.int().openapi({ description: 'Calls that a cap refused in this window.' }),
    is_exceeded: z.boolean().openapi({ description: 'Whether a limit is used up.' }),
  })
  .openapi('CapStatus')

export const statusSchema = z.object({ time_zone: z.string(), data: z.array(capStatusSchema) }).openapi('CapsStatus')

export function statusView({ time_zone, caps }: LedgerStatus) {
  return { time_zone, data: caps.map(capStatusView) }
}

function capStatusView(cap: CapStatus) {
  const { requests = null, tokens = null, cost = null } = cap.limits
  const used = cap.current_usage
  return {
    id: cap.cap_id,
    cap_type: cap.cap_type,
    current_usage: amountsView(used),
    held: amountsView(cap.held),
    limits: limitsView({ requests, tokens, cost }),
    percentage_used: {
      requests: percentageOf(used.requests, requests),
      tokens: percentageOf(used.tokens, tokens),
      cost: percentageOf(used.cost, cost),
    },
    reset_time: isoOf(cap.reset_at),
    window_start: isoOf(cap.window_start),
    refused: cap.refused,
    is_exceeded: LIMIT_TYPES.some((type) => used[type] >= (cap.limits[type] ?? Infinity)),
  }
}

const isoOf = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())

/** Two decimals, rounded down, so that 100 means that nothing is left. */
function percentageOf(usage: number, limit: number | null): number | null {
  if (limit === null) return null
  if (limit === 0) return 100
  const percentage = Math.floor((usage * 10_000) / limit) / 100
  // The division itself rounds up where it comes close to 100.
  return usage < limit ? Math.min(percentage, 99.99) : percentage
}

/** Who asks, as `authenticate` knows them. */
export type UsageCaller = Pick<CallerIdentity, 'user_id' | 'key_id' | 'jwt'>

/**
 * What the user's ledger knows, as far as the caller may see it.
 * @throws {GatewayFault} `unauthenticated`, `forbidden`, `ledger_unavailable`
 */
export async function callerStatus(deps: Deps, caller: UsageCaller): Promise<LedgerStatus> {
  const { user_id, key_id, jwt } = caller
  return statusOf(deps, user_id, { key_id, scope: 'usage' }, async () => {
    if (jwt) await provisionUser(deps.db, { id: user_id, ...jwt })
    const snapshot = await loadSnapshot(deps.db, user_id)
    if (snapshot) return snapshot
    throw new GatewayFault({ code: 'unauthenticated', message: 'This user does not exist.' })
  })
}

/**
 * What a user's ledger knows, for the operator.
 * @throws {GatewayFault} `not_found`, `ledger_unavailable`
 */
export async function userStatus(deps: Deps, userId: string): Promise<LedgerStatus> {
  return statusOf(deps, userId, null, async () => found(await loadSnapshot(deps.db, userId), 'user'))
}

/** Asks the ledger. One that has no configuration yet gets it, and is asked again. */
async function statusOf(
  { ledgerOf }: Deps,
  userId: string,
  caller: Caller | null,
  load: () => Promise<Snapshot>,
): Promise<LedgerStatus> {
  let answer = await askLedger(() => ledgerOf(userId).status(caller))
  if ('refusal' in answer && answer.refusal.reason === 'no_config') {
    const snapshot = await load()
    answer = await askLedger(async () => {
      await ledgerOf(userId).configure(snapshot)
      return ledgerOf(userId).status(caller)
    })
  }
  if ('refusal' in answer) throw new GatewayFault(refusalError(answer.refusal))
  return answer
}
