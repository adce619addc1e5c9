// A Postgres for a developer's machine: embedded (PGlite, in a folder or in memory) or any server through `pg`. Both
// behave alike: values go in and come out as Postgres's own text, as Neon's HTTP protocol wants them.

import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { StartFault } from './start-fault.ts'

export interface Query {
  query: string
  /** In Postgres's text form. */
  params: (string | null)[]
}

export interface QueryResult {
  /** The command tag's first word: `INSERT`. */
  command: string
  rowCount: number | null
  fields: { name: string; dataTypeID: number }[]
  /** Column values in Postgres's text form. */
  rows: (string | null)[][]
}

export interface LocalDatabase {
  /** One statement in a transaction of its own. @throws the database's error, with its SQLSTATE as `code`. */
  query(query: Query): Promise<QueryResult>
  /** All or nothing. `mode` is what follows SET TRANSACTION: `ISOLATION LEVEL SERIALIZABLE READ ONLY`. */
  transaction(queries: Query[], mode?: string): Promise<QueryResult[]>
  close(): Promise<void>
}

/**
 * With `url` a Postgres server, else PGlite in the folder `dataDir`, else PGlite in memory: empty, or loaded from a `dump` that
 * `PGlite.dumpDataDir` made.
 */
export async function openDatabase(
  options: { url?: string; dataDir?: string; dump?: Blob } = {},
): Promise<LocalDatabase> {
  return options.url === undefined ? openPGlite(options) : openServer(options.url)
}

/** As `openDatabase`. @throws {StartFault} where the database does not answer. */
export async function openAnsweringDatabase(options: { url?: string; dataDir?: string }): Promise<LocalDatabase> {
  const database = await openDatabase(options)
  try {
    await database.query({ query: 'select 1', params: [] })
    return database
  } catch (cause) {
    await database.close()
    const { message = '', code = '' } = cause as { message?: string; code?: string }
    throw new StartFault(`Postgres does not answer: ${message || code}`, { cause })
  }
}

/** Statements that would end the batch's own transaction, or leave one open for whoever uses the connection next. */
const TRANSACTION_CONTROL =
  /^\s*(begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+to))\b/i

function refuseTransactionControl({ query }: Query): void {
  if (!TRANSACTION_CONTROL.test(query)) return
  const message = 'transaction control is not possible in a statement over HTTP: send a batch instead'
  throw Object.assign(new Error(message), { severity: 'ERROR', code: '25001' })
}

async function openFolder(dataDir: string): Promise<PGlite> {
  try {
    if (!existsSync(dataDir)) await makeFolder(dataDir)
    return await PGlite.create({ dataDir })
  } catch (cause) {
    // An error of PGlite's file system, as on a full disk, has no message.
    const { message, errno } = cause as { message?: string; errno?: number }
    const why =
      'Is the disk full, is the database damaged, or do files in it belong to another user, after a start with sudo?'
    const words = message ?? `error ${errno}`
    throw new StartFault(`The Postgres in ${dataDir} does not open. ${why} (${words})`, { cause })
  }
}

/** In the folder only once it is whole: what a full disk or a `kill -9` has left half made may never open. */
async function makeFolder(dataDir: string): Promise<void> {
  const next = `${dataDir}.new`
  await rm(next, { recursive: true, force: true })
  await mkdir(next, { recursive: true })
  await (await PGlite.create({ dataDir: next })).close()
  await rename(next, dataDir)
}

/** One connection; PGlite itself queues what is concurrent. */
async function openPGlite({ dataDir, dump }: { dataDir?: string; dump?: Blob }): Promise<LocalDatabase> {
  const database =
    dataDir === undefined ? await PGlite.create(dump && { loadDataDir: dump }) : await openFolder(dataDir)
  database.parsers = new Proxy({}, { get: () => (text: string) => text })
  database.serializers = {}
  const run = async (session: Pick<PGlite, 'query'>, query: Query): Promise<QueryResult> => {
    refuseTransactionControl(query)
    const {
      command = '',
      rowCount,
      fields,
      rows,
    } = await session.query(query.query, query.params, { rowMode: 'array' })
    return { command, rowCount: rowCount ?? null, fields, rows: rows as QueryResult['rows'] }
  }
  return {
    query: (query) => run(database, query),
    transaction: (queries, mode) =>
      database.transaction(async (session) => {
        if (mode) await session.exec(`set transaction ${mode}`)
        const results: QueryResult[] = []
        for (const query of queries) results.push(await run(session, query))
        return results
      }),
    close: () => database.close(),
  }
}

const TEXT_AS_IT_IS = { getTypeParser: () => (text: string) => text }

/** Without a limit, a host that drops packets would keep us waiting forever. */
const CONNECT_TIMEOUT_MS = 10_000

function openServer(url: string): LocalDatabase {
  const config = {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    onConnect: async (client: pg.ClientBase) => {
      await client.query(`set time zone 'UTC'; set datestyle to 'ISO'`)
    },
  }
  const pool = new pg.Pool(config)
  // A server that goes away breaks idle connections: the next query opens a new one, or fails and says so.
  pool.on('error', () => undefined)
  // In the middle of a transaction, the transaction fails and tells. An error event without a listener would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  const run = async (session: Pick<pg.Pool, 'query'>, query: Query): Promise<QueryResult> => {
    refuseTransactionControl(query)
    // `extended`: several statements in one string are an error even without parameters, as on Neon.
    const config = {
      text: query.query,
      values: query.params,
      types: TEXT_AS_IT_IS,
      rowMode: 'array' as const,
      queryMode: 'extended',
    }
    const { command, rowCount, fields, rows } = await session.query(config)
    return { command, rowCount, fields: fields.map(({ name, dataTypeID }) => ({ name, dataTypeID })), rows }
  }
  const transaction = async (queries: Query[], mode?: string): Promise<QueryResult[]> => {
    const client = await pool.connect()
    let broken: Error | undefined
    try {
      await client.query('begin')
      if (mode) await client.query(`set transaction ${mode}`)
      const results: QueryResult[] = []
      for (const query of queries) results.push(await run(client, query))
      await client.query('commit')
      return results
    } catch (error) {
      await client.query('rollback').catch((failure) => {
        broken = failure
      })
      throw error
    } finally {
      client.release(broken)
    }
  }
  return {
    query: (query) => run(pool, query),
    transaction,
    close: () => pool.end(),
  }
}
