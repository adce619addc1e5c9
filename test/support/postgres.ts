// A migrated Postgres of its own for a test file, behind Neon's HTTP protocol: PGlite in memory, or a fresh database on
// the server that TEST_DATABASE_URL names.

import { openAsBlob } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { type LocalDatabase, openDatabase as openLocalDatabase } from '../../src/local/database.ts'
import { migrateUp, readMigrations } from '../../src/local/migrations.ts'
import { type NeonHttpServer, serveNeonHttp } from '../../src/local/neon-http.ts'
import { type Database, openDatabase } from '../../src/postgres/client.ts'
import { type Statement, up } from '../../src/postgres/migrate.ts'

export interface TestDatabase {
  databaseUrl: string
  databaseHttpUrl: string
  /** As the worker sees it. */
  db: Database
  /** The database behind the HTTP server, to look into it while that is down. */
  database: LocalDatabase
  server: NeonHttpServer
  close(): Promise<void>
}

export async function openTestDatabase(): Promise<TestDatabase> {
  const serverUrl = process.env.TEST_DATABASE_URL
  const fresh = serverUrl ? await createDatabase(serverUrl) : null
  const database = await openLocalDatabase(fresh ? { url: fresh.url } : await migratedDump())
  const server = await serveNeonHttp(database, { port: 0 })
  const config = { DATABASE_URL: server.databaseUrl, DATABASE_HTTP_URL: server.url }
  await migrateUp(config)
  return {
    databaseUrl: server.databaseUrl,
    databaseHttpUrl: server.url,
    db: openDatabase(config),
    database,
    server,
    close: async () => {
      await server.close()
      await database.close()
      await fresh?.drop()
    },
  }
}

/** For vitest's global setup: to make a new PGlite and migrate it takes several times as long as to load one. */
export async function dumpMigratedDatabase(file: string): Promise<void> {
  const database = await PGlite.create()
  const query = async ({ text, params }: Statement) =>
    (await database.query<Record<string, unknown>>(text, params)).rows
  const transaction = (statements: Statement[]) =>
    database.transaction(async (session) => {
      for (const { text, params } of statements) await session.query(text, params)
    })
  await up({ query, transaction }, await readMigrations())
  // More than half of the files, which every load would copy; nobody makes a database from them.
  for (const query of [
    'update pg_database set datistemplate = false',
    'drop database template0',
    'drop database template1',
  ])
    await database.exec(query)
  const dump = await database.dumpDataDir('none')
  await writeFile(file, Buffer.from(await dump.arrayBuffer()))
  await database.close()
  process.env.TEST_MIGRATED_DATABASE = file
}

async function migratedDump(): Promise<{ dump?: Blob }> {
  const file = process.env.TEST_MIGRATED_DATABASE
  return file ? { dump: await openAsBlob(file) } : {}
}

/** A database of its own on this server. */
export async function createDatabase(serverUrl: string): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `tollgate_test_${crypto.randomUUID().replaceAll('-', '')}`
  await runOn(serverUrl, `create database ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => runOn(serverUrl, `drop database ${name} with (force)`) }
}

async function runOn(serverUrl: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
