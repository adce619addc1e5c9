// `npm run migrate` [-- up | down [n] | status]: migrates the Postgres that DATABASE_URL (and DATABASE_HTTP_URL) names.

import { argv, env, exit } from 'node:process'
import { type Connection, migrateDown, migrateUp, migrationStatus } from './migrations.ts'

const USAGE = 'Usage: npm run migrate [-- up | down [number of migrations, 1 by default] | status]'

try {
  for (const line of await run(argv.slice(2))) console.log(line)
} catch (error) {
  console.error(explain(error))
  exit(1)
}

async function run([command = 'up', steps = '1', ...rest]: string[]): Promise<string[]> {
  if (rest.length > 0 || !/^[1-9]\d*$/.test(steps)) throw new Error(USAGE)
  if (command === 'up') return report('Applied', await migrateUp(connection()))
  if (command === 'down') return report('Took back', await migrateDown(connection(), Number(steps)))
  if (command === 'status')
    return (await migrationStatus(connection())).map(
      ({ name, applied_at }) => `${name}  ${applied_at ? `applied ${applied_at}` : 'to come'}`,
    )
  throw new Error(USAGE)
}

function connection(): Connection {
  const { DATABASE_URL, DATABASE_HTTP_URL } = env
  if (!DATABASE_URL) throw new Error('Set DATABASE_URL to the connection string of your Neon database.')
  return { databaseUrl: DATABASE_URL, databaseHttpUrl: DATABASE_HTTP_URL || undefined }
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
