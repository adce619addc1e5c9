// Made once, for all tests: the worker, and where tests bring no Postgres, an empty one to load.

import buildWorker from './build.ts'
import { dumpEmptyDatabase } from './postgres.ts'

export default async function prepare(): Promise<void> {
  buildWorker()
  if (!process.env.TEST_DATABASE_URL) await dumpEmptyDatabase(`${import.meta.dirname}/../../dist/empty-postgres.tar`)
}
