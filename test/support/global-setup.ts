// Made once for all tests: the worker, and, unless TEST_DATABASE_URL names a server, a migrated Postgres to load.

import { buildWorker } from './build.ts'
import { dumpMigratedDatabase } from './postgres.ts'

export default async function prepare(): Promise<void> {
  buildWorker()
  if (!process.env.TEST_DATABASE_URL)
    await dumpMigratedDatabase(`${import.meta.dirname}/../../dist/migrated-postgres.tar`)
}
