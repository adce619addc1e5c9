// Caps as the API shows them.

import { z } from '@hono/zod-openapi'
import { CAP_TYPES, ON_EXCEED } from '../../durable-objects/ledger/types.ts'
import type { CapRow, DefaultCapRow } from '../postgres/schema.ts'
import { limitsSchema, limitsView } from './amounts.ts'

export const capType = z.enum(CAP_TYPES)
export const onExceed = z.enum(ON_EXCEED)

export const defaultCapSchema = z
  .object({
    cap_type: capType,
    limits: limitsSchema,
    on_exceed: onExceed,
    is_active: z.boolean(),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .openapi('DefaultCap')

export const capSchema = defaultCapSchema.extend({ id: z.guid(), user_id: z.guid() }).openapi('Cap')

export function defaultCapView(row: DefaultCapRow) {
  const { cap_type, limit_requests, limit_tokens, limit_cost_nano_usd, on_exceed, is_active } = row
  return {
    cap_type,
    limits: limitsView({ requests: limit_requests, tokens: limit_tokens, cost: limit_cost_nano_usd }),
    on_exceed,
    is_active,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

export function capView(row: CapRow) {
  return { id: row.id, user_id: row.user_id, ...defaultCapView(row) }
}
