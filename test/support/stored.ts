// All that a Tollgate has stored, to search for what must not be in it.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Gateway } from './gateway.ts'

/** Every row of every table, as text. */
export async function everyTable({ postgres: { database } }: Gateway): Promise<string> {
  const tables = await database.query({
    query: `select format('%I.%I', schemaname, tablename) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`,
    params: [],
  })
  expect(tables.rows.length).toBeGreaterThan(4)
  const dumps = tables.rows.map(([table]) => database.query({ query: `select t::text from ${table} t`, params: [] }))
  return (await Promise.all(dumps)).flatMap(({ rows }) => rows.flat()).join('\n')
}

/** All ledgers, as they are on disk. */
export async function ledgerFiles({ storage }: Gateway): Promise<Buffer> {
  const names = await readdir(storage, { recursive: true })
  const files = names.filter((name) => /\.sqlite(-wal)?$/.test(name))
  expect(files.length).toBeGreaterThan(0)
  return Buffer.concat(await Promise.all(files.map((name) => readFile(join(storage, name)))))
}
