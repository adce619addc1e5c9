// `npm run migrate` [-- up | down [n] --force | status]: migrates the Postgres of DATABASE_URL, over HTTP where it is Neon's
// (or DATABASE_HTTP_URL is set), else as any Postgres server.

import { env, exit } from 'node:process'
import { isNeonUrl } from '../postgres/connection-string.ts'
import { MigrationError } from '../postgres/migrate.ts'
import type { DatabaseConfig } from '../postgres/sql.ts'
import { readArguments, refuseArguments, wholeNumber } from './arguments.ts'
import { openAnsweringDatabase } from './database.ts'
import { requirePostgresUrl } from './database-url.ts'
import { migrateDown, migrateUp, migrationStatus, readMigrations } from './migrations.ts'
import { serveNeonHttp } from './neon-http.ts'

const USAGE =
  'Usage: npm run migrate [-- up | status | down [number of migrations, 1 by default] --force (drops their data)]'

try {
  for (const line of await run()) console.log(line)
} catch (error) {
  console.error(explain(error))
  exit(1)
}

async function run(): Promise<string[]> {
  const { values, positionals } = readArguments(USAGE, {
    options: { force: { type: 'boolean', default: false } },
    allowPositionals: true,
  })
  const [command = 'up', ...rest] = positionals
  if (command === 'down') {
    const steps = wholeNumber(USAGE, 'down', rest.shift() ?? '1', 1)
    if (rest.length > 0) refuseArguments(USAGE, `Unexpected argument '${rest[0]}'`)
    return withDatabase((config) => takeBack(config, steps, values.force))
  }
  if (rest.length > 0) refuseArguments(USAGE, `Unexpected argument '${rest[0]}'`)
  if (values.force) refuseArguments(USAGE, '--force is for down alone')
  if (command === 'up') return withDatabase(async (config) => report('Applied', await migrateUp(config)))
  if (command === 'status')
    return (await withDatabase(migrationStatus)).map(
      ({ name, applied_at }) => `${name}  ${applied_at ? `applied ${applied_at}` : 'to come'}`,
    )
  return refuseArguments(USAGE, `There is no "${command}"`)
}

async function takeBack(config: DatabaseConfig, steps: number, force: boolean): Promise<string[]> {
  const applied = (await migrationStatus(config)).filter(({ applied_at }) => applied_at !== null).length
  if (steps > applied)
    throw new Error(`down ${steps} is too many: migrations applied here: ${applied}. Nothing has changed.`)
  if (!force) {
    const back = (await readMigrations()).slice(0, applied).reverse().slice(0, steps)
    const sql = back.map(({ down }) => down.replaceAll('--> statement-breakpoint', '').trim().replaceAll(/^/gm, '  '))
    throw new Error(`Taking back ${back.map(({ name }) => name).join(', ')} loses for good what this drops, with all data in it:
${sql.join('\n')}
Nothing has changed yet; if you mean it: npm run migrate -- down ${steps} --force`)
  }
  return report('Took back', await migrateDown(config, steps))
}

/** Runs `use` with Neon's own endpoint, that of DATABASE_HTTP_URL, or one put in front of an ordinary server meanwhile. */
async function withDatabase<T>(use: (config: DatabaseConfig) => Promise<T>): Promise<T> {
  const { DATABASE_URL, DATABASE_HTTP_URL } = env
  if (!DATABASE_URL) throw new Error('Set DATABASE_URL to the connection string of your database: postgresql://...')
  requirePostgresUrl(DATABASE_URL)
  if (DATABASE_HTTP_URL || isNeonUrl(DATABASE_URL))
    return use({ DATABASE_URL, DATABASE_HTTP_URL: DATABASE_HTTP_URL || undefined })
  const database = await openAnsweringDatabase({ url: DATABASE_URL })
  const neon = await serveNeonHttp(database, { port: 0 })
  try {
    return await use({ DATABASE_URL: neon.databaseUrl, DATABASE_HTTP_URL: neon.url })
  } finally {
    await neon.close()
    await database.close()
  }
}

function report(done: string, names: string[]): string[] {
  return names.length > 0 ? names.map((name) => `${done} ${name}.`) : ['Nothing to do.']
}

/** The error's own words, and Postgres's hints where it gave some. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const sqlError = error instanceof MigrationError ? (error.cause ?? {}) : error
  const { code, detail, hint } = sqlError as { code?: unknown; detail?: unknown; hint?: unknown }
  return [error.message, code && `SQLSTATE ${code}`, detail, hint].filter(Boolean).join('\n')
}
