// Runs the migrations in `migrations/` over the same driver that the worker uses. Reads files.

import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import * as http from 'node:http'
import * as https from 'node:https'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { down, type Migration, type MigrationDatabase, type MigrationStatus, status, up } from '../postgres/migrate.ts'
import { type DatabaseConfig, openSql, type Via } from '../postgres/sql.ts'

const FOLDER = fileURLToPath(new URL('../../migrations', import.meta.url).href)
/** To index many events takes long. A migration that times out leaves nothing behind. */
const TIMEOUT_MS = 60 * 60_000

/** @returns the names of what was applied. @throws as `up` in src/postgres/migrate.ts does. */
export async function migrateUp(config: DatabaseConfig): Promise<string[]> {
  return up(openMigrationDatabase(config), await readMigrations())
}

/** @returns the names of what was taken back, newest first. @throws as `down` in src/postgres/migrate.ts does. */
export async function migrateDown(config: DatabaseConfig, steps: number): Promise<string[]> {
  return down(openMigrationDatabase(config), await readMigrations(), steps)
}

export async function migrationStatus(config: DatabaseConfig): Promise<MigrationStatus[]> {
  return status(openMigrationDatabase(config), await readMigrations())
}

/** In order. @throws where a migration has no way back. */
export async function readMigrations(): Promise<Migration[]> {
  const names = (await readdir(FOLDER))
    .filter((file) => /^\d{4}_\w+\.sql$/.test(file))
    .map((file) => file.slice(0, -'.sql'.length))
    .sort()
  const read = (file: string) => readFile(`${FOLDER}/${file}`, 'utf8')
  return Promise.all(
    names.map(async (name) => ({ name, up: await read(`${name}.sql`), down: await read(`${name}.down.sql`) })),
  )
}

export function openMigrationDatabase(config: DatabaseConfig): MigrationDatabase {
  const sql = openSql(config, TIMEOUT_MS, post)
  return {
    query: ({ text, params = [] }) => sql.query(text, params),
    transaction: async (statements) => {
      await sql.transaction(statements.map(({ text, params = [] }) => sql.query(text, params)))
    },
  }
}

/** Node's own `fetch` gives up on an answer after five minutes, whatever the signal says. */
const post: Via = async (url, { method = 'POST', headers, body, signal }) => {
  const { request } = url.startsWith('https:') ? https : http
  const asked = request(url, { method, headers: { ...headers }, ...(signal && { signal }) })
  asked.end(body)
  const [answer] = await once(asked, 'response')
  return new Response(await text(answer), { status: answer.statusCode })
}
