// Neon's SQL over HTTP in front of a local database, as @neondatabase/serverless speaks it: POST one `{query, params}`
// or a batch `{queries: [...]}` that is one transaction; errors of SQL are a 400 with Postgres's own fields.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { isObject, parseJsonOrUndefined } from '../providers/answer.ts'
import type { LocalDatabase, Query, QueryResult } from './database.ts'

/** For tests that cause faults. An exception drops the connection without an answer. */
export interface NeonHttpHooks {
  beforeQuery?: (queries: Query[]) => Promise<void>
  /** After the commit, before the answer. Not called where SQL failed. */
  afterQuery?: (queries: Query[]) => Promise<void>
}

export interface NeonHttpServer {
  /** For the driver's `fetchEndpoint`. */
  url: string
  /** A connection string that the driver accepts; it names this server. */
  databaseUrl: string
  hooks: NeonHttpHooks
  /** Begins an outage: drops all connections, and every new one until `resume`. The server keeps its port. */
  pause(): void
  resume(): void
  /** Does not close the database. */
  close(): Promise<void>
}

class HookFault extends Error {}

async function callHook(hook: NeonHttpHooks['beforeQuery'], queries: Query[]): Promise<void> {
  try {
    await hook?.(queries)
  } catch (cause) {
    throw new HookFault('a hook drops the connection', { cause })
  }
}

const LOOPBACK = '127.0.0.1'

/** Listens on 127.0.0.1 only; port 0 takes a free one. */
export async function serveNeonHttp(
  database: LocalDatabase,
  { port, hooks = {} }: { port: number; hooks?: NeonHttpHooks },
): Promise<NeonHttpServer> {
  // By default Node closes a connection after seconds of idleness, maybe just as the worker uses it again.
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    answer(database, hooks, request, response).catch((error) => {
      // Not worth a word: a client that hung up before its request was whole, such as a killed worker.
      if (!(error instanceof HookFault) && error !== request.errored) console.error(error)
      request.socket.destroy()
    })
  })
  server.on('clientError', refuseWireProtocol)
  let isPaused = false
  server.on('connection', (socket) => {
    if (isPaused) socket.destroy()
  })
  await once(server.listen(port, LOOPBACK), 'listening')
  const bound = (server.address() as AddressInfo).port
  return {
    url: `http://${LOOPBACK}:${bound}/sql`,
    databaseUrl: `postgresql://tollgate@${LOOPBACK}:${bound}/tollgate`,
    hooks,
    pause: () => {
      isPaused = true
      server.closeAllConnections()
    },
    resume: () => {
      isPaused = false
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** The first message of a client of Postgres's own protocol that asks to encrypt. */
const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex')
const WHY_NOT =
  "This Postgres speaks Neon's HTTP protocol alone. For psql and the like, use one of your own: DATABASE_URL."

/** `databaseUrl` looks as if psql could connect to it, so psql is told why it cannot. All else that is not HTTP is dropped. */
function refuseWireProtocol({ rawPacket }: Error & { rawPacket?: Buffer }, socket: Duplex): void {
  if (rawPacket?.equals(SSL_REQUEST)) return void socket.write('N')
  if (rawPacket?.[0] !== 0) return void socket.destroy()
  const error = Buffer.from(`E____SFATAL\0C08004\0M${WHY_NOT}\0\0`)
  error.writeInt32BE(error.length - 1, 1)
  socket.end(error)
}

async function answer(
  database: LocalDatabase,
  hooks: NeonHttpHooks,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const send = (status: number, body: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  const text = (await buffer(request)).toString()
  const fault = requestFault(request)
  if (fault) return void send(fault.status, { message: fault.message })
  const asked = parseRequest(text)
  if (!asked)
    return void send(400, notOfPostgres('the body is neither {query, params} nor {queries: [...]} in Unicode'))

  await callHook(hooks.beforeQuery, asked.queries)
  let results: QueryResult[]
  try {
    results = asked.batch
      ? await database.transaction(asked.queries, transactionMode(request))
      : await Promise.all(asked.queries.map((query) => database.query(query)))
  } catch (error) {
    const sqlError = sqlErrorOf(error)
    return void send(sqlError ? 400 : 500, sqlError ?? notOfPostgres(`the database does not answer: ${error}`))
  }
  await callHook(hooks.afterQuery, asked.queries)

  const rowAsArray = request.headers['neon-array-mode'] === 'true'
  const shown = results.map((result) => ({ ...result, rowAsArray, rows: rowAsArray ? result.rows : objectsOf(result) }))
  send(200, asked.batch ? { results: shown } : shown[0])
}

/** Any web page can make a browser post here. Only the driver has its own header and a local host. */
function requestFault({ method, url, headers }: IncomingMessage): { status: number; message: string } | null {
  if (method !== 'POST' || url !== '/sql') return { status: 404, message: 'only POST /sql' }
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(headers.host ?? '')) return { status: 403, message: 'not a local host' }
  if (headers['neon-raw-text-output'] !== 'true')
    return { status: 400, message: 'neon-raw-text-output: only true is supported' }
  return null
}

/** Where Postgres has said nothing, Neon's code and severity are empty. */
const notOfPostgres = (message: string) => ({ message, code: '', severity: '' })

function parseRequest(text: string): { batch: boolean; queries: Query[] } | null {
  const body = parseJsonOrUndefined(text)
  const batch = isObject(body) && Array.isArray(body.queries) ? body.queries : null
  const queries = (batch ?? [body]).map(parseQuery)
  return queries.every((query) => query !== null) ? { batch: batch !== null, queries } : null
}

function parseQuery(value: unknown): Query | null {
  if (!isObject(value) || typeof value.query !== 'string') return null
  if (!Array.isArray(value.params ?? [])) return null
  const params = ((value.params ?? []) as unknown[]).map(textOf)
  // Neon's proxy cannot read JSON with a lone surrogate; Node would replace it.
  const isUnicode = [value.query, ...params].every((text) => text?.isWellFormed() ?? true)
  return isUnicode ? { query: value.query, params } : null
}

function textOf(param: unknown): string | null {
  if (param === null || param === undefined) return null
  return typeof param === 'object' ? JSON.stringify(param) : String(param)
}

const ISOLATION_LEVELS: Record<string, string> = {
  ReadUncommitted: 'read uncommitted',
  ReadCommitted: 'read committed',
  RepeatableRead: 'repeatable read',
  Serializable: 'serializable',
}

function transactionMode({ headers }: IncomingMessage): string {
  const level = ISOLATION_LEVELS[String(headers['neon-batch-isolation-level'])]
  const modes = [
    level && `isolation level ${level}`,
    headers['neon-batch-read-only'] === 'true' && 'read only',
    headers['neon-batch-deferrable'] === 'true' && 'deferrable',
  ]
  return modes.filter(Boolean).join(', ')
}

const ERROR_FIELDS =
  'severity code detail hint position internalPosition internalQuery where schema table column dataType constraint file line routine'.split(
    ' ',
  )

/** Null for errors that are not SQL's (a lost connection). */
function sqlErrorOf(error: unknown): Record<string, unknown> | null {
  if (!(error instanceof Error) || !('severity' in error)) return null
  const fields = error as unknown as Record<string, unknown>
  return { message: error.message, ...Object.fromEntries(ERROR_FIELDS.map((name) => [name, fields[name] ?? null])) }
}

function objectsOf({ fields, rows }: QueryResult): Record<string, string | null>[] {
  return rows.map((row) => Object.fromEntries(fields.map(({ name }, index) => [name, row[index] ?? null])))
}
