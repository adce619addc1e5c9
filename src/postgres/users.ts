// Users in Postgres. Whatever a ledger must know changes in one transaction with `users.version`.

import { and, desc, eq, type SQL, sql } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { type Database, sqlState } from './client.ts'
import { isAfter, type Page, type PageRequest, pageOf } from './pages.ts'
import { apiKeys, type UserRow, users } from './schema.ts'

/** First statement of each batch that changes what a ledger must know; fails the batch for a reason in `missingUser`. */
export const bumpVersion = (db: Database, userId: string) => db.execute(sql`select bump_user_version(${userId}::uuid)`)

/** Why `bumpVersion` undid a batch; null where it was something else. */
export function missingUser(error: unknown): 'unknown' | 'deleted' | null {
  const state = sqlState(error)
  if (state === 'TG404') return 'unknown'
  return state === 'TG409' ? 'deleted' : null
}

/** A statement of such a batch that undoes it, by dividing by zero, where there is no such row. */
export const undoUnless = (db: Database, table: PgTable, isThere: SQL | undefined) =>
  db.execute(sql`select 1 / exists (select from ${table} where ${isThere})::int`)

/** Null where `undoUnless` has undone the batch. */
export async function unlessUndone<T>(batch: Promise<T>): Promise<T | null> {
  return batch.catch((error) => {
    if (sqlState(error) === '22012') return null
    throw error
  })
}

const copyDefaultCaps = sql`
  insert into caps (user_id, cap_type, limit_requests, limit_tokens, limit_cost_nano_usd, on_exceed, is_active)
  select created.id, cap_type, limit_requests, limit_tokens, limit_cost_nano_usd, on_exceed, is_active
  from created, default_caps`

export interface NewUser {
  id: string
  name: string
  email: string | null
  time_zone: string
}

/** With the default caps. */
export async function createUser(db: Database, user: NewUser): Promise<UserRow | null> {
  const [rows] = await db.batch([
    db.insert(users).values(user).returning(),
    db.execute(sql`with created as (select ${user.id}::uuid as id) ${copyDefaultCaps}`),
  ])
  return rows[0] ?? null
}

export interface Identity {
  id: string
  issuer: string
  subject: string
  name: string
}

/** With the default caps, unless the user is there already: then it changes nothing. */
export async function provisionUser(db: Database, { id, issuer, subject, name }: Identity): Promise<void> {
  await db.execute(sql`
    with created as (
      insert into users (id, name, issuer, subject) values (${id}, ${name}, ${issuer}, ${subject})
      on conflict do nothing returning id
    ) ${copyDefaultCaps}`)
}

export async function findUser(db: Database, id: string): Promise<UserRow | null> {
  const [row] = await db.select().from(users).where(eq(users.id, id))
  return row ?? null
}

/** All that are set must hold. */
export interface UserFilter {
  status?: UserRow['status'] | undefined
  /** In upper or lower case. */
  email?: string | undefined
  /** The `sub` of the user's JWTs. */
  subject?: string | undefined
}

/** Newest first. */
export async function listUsers(
  db: Database,
  page: PageRequest,
  { status, email, subject }: UserFilter,
): Promise<Page<UserRow>> {
  const rows = await db
    .select()
    .from(users)
    .where(
      and(
        status && eq(users.status, status),
        email === undefined ? undefined : sql`lower(${users.email}) = lower(${email})`,
        subject === undefined ? undefined : eq(users.subject, subject),
        isAfter(users.created_at, users.id, page),
      ),
    )
    .orderBy(desc(users.created_at), desc(users.id))
    .limit(page.limit + 1)
  return pageOf(rows, page.limit, (row) => row.created_at)
}

export interface UserChange {
  name?: string | undefined
  email?: string | null | undefined
  time_zone?: string | undefined
  status?: 'active' | 'suspended'
}

/** @throws what `missingUser` knows. */
export async function changeUser(db: Database, id: string, change: UserChange): Promise<UserRow | null> {
  const [, rows] = await db.batch([
    bumpVersion(db, id),
    db
      .update(users)
      .set({ ...change, updated_at: sql`now()` })
      .where(eq(users.id, id))
      .returning(),
  ])
  return rows[0] ?? null
}

/** Ends the user and all keys; caps and events stay. Repeating it changes nothing. False: there is no such user. */
export async function deleteUser(db: Database, id: string): Promise<boolean> {
  const [deleted] = await db.batch([
    db
      .update(users)
      .set({
        status: 'deleted',
        version: sql`version + (status <> 'deleted')::int`,
        updated_at: sql`case when status = 'deleted' then updated_at else now() end`,
      })
      .where(eq(users.id, id))
      .returning({ id: users.id }),
    db.update(apiKeys).set({ revoked_at: sql`least(revoked_at, now())` }).where(eq(apiKeys.user_id, id)),
  ])
  return deleted.length > 0
}
