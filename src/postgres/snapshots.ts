// What a ledger must know of its user: read in one statement, so that all of it is of one moment, and brought to the ledger.

import { sql } from 'drizzle-orm'
import type { LedgerRpc, Snapshot } from '../../durable-objects/ledger/types.ts'
import type { Database } from './client.ts'
import { isActive } from './keys.ts'

interface SnapshotRow extends Record<string, unknown>, Omit<Snapshot, 'version'> {
  /** The driver reads a bigint as text. */
  version: string
}

const selectSnapshot = (userId: string) => sql`
  select version, status, time_zone,
    coalesce((
      select json_agg(json_build_object('id', id, 'cap_type', cap_type, 'on_exceed', on_exceed, 'limits', json_strip_nulls(
        json_build_object('requests', limit_requests, 'tokens', limit_tokens, 'cost', limit_cost_nano_usd))) order by cap_type)
      from caps where user_id = users.id and is_active
    ), '[]') as caps,
    coalesce((
      select json_agg(json_build_object('id', id, 'scopes', scopes,
        'expires_at', (extract(epoch from least(expires_at, revoked_at)) * 1000)::bigint) order by id)
      from api_keys
      where user_id = users.id and ${isActive}
    ), '[]') as keys
  from users where id = ${userId}`

/** Null: there is no such user. A deleted one has a snapshot with that status and no keys. */
export async function loadSnapshot(db: Database, userId: string): Promise<Snapshot | null> {
  const { rows } = await db.execute<SnapshotRow>(selectSnapshot(userId))
  const [row] = rows
  return row ? { ...row, version: Number(row.version) } : null
}

/**
 * Gives a ledger what Postgres holds of its user, and returns that. Null where there is no such user: then the ledger gets
 * nothing. Postgres is right even where it went back to an older state (a restored backup): the user's version is then
 * raised above the one that the ledger has.
 */
export async function bringIntoForce(
  db: Database,
  userId: string,
  ledger: Pick<LedgerRpc, 'configure'>,
): Promise<Snapshot | null> {
  const snapshot = await loadSnapshot(db, userId)
  if (!snapshot) return null
  const version = await ledger.configure(snapshot)
  if (version === snapshot.version) return snapshot
  // Unless another change was faster: then the version is already as high, and stays.
  await db.execute(sql`update users set version = ${version + 1} where id = ${userId} and version < ${version}`)
  const newer = await loadSnapshot(db, userId)
  // A ledger that has a still newer one keeps it, and with it all that is in this one.
  if (newer) await ledger.configure(newer)
  return newer
}
