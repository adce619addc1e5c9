// The bench's Postgres behind Neon's HTTP protocol, a process of its own: a fresh database on the server that
// TEST_DATABASE_URL or DATABASE_URL names, else PGlite in memory.

import { openTestDatabase } from '../support/postgres.ts'

process.env.TEST_DATABASE_URL ||= process.env.DATABASE_URL ?? ''
const { databaseUrl, databaseHttpUrl, database, close } = await openTestDatabase()
const { rows } = await database.query({ query: 'show server_version', params: [] })
const kind = process.env.TEST_DATABASE_URL ? 'Postgres' : 'PGlite'
process.send?.({ databaseUrl, databaseHttpUrl, version: `${kind} ${rows[0]?.[0]}` })
process.once('disconnect', () => close().finally(() => process.exit()))
