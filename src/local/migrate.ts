// `npm run migrate` [-- up | down [n] --force | status]: migrates the Postgres that DATABASE_URL (and DATABASE_HTTP_URL)
// names: over HTTP where it is Neon's, else as any Postgres server.

import { argv, env, exit } from 'node:process'
import { openAnsweringDatabase } from './database.ts'
import { isNeonUrl, requirePostgresUrl } from './database-url.ts'
import { type Connection, migrateDown, migrateUp, migrationStatus } from './migrations.ts'
import { serveNeonHttp } from './neon-http.ts'

const USAGE =
  'Usage: npm run migrate [-- up | status | down [number of migrations, 1 by default] --force (drops their data)]'

try {
  for (const line of await run(argv.slice(2))) console.log(line)
} catch (error) {
  console.error(explain(error))
  exit(1)
}

async function run(args: string[]): Promise<string[]> {
  const [command = 'up', ...rest] = args.filter((arg) => arg !== '--force')
  const force = args.includes('--force')
  if (command === 'down') {
    const [steps = '1', ...more] = rest
    if (more.length > 0 || !/^[1-9]\d*$/.test(steps)) throw new Error(USAGE)
    return withConnection((connection) => takeBack(connection, Number(steps), force))
  }
  if (rest.length > 0 || force) throw new Error(USAGE)
  if (command === 'up') return withConnection(async (connection) => report('Applied', await migrateUp(connection)))
  if (command === 'status')
    return (await withConnection(migrationStatus)).map(
      ({ name, applied_at }) => `${name}  ${applied_at ? `applied ${applied_at}` : 'to come'}`,
    )
  throw new Error(USAGE)
}

async function takeBack(connection: Connection, steps: number, force: boolean): Promise<string[]> {
  const applied = (await migrationStatus(connection)).filter(({ applied_at }) => applied_at !== null)
  if (steps > applied.length)
    throw new Error(`down ${steps} is too much: migrations applied here: ${applied.length}. Nothing has changed.`)
  if (!force) {
    const names = applied.slice(-steps).map(({ name }) => name)
    throw new Error(`Taking back ${names.join(', ')} drops what it created in Postgres and all data there (users, keys, caps, \
usage events) for good. Nothing has changed yet; if you mean it: npm run migrate -- down ${steps} --force`)
  }
  return report('Took back', await migrateDown(connection, steps))
}

/** With Neon's own endpoint, the one of DATABASE_HTTP_URL, or one in front of an ordinary server while `use` runs. */
async function withConnection<T>(use: (connection: Connection) => Promise<T>): Promise<T> {
  const { DATABASE_URL, DATABASE_HTTP_URL } = env
  if (!DATABASE_URL) throw new Error('Set DATABASE_URL to the connection string of your database: postgresql://...')
  requirePostgresUrl(DATABASE_URL)
  if (DATABASE_HTTP_URL || isNeonUrl(DATABASE_URL))
    return use({ databaseUrl: DATABASE_URL, databaseHttpUrl: DATABASE_HTTP_URL || undefined })
  const database = await openAnsweringDatabase({ url: DATABASE_URL })
  const neon = await serveNeonHttp(database, { port: 0 })
  try {
    return await use({ databaseUrl: neon.databaseUrl, databaseHttpUrl: neon.url })
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
  const { code, detail, hint } = error as Error & { code?: unknown; detail?: unknown; hint?: unknown }
  return [error.message, code && `SQLSTATE ${code}`, detail, hint].filter(Boolean).join('\n')
}
