// What a ledger must know of its user, read in one statement and so of one moment, and how it comes to know it.

import { sql } from 'drizzle-orm'
import type { ActiveKey, CapType, LedgerRpc, Snapshot } from '../../durable-objects/ledger/types.ts'
import type { Database } from './client.ts'

interface CapJson {
  id: string
  cap_type: CapType
  on_exceed: 'clamp' | 'refuse'
  requests: number | null
  tokens: number | null
  cost: number | null
}

interface SnapshotRow extends Record<string, unknown> {
  version: string
  status: Snapshot['status']
  time_zone: string
  caps: CapJson[]
  keys: ActiveKey[]
}

const selectSnapshot = (userId: string) => sql`
  select version, status, time_zone,
    coalesce((
      select json_agg(json_build_object('id', id, 'cap_type', cap_type, 'on_exceed', on_exceed, 'requests', limit_requests,
        'tokens', limit_tokens, 'cost', limit_cost_nano_usd) order by cap_type)
      from caps where user_id = users.id and is_active
    ), '[]') as caps,
    coalesce((
      select json_agg(json_build_object('id', id, 'scopes', scopes,
        'expires_at', (extract(epoch from least(expires_at, revoked_at)) * 1000)::bigint) order by id)
      from api_keys
      where user_id = users.id and (expires_at is null or expires_at > now()) and (revoked_at is null or revoked_at > now())
    ), '[]') as keys
  from users where id = ${userId}`

/** Null: there is no such user. A deleted one has a snapshot with that status and no keys. */
export async function loadSnapshot(db: Database, userId: string): Promise<Snapshot | null> {
  const { rows } = await db.execute<SnapshotRow>(selectSnapshot(userId))
  const [row] = rows
  if (!row) return null
  return {
    version: Number(row.version),
    status: row.status,
    time_zone: row.time_zone,
    caps: row.caps.map(({ id, cap_type, on_exceed, requests, tokens, cost }) => ({
      id,
      cap_type,
      on_exceed,
      limits: {
        ...(requests !== null && { requests }),
        ...(tokens !== null && { tokens }),
        ...(cost !== null && { cost }),
      },
    })),
    keys: row.keys,
  }
}

/**
 * Tells a ledger what Postgres holds of its user, and returns it: null where that is nothing, which the ledger takes too.
 * Postgres is right also where it has gone back to an older state (a restored backup): the user's version is then raised
 * above the one that the ledger has.
 */
export async function bringIntoForce(
  db: Database,
  userId: string,
  ledger: Pick<LedgerRpc, 'configure'>,
): Promise<Snapshot | null> {
  const told = await tell(db, userId, ledger)
  if (!told.is_behind) return told.snapshot
  // Or another change was faster: then the version is as high as the ledger's already, and stays.
  await db.execute(
    sql`update users set version = ${told.version + 1} where id = ${userId} and version < ${told.version}`,
  )
  const again = await tell(db, userId, ledger)
  if (again.is_behind) throw new Error(`the ledger has a newer snapshot, of version ${again.version}`)
  return again.snapshot
}

async function tell(db: Database, userId: string, ledger: Pick<LedgerRpc, 'configure'>) {
  const snapshot = await loadSnapshot(db, userId)
  const version = await ledger.configure(snapshot)
  return { snapshot, version, is_behind: snapshot !== null && snapshot.version < version }
}
