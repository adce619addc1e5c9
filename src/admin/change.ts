// The story of every change of a user: commit, then bring into force, then answer.

import type { GatewayFault } from '../fault.ts'
import { missingUser } from '../postgres/users.ts'
import { conflict, notFound } from '../rest/app.ts'
import { changeInForce, type Deps, pushSnapshot } from '../rest/in-force.ts'

/**
 * Runs a change that begins with `bumpVersion` and returns its result once the ledger has it.
 * @throws {GatewayFault} `not_found` and `conflict` (a deleted user), `not_yet_in_force`, and what `refusalOf` makes of
 * the database's error.
 */
export async function changeAndPush<T>(
  deps: Deps,
  userId: string,
  change: () => Promise<T>,
  refusalOf: (error: unknown) => GatewayFault | null = () => null,
): Promise<T> {
  return changeInForce(
    change,
    (error) => refusalOfMissing(error) ?? refusalOf(error),
    () => pushSnapshot(deps, userId),
  )
}

function refusalOfMissing(error: unknown): GatewayFault | null {
  switch (missingUser(error)) {
    case 'unknown':
      return notFound('user')
    case 'deleted':
      return conflict('The user is deleted.')
    case null:
      return null
  }
}
