// Migrations up, down and their status. No I/O of its own: the files and the database come in as arguments. Each
// migration and its row in `tollgate_migrations` are one transaction, so that one that fails leaves nothing behind.

import { sqlState } from './client.ts'

/** One step, as `migrations/<name>.sql` and `<name>.down.sql` hold it. */
export interface Migration {
  /** Sorts by its number: `0000_tollgate`. */
  name: string
  up: string
  down: string
}

export interface Statement {
  text: string
  params?: string[]
}

export interface MigrationDatabase {
  query(statement: Statement): Promise<Record<string, unknown>[]>
  /** All of it or nothing. */
  transaction(statements: Statement[]): Promise<void>
}

export interface MigrationStatus {
  name: string
  /** ISO 8601; null where it is not applied yet. */
  applied_at: string | null
}

export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

const BREAKPOINT = '--> statement-breakpoint'
// Any constant will do, as long as everybody who migrates uses the same one.
const LOCK: Statement = { text: 'select pg_advisory_xact_lock(7450317)' }
const CREATE_TABLE: Statement = {
  text: `create table if not exists tollgate_migrations (
    name text primary key, checksum text not null, applied_at timestamptz(3) not null default now())`,
}
/** Where it would be made. */
const FIND_TABLE: Statement = {
  text: `select to_regclass(quote_ident(current_schema()) || '.tollgate_migrations')::text as name`,
}
const LIST_APPLIED: Statement = {
  text: `select name, checksum, to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as applied_at
    from tollgate_migrations order by name`,
}

/**
 * Applies what is not applied yet, in order.
 * @returns the names of what this run applied.
 * @throws {MigrationError} where what was applied is not what is here; with the database's error where a migration fails.
 */
export async function up(database: MigrationDatabase, migrations: Migration[]): Promise<string[]> {
  const done: string[] = []
  const applied = await listChecked(database, migrations)
  if (applied.size === 0) await prepare(database)
  for (const [index, migration] of migrations.entries()) {
    if (index < applied.size) continue
    const { name } = migration
    const claim = {
      text: 'insert into tollgate_migrations (name, checksum) values ($1, $2)',
      params: [name, await checksum(migration)],
    }
    const isDone = () => isApplied(database, name)
    if (await attempt(database, name, index, [claim, ...statementsOf(migration.up)], isDone)) done.push(name)
  }
  return done
}

/**
 * Takes back the newest `steps` migrations.
 * @returns the names of what this run took back, newest first.
 * @throws as `up` does.
 */
export async function down(database: MigrationDatabase, migrations: Migration[], steps: number): Promise<string[]> {
  const done: string[] = []
  const applied = await listChecked(database, migrations)
  const back = [...migrations.entries()].slice(0, applied.size).reverse().slice(0, steps)
  for (const [index, { name, down: script }] of back) {
    const unclaim = { text: 'delete from tollgate_migrations where name = $1', params: [name] }
    const isDone = async () => !(await isApplied(database, name))
    if (await attempt(database, name, index + 1, [unclaim, ...statementsOf(script)], isDone)) done.push(name)
  }
  return done
}

/**
 * Every migration and when it was applied, in order.
 * @throws {MigrationError} where what was applied is not what is here.
 */
export async function status(database: MigrationDatabase, migrations: Migration[]): Promise<MigrationStatus[]> {
  const applied = await listChecked(database, migrations)
  return migrations.map(({ name }) => ({ name, applied_at: applied.get(name)?.applied_at ?? null }))
}

/** Encodings that store every character. SQL_ASCII keeps bytes as they come. */
const WHOLE_ENCODINGS = ['UTF8', 'SQL_ASCII']

async function prepare(database: MigrationDatabase): Promise<void> {
  // Racing runs of "create if not exists" fail, hence the lock.
  await database.transaction([LOCK, CREATE_TABLE]).catch((cause) => {
    throw new MigrationError(cause instanceof Error ? cause.message : String(cause), { cause })
  })
  await refuseEncoding(database)
}

/** @throws {MigrationError} where Postgres cannot store some characters: it would refuse events that have them, for good. */
async function refuseEncoding(database: MigrationDatabase): Promise<void> {
  const [row] = await database.query({ text: 'show server_encoding' })
  const encoding = String(row?.server_encoding)
  if (WHOLE_ENCODINGS.includes(encoding)) return
  throw new MigrationError(
    `The database stores text as ${encoding}, which cannot store every character: calls with others would not be recorded. Create a database with encoding 'UTF8'.`,
  )
}

/** What was applied: the first of `migrations`, as they are here. */
async function listChecked(database: MigrationDatabase, migrations: Migration[]): Promise<Map<string, Applied>> {
  const applied = await listApplied(database)
  for (const [index, [name, row]] of [...applied].entries()) {
    const migration = migrations.find((one) => one.name === name)
    if (!migration)
      throw new MigrationError(
        `The database has ${name}, which is not here: it belongs to another version of Tollgate. Undo it with that version: npm run migrate -- down.`,
      )
    if (migration !== migrations[index])
      throw new MigrationError(`${name} was applied, but ${migrations[index]?.name} before it was not.`)
    if (row.checksum !== (await checksum(migration)))
      throw new MigrationError(
        `${name} has changed since it was applied. Write a new migration instead; if you have changed nothing, undo it with the version of Tollgate that applied it: npm run migrate -- down.`,
      )
  }
  return applied
}

/**
 * Only while `applied` migrations are: a racing run may have done the same, or gone the other way and left no place for this
 * one. False where another has done it. The error names the migration: those before it are done.
 */
async function attempt(
  database: MigrationDatabase,
  name: string,
  applied: number,
  statements: Statement[],
  isDone: () => Promise<boolean>,
): Promise<boolean> {
  // Divides by zero where another number of them is.
  const text = 'select 1 / (count(*) = $1)::int from tollgate_migrations'
  const isStill = { text, params: [String(applied)] }
  try {
    await database.transaction([LOCK, isStill, ...statements])
    return true
  } catch (error) {
    // By another run, as Postgres says of this one; or by this one, whose answer was lost.
    if (await isDone()) return sqlState(error) === null
    if ((await database.query(LIST_APPLIED)).length !== applied)
      throw new MigrationError(
        `${name}: another run went the other way meanwhile. Run this again if it still should be.`,
      )
    throw new MigrationError(`${name}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

interface Applied {
  checksum: string
  applied_at: string
}

async function listApplied(database: MigrationDatabase): Promise<Map<string, Applied>> {
  const [table] = await database.query(FIND_TABLE)
  if (!table?.name) return new Map()
  const rows = await database.query(LIST_APPLIED)
  return new Map(
    rows.map((row) => [String(row.name), { checksum: String(row.checksum), applied_at: String(row.applied_at) }]),
  )
}

async function isApplied(database: MigrationDatabase, name: string): Promise<boolean> {
  const rows = await database.query({ text: 'select 1 from tollgate_migrations where name = $1', params: [name] })
  return rows.length > 0
}

function statementsOf(script: string): Statement[] {
  return script
    .split(BREAKPOINT)
    .map((text) => ({ text: text.trim() }))
    .filter(({ text }) => text !== '')
}

/** Covers the way up, whatever line ends a checkout gave it. */
async function checksum({ up: script }: Migration): Promise<string> {
  const bytes = new TextEncoder().encode(script.replaceAll('\r\n', '\n'))
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
