// What an old ledger has in its storage: a month of usage, and the calls of others. Put there by SQL, as it is much.

import type { NodeSql } from '../../support/node-sql.ts'

export const START = Date.UTC(2026, 2, 28, 22, 50)
export const QUARTER_MS = 15 * 60 * 1_000
/** More than a ledger keeps apart. */
const QUARTERS = 3_200
export const HISTORY_ENDS = Math.floor(START / QUARTER_MS) * QUARTER_MS
export const HISTORY_STARTS = HISTORY_ENDS - QUARTERS * QUARTER_MS
/** As many ended calls as a ledger remembers whatever the clock says. */
const OTHERS = 1_000

const NUMBERS = 'with recursive numbers (n) as (select 0 union all select n + 1 from numbers where n + 1 < ?)'

/** One of everything each quarter of an hour (of tokens: one of input). */
export function writeHistory(sql: NodeSql): void {
  const INSERT = `
    insert into usage_buckets (bucket, requests, input_tokens, output_tokens, cost_nano_usd, refused)
    ${NUMBERS} select ? + n * ?, 1, 1, 0, 1, 1 from numbers`
  sql.peek(INSERT, QUARTERS, HISTORY_STARTS, QUARTER_MS)
}

/** So many other calls come and end, at no cost, that the ledger may forget those of before. */
export function endOthers(sql: NodeSql, now: number): void {
  const INSERT = `
    insert into reservations (request_id, reserved_at, expires_at, requests, input_tokens, output_tokens, cost_nano_usd,
      clamped, outcome, ended_at)
    ${NUMBERS} select 'other-' || hex(randomblob(8)), ?, ?, 0, 0, 0, 0, 0, 'released', ? from numbers`
  sql.peek(INSERT, OTHERS, now, now, now)
}
