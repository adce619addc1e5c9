// Plain data for ledger tests: asks, snapshots and settlements with everything that does not matter filled in.

import { NO_FACTS } from '../../durable-objects/ledger/no-facts.ts'
import type {
  Admission,
  Amount,
  Ask,
  Cap,
  Decision,
  EventDraft,
  LedgerRpc,
  LedgerStatus,
  OutputAsk,
  Refusal,
  Settlement,
  Snapshot,
} from '../../durable-objects/ledger/types.ts'

export const DRAFT: EventDraft = {
  user_id: '0190a000-0000-7000-8000-000000000001',
  key_id: null,
  provider: 'openai',
  operation: 'chat_completions',
  method: 'POST',
  path: '/openai/v1/chat/completions',
  request_model: 'gpt-4o-mini',
  stream: false,
  job_id: null,
  batch_id: null,
  session_id: null,
  metadata: null,
}

export const ask = (request_id: string, asked: Partial<Ask> = {}): Ask => ({
  request_id,
  caller: { key_id: null, scope: 'call' },
  requests: 1,
  input_tokens: 0,
  input_cost_nano_usd: 0,
  output: null,
  draft: DRAFT,
  ...asked,
})

export const output = (max_tokens: number | null, more: Partial<OutputAsk> = {}): OutputAsk => ({
  max_tokens,
  min_tokens: 16,
  choices: 1,
  nano_usd_per_mtok: 10_000_000_000,
  ...more,
})

/** @throws {Error} where the call was refused, with why */
export function admitted(decision: Decision): Admission {
  if (!decision.admitted) throw new Error(`refused: ${JSON.stringify(decision.refusal)}`)
  return decision
}

export const refusalOf = (decision: Decision): Refusal | null => (decision.admitted ? null : decision.refusal)

export const cap = (cap_type: Cap['cap_type'], limits: Cap['limits'], on_exceed: Cap['on_exceed'] = 'clamp'): Cap => ({
  id: `${cap_type}-cap`,
  cap_type,
  limits,
  on_exceed,
})

export const snapshot = (caps: Cap[], more: Partial<Snapshot> = {}): Snapshot => ({
  version: 1,
  status: 'active',
  time_zone: 'UTC',
  caps,
  keys: [],
  ...more,
})

export const amount = (part: Partial<Amount>): Amount => ({
  requests: 0,
  input_tokens: 0,
  output_tokens: 0,
  cost_nano_usd: 0,
  ...part,
})

export const settlement = (request_id: string, reserved_at: number, end: Partial<Settlement> = {}): Settlement => ({
  request_id,
  reserved_at,
  continues: null,
  epoch: 0,
  outcome: 'settled',
  usage: null,
  hold: amount({}),
  usage_source: 'reported',
  draft: DRAFT,
  facts: NO_FACTS,
  ...end,
})

/** A user without caps. */
export const ACTIVE: LedgerStatus = {
  version: 1,
  status: 'active',
  time_zone: 'UTC',
  caps: [],
  outbox: { waiting: 0, rejected: 0 },
}

/** A ledger with these methods alone: every other one is rejected. */
export function ledgerOfOnly(known: Partial<LedgerRpc>): LedgerRpc {
  const unasked = () => Promise.reject(new Error('this is not to be asked of the ledger'))
  const nothing = { reserve: unasked, mayGoOn: unasked, settle: unasked, conclude: unasked }
  return { ...nothing, requestModels: unasked, configure: unasked, status: unasked, ...known }
}
