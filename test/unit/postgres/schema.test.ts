import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api'
import { expect, test } from 'vitest'
import * as schema from '../../../src/postgres/schema.ts'

const META = join(import.meta.dirname, '../../../migrations/meta')

test('the migrations make the tables of src/postgres/schema.ts, or `npm run generate` is still to be run', async () => {
  const snapshots = (await readdir(META)).filter((name) => name.endsWith('_snapshot.json'))
  const migrated = JSON.parse(await readFile(join(META, `${snapshots.sort().at(-1)}`), 'utf8'))
  expect(await generateMigration(migrated, generateDrizzleJson(schema))).toEqual([])
})
