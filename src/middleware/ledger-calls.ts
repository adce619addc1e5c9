// Talking to a ledger over a network that may fail. Its verbs are idempotent on the request id, so they may be repeated.
// Each try asks for the ledger anew: a Durable Object's stub stays broken once a call on it has failed.

import type {
  Ask,
  CallUnderWay,
  Conclusion,
  Decision,
  LedgerOf,
  Settlement,
} from '../../durable-objects/ledger/types.ts'
import { GatewayFault } from '../fault.ts'

/** Pauses between tries to settle. Should all fail, the answer is withheld; a hold that is written expires and is charged. */
const SETTLE_PAUSES_MS = [100, 500, 2_000, 5_000]

/** One hop in the good case. `provision` is asked when the ledger does not know its user; true: try again. */
export async function reserve(ledgerOf: LedgerOf, ask: Ask, provision: () => Promise<boolean>): Promise<Decision> {
  const decision = await tryReserve(ledgerOf, ask)
  const isUnknown = !decision.admitted && decision.refusal.reason === 'no_config'
  return isUnknown && (await provision()) ? tryReserve(ledgerOf, ask) : decision
}

/**
 * A ledger that cannot be reached refuses: nothing is forwarded that is not held. One that was overloaded at the first try
 * holds nothing; after any other failure an unanswered try may have left a hold there, which must be released.
 */
async function tryReserve(ledgerOf: LedgerOf, ask: Ask): Promise<Decision> {
  const once = async () => ledgerOf(ask.draft.user_id).reserve(ask)
  try {
    return await once()
  } catch (error) {
    if (isOverloaded(error)) return unanswered('overloaded', ask, error)
  }
  return once().catch((error) => unanswered('unreachable', ask, error))
}

function unanswered(reason: 'overloaded' | 'unreachable', { request_id }: Ask, error: unknown): Decision {
  console.error(JSON.stringify({ message: 'a ledger could not be reached', request_id, error: String(error) }))
  return { admitted: false, refusal: { reason }, tightest: null }
}

/** The call was not delivered, and to repeat it would make things worse: see Cloudflare's "Error handling" of Durable Objects. */
const isOverloaded = (error: unknown) => error instanceof Error && 'overloaded' in error && error.overloaded === true

/** @throws {GatewayFault} `ledger_unavailable` */
export async function askLedger<T>(rpc: () => Promise<T>): Promise<T> {
  try {
    return await rpc()
  } catch (cause) {
    throw new GatewayFault({ code: 'ledger_unavailable', message: 'The ledger does not answer. Try again.' }, { cause })
  }
}

/** As `Ledger.mayGoOn`; null where the ledger does not answer. Never throws. */
export async function mayGoOn(ledgerOf: LedgerOf, call: CallUnderWay): Promise<boolean | null> {
  try {
    return await ledgerOf(call.draft.user_id).mayGoOn(call)
  } catch (error) {
    const { request_id } = call
    console.warn(JSON.stringify({ message: 'a ledger could not be asked', request_id, error: String(error) }))
    return null
  }
}

/** True when the ledger has it. Never throws. */
export async function settle(ledgerOf: LedgerOf, ended: Settlement | Promise<Settlement>): Promise<boolean> {
  const settlement = await ended
  const { user_id } = settlement.draft
  return insist(`could not settle ${settlement.request_id}`, () => ledgerOf(user_id).settle(settlement))
}

/**
 * As `Ledger.requestModels`; `[]` from a ledger that still runs an older version, as some do for minutes after a deploy.
 * @throws where the ledger does not answer.
 */
export async function requestModels(ledgerOf: LedgerOf, user_id: string, request_ids: string[]) {
  const once = () => ledgerOf(user_id).requestModels(request_ids)
  try {
    return await once().catch(once)
  } catch (error) {
    if (String(error).includes('does not implement the method')) return []
    throw error
  }
}

/** True when the ledger has it. Never throws. */
export async function conclude(ledgerOf: LedgerOf, user_id: string, conclusions: Conclusion[]): Promise<boolean> {
  return insist('could not conclude', () => ledgerOf(user_id).conclude(conclusions))
}

async function insist(fault: string, call: () => Promise<void>): Promise<boolean> {
  for (const pause of [...SETTLE_PAUSES_MS, null]) {
    try {
      await call()
      return true
    } catch (error) {
      console.warn(JSON.stringify({ message: fault, error: String(error) }))
      if (pause !== null) await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }
  return false
}
