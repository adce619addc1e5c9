// API keys in Postgres. Each change bumps the user's version in the same transaction.

import { and, desc, eq, sql } from 'drizzle-orm'
import type { KeyScope } from '../../durable-objects/ledger/types.ts'
import type { Database } from './client.ts'
import { isAfter, type Page, type PageRequest, pageOf } from './pages.ts'
import { type ApiKeyRow, apiKeys } from './schema.ts'
import { bumpVersion, undoUnless, unlessUndone } from './users.ts'

/** For rows of `api_keys`. Not `now()`, the transaction's start: it may have waited since for another that ended a key. */
export const isActive = sql`coalesce(least(expires_at, revoked_at) > statement_timestamp(), true)`

const isKey = (userId: string, id: string) => and(eq(apiKeys.user_id, userId), eq(apiKeys.id, id))

/** Most active keys of one user: all of them are in the snapshot that the user's ledger keeps. */
export const MOST_ACTIVE_KEYS = 100

export interface NewKey {
  id: string
  user_id: string
  name: string
  last_four: string
  scopes: KeyScope[]
  expires_at: Date | null
}

/**
 * Inserts nothing where the user has the most active keys allowed (one that ends now does not count), or where the key to
 * replace was already revoked or replaced. The columns are in the table's order. After `bumpVersion`, which waits for racing
 * batches, a statement sees what they have done.
 */
function insertKey(db: Database, key: NewKey, replaced: { id: string; ends_now: boolean } | null) {
  const replacedId = replaced?.id ?? null
  const endingId = replaced?.ends_now ? replaced.id : null
  return db
    .insert(apiKeys)
    .select(
      sql`select ${key.id}::uuid, ${key.user_id}::uuid, ${key.name}::text, ${key.last_four}::text,
        array(select json_array_elements_text(${JSON.stringify(key.scopes)}::json)),
        ${key.expires_at?.toISOString() ?? null}::timestamptz, null::timestamptz, now()
      where ${MOST_ACTIVE_KEYS} > (
        select count(*) from api_keys where user_id = ${key.user_id}::uuid and id is distinct from ${endingId}::uuid
          and ${isActive}
      ) and (${replacedId}::uuid is null or exists (
        select from api_keys where user_id = ${key.user_id}::uuid and id = ${replacedId}::uuid and revoked_at is null
      ))`,
    )
    .returning()
}

/** Null: the user has the most active keys allowed. @throws what `missingUser` knows. */
export async function createKey(db: Database, key: NewKey): Promise<ApiKeyRow | null> {
  const isMade = undoUnless(db, apiKeys, eq(apiKeys.id, key.id))
  const done = await unlessUndone(db.batch([bumpVersion(db, key.user_id), insertKey(db, key, null), isMade]))
  return done?.[1][0] ?? null
}

export async function findKey(db: Database, userId: string, id: string): Promise<ApiKeyRow | null> {
  const [row] = await db.select().from(apiKeys).where(isKey(userId, id))
  return row ?? null
}

export async function listKeys(db: Database, userId: string, page: PageRequest): Promise<Page<ApiKeyRow>> {
  const rows = await db
    .select()
    .from(apiKeys)
    .where(and(eq(apiKeys.user_id, userId), isAfter(apiKeys.created_at, apiKeys.id, page)))
    .orderBy(desc(apiKeys.created_at), desc(apiKeys.id))
    .limit(page.limit + 1)
  return pageOf(rows, page.limit, (row) => row.created_at)
}

/** Repeating it changes nothing. False: the user has no such key. @throws what `missingUser` knows. */
export async function revokeKey(db: Database, userId: string, id: string): Promise<boolean> {
  const done = await unlessUndone(
    db.batch([
      bumpVersion(db, userId),
      undoUnless(db, apiKeys, isKey(userId, id)),
      db.update(apiKeys).set({ revoked_at: sql`least(revoked_at, now())` }).where(isKey(userId, id)),
    ]),
  )
  return done !== null
}

/**
 * Makes `successor` and ends the key `id` after `grace_seconds`. Null, with no key changed: `id` was already revoked or
 * replaced, or the user has the most active keys allowed. @throws what `missingUser` knows.
 */
export async function rotateKey(
  db: Database,
  id: string,
  successor: NewKey,
  grace_seconds: number,
): Promise<ApiKeyRow | null> {
  const done = await unlessUndone(
    db.batch([
      bumpVersion(db, successor.user_id),
      insertKey(db, successor, { id, ends_now: grace_seconds === 0 }),
      // There is a successor only where the key is the user's.
      undoUnless(db, apiKeys, eq(apiKeys.id, successor.id)),
      db
        .update(apiKeys)
        .set({ revoked_at: sql`now() + make_interval(secs => ${grace_seconds})` })
        .where(eq(apiKeys.id, id)),
    ]),
  )
  return done?.[1][0] ?? null
}
