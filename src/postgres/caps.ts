// Caps in Postgres: those of users, and the default ones. Each change of a user's caps bumps the user's version in the same
// transaction.

import { and, asc, eq, sql } from 'drizzle-orm'
import type { Cap, CapType } from '../../durable-objects/ledger/types.ts'
import { type Database, violatedConstraint } from './client.ts'
import { type CapRow, caps, type DefaultCapRow, defaultCaps } from './schema.ts'
import { bumpVersion, undoUnless, unlessUndone } from './users.ts'

/** What is undefined stays as it is (or is not limited, in a new cap); null takes a limit away. */
export interface CapSettings {
  limit_requests?: number | null | undefined
  limit_tokens?: number | null | undefined
  limit_cost_nano_usd?: number | null | undefined
  on_exceed?: Cap['on_exceed'] | undefined
  is_active?: boolean | undefined
}

/** Whether a change failed because the user has a cap of this type already. */
export const isSecondCap = (error: unknown) => violatedConstraint(error) === 'caps_user_cap_type'

/** Whether a change failed because it would leave a cap without any limit. */
export const isUnlimitedCap = (error: unknown) => violatedConstraint(error) === 'caps_limited'

const isCap = (userId: string, id: string) => and(eq(caps.user_id, userId), eq(caps.id, id))

/** @throws what `missingUser` and `isSecondCap` know. */
export async function createCap(
  db: Database,
  cap: CapSettings & { id: string; user_id: string; cap_type: CapType },
): Promise<CapRow | null> {
  const [, rows] = await db.batch([bumpVersion(db, cap.user_id), db.insert(caps).values(cap).returning()])
  return rows[0] ?? null
}

/** At most one for each type. */
export async function listCaps(db: Database, userId: string): Promise<CapRow[]> {
  return db.select().from(caps).where(eq(caps.user_id, userId)).orderBy(asc(caps.created_at), asc(caps.id))
}

export async function findCap(db: Database, userId: string, id: string): Promise<CapRow | null> {
  const [row] = await db.select().from(caps).where(isCap(userId, id))
  return row ?? null
}

/** Null: the user has no such cap. @throws what `missingUser` and `isUnlimitedCap` know. */
export async function changeCap(db: Database, userId: string, id: string, change: CapSettings): Promise<CapRow | null> {
  const done = await unlessUndone(
    db.batch([
      bumpVersion(db, userId),
      undoUnless(db, caps, isCap(userId, id)),
      db
        .update(caps)
        .set({ ...change, updated_at: sql`now()` })
        .where(isCap(userId, id))
        .returning(),
    ]),
  )
  return done?.[2][0] ?? null
}

/** False: the user has no such cap. @throws what `missingUser` knows. */
export async function deleteCap(db: Database, userId: string, id: string): Promise<boolean> {
  const isThere = undoUnless(db, caps, isCap(userId, id))
  const done = await unlessUndone(
    db.batch([bumpVersion(db, userId), isThere, db.delete(caps).where(isCap(userId, id))]),
  )
  return done !== null
}

export async function listDefaultCaps(db: Database): Promise<DefaultCapRow[]> {
  return db.select().from(defaultCaps).orderBy(asc(defaultCaps.cap_type))
}

/** Replaces the whole default cap of this type. Existing users keep their caps. */
export async function putDefaultCap(
  db: Database,
  cap: CapSettings & { cap_type: CapType },
): Promise<DefaultCapRow | null> {
  const { cap_type, limit_requests = null, limit_tokens = null, limit_cost_nano_usd = null, on_exceed, is_active } = cap
  const settings = { limit_requests, limit_tokens, limit_cost_nano_usd, on_exceed, is_active }
  const [row] = await db
    .insert(defaultCaps)
    .values({ cap_type, ...settings })
    .onConflictDoUpdate({ target: defaultCaps.cap_type, set: { ...settings, updated_at: sql`now()` } })
    .returning()
  return row ?? null
}

/** False: there is none of this type. */
export async function deleteDefaultCap(db: Database, capType: CapType): Promise<boolean> {
  const rows = await db
    .delete(defaultCaps)
    .where(eq(defaultCaps.cap_type, capType))
    .returning({ cap_type: defaultCaps.cap_type })
  return rows.length > 0
}
