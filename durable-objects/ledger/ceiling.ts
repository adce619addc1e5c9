// How far ahead a busy ledger raises its ceiling. Pure arithmetic.

import { COMPONENTS, larger, minus, plus } from './amounts.ts'
import type { Limit } from './decide.ts'
import { partOf } from './standing.ts'
import type { Amount } from './types.ts'

/** This many more holds like the last one: a ledger with 64 calls in flight writes its ceiling four times. */
const MOST_AHEAD = 15
/** A crash blocks at most this share of what is left under any cap. Where a cap is nearly used up, holds are written. */
const SHARE_OF_ROOM = 1 / 16

/**
 * The ceiling that lets more holds like `hold` be in memory alone; null where there is no room for one.
 *
 * @param unwritten what is in memory alone, which this hold is not
 * @param limits with this hold counted
 */
export function raisedCeiling(ceiling: Amount, unwritten: Amount, hold: Amount, limits: Limit[]): Amount | null {
  let ahead = MOST_AHEAD
  const atMost = (room: number, part: number) => {
    if (part > 0) ahead = Math.min(ahead, Math.floor(room / part))
  }
  for (const limit of limits) atMost(roomUnder(limit), partOf(hold, limit.limit_type))
  for (const part of COMPONENTS) atMost(Number.MAX_SAFE_INTEGER - unwritten[part], hold[part])
  if (ahead < 1) return null

  const raised = plus(unwritten, hold, ahead)
  // Otherwise calls of different kinds would lower each other's part again and again.
  const highest = larger(ceiling, raised)
  const more = minus(highest, unwritten)
  return limits.every((limit) => partOf(more, limit.limit_type) <= roomUnder(limit)) ? highest : raised
}

const roomUnder = ({ limit, current_usage }: Limit) => (limit - current_usage) * SHARE_OF_ROOM
