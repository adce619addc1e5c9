// What is measured: the upstream itself, a bare pass-through worker, a bare ledger and Tollgate, both with one user and with
// many. Every part is a process of its own, and no proxy stands before a worker. Behind each stands Miniflare's outbound
// worker.

import { dirname, join } from 'node:path'
import { convertV4MiniflareOptions, Miniflare, type V4MiniflareOptions } from 'miniflare'
import { BUILT_WORKER, buildWorker } from '../support/build.ts'
import { RUNTIME } from '../support/runtime.ts'
import { removeFolder, temporaryFolder } from '../support/temporary.ts'
import { type Books, openBooks } from './books.ts'
import { type Mode, requestBody } from './chat.ts'
import { httpRequest } from './load.ts'
import { startChild, workerdPids } from './processes.ts'

const MANY_USERS = 200
const ADMIN_TOKEN = 'admin-token-for-the-bench-only'
const PROVIDER_KEY = 'sk-bench'

export interface Target {
  name: string
  url: URL
  /** One per user, sent in turn. */
  requests: Record<Mode, Buffer[]>
  /** The workerd that serves it; null where none does, or its pid cannot be found. */
  worker_pid: number | null
  /** Null where no events are written. */
  books: Books | null
}

/** A Durable Object on the file system of the ledgers; see commit.js. */
export interface Committer {
  url: URL
  write: Buffer
  nothing: Buffer
}

export interface Stage {
  targets: Target[]
  committer: Committer
  postgres_version: string
  close(): Promise<void>
}

/** @param memory keeps the ledgers in /dev/shm. Else they are beside the build: temporary folders may be in memory, too. */
export async function openStage({ memory }: { memory: boolean }): Promise<Stage> {
  buildWorker()
  const upstream = await startChild<{ url: string }>('upstream.ts')
  const postgres = await startChild<{ databaseUrl: string; databaseHttpUrl: string; version: string }>('postgres.ts')
  const storage = temporaryFolder('tollgate-bench-', memory ? '/dev/shm' : dirname(dirname(BUILT_WORKER)))

  const passThrough = await startWorker({
    name: 'pass-through',
    scriptPath: `${import.meta.dirname}/pass-through.js`,
    bindings: { UPSTREAM: upstream.hello.url },
  })
  const tollgate = await startWorker({
    name: 'tollgate',
    scriptPath: BUILT_WORKER,
    durableObjects: { USAGE_LEDGER: { className: 'UsageLedger', useSQLite: true } },
    kvNamespaces: ['PRICES'],
    resourcePersistencePath: join(storage, 'tollgate'),
    bindings: {
      DATABASE_URL: postgres.hello.databaseUrl,
      DATABASE_HTTP_URL: postgres.hello.databaseHttpUrl,
      KEY_SIGNING_SECRETS: 'a-signing-secret-for-the-bench-only-0123456789',
      ADMIN_TOKEN,
      OPENAI_API_KEY: PROVIDER_KEY,
      OPENAI_BASE_URL: upstream.hello.url,
    },
  })
  const bareLedger = await startWorker({
    name: 'bare-ledger',
    scriptPath: `${import.meta.dirname}/bare-ledger.js`,
    durableObjects: { BARE_LEDGER: { className: 'BareLedger', useSQLite: true } },
    resourcePersistencePath: join(storage, 'bare-ledger'),
    bindings: { UPSTREAM: upstream.hello.url },
  })
  const committer = await startWorker({
    name: 'committer',
    scriptPath: `${import.meta.dirname}/commit.js`,
    durableObjects: { COMMITTER: { className: 'Committer', useSQLite: true } },
    resourcePersistencePath: join(storage, 'committer'),
  })
  const books = openBooks({ url: tollgate.url, adminToken: ADMIN_TOKEN, ...postgres.hello })
  const keys = (await books.createUsers(1 + MANY_USERS)).map(({ key }) => key)
  const users = [
    { count: '1 user', keys: keys.slice(0, 1) },
    { count: `${MANY_USERS} users`, keys: keys.slice(1) },
  ]

  const target = (name: string, worker: { url: URL; pid: number | null }, path: string, keys: string[]): Target => {
    const requestsOf = (mode: Mode) => {
      const body = requestBody(mode)
      return keys.map((key) => httpRequest(worker.url, path, { authorization: `Bearer ${key}` }, body))
    }
    const requests = { json: requestsOf('json'), stream: requestsOf('stream'), long: requestsOf('long') }
    return { name, url: worker.url, requests, worker_pid: worker.pid, books: worker === tollgate ? books : null }
  }
  const direct = { url: new URL(upstream.hello.url), pid: null }
  return {
    targets: [
      target('direct', direct, '/v1/chat/completions', [PROVIDER_KEY]),
      target('pass-through', passThrough, '/v1/chat/completions', [PROVIDER_KEY]),
      ...users.map(({ count, keys }) => target(`bare ledger, ${count}`, bareLedger, '/v1/chat/completions', keys)),
      ...users.map(({ count, keys }) => target(`Tollgate, ${count}`, tollgate, '/openai/v1/chat/completions', keys)),
    ],
    committer: {
      url: committer.url,
      write: httpRequest(committer.url, '/write', {}, ''),
      nothing: httpRequest(committer.url, '/nothing', {}, ''),
    },
    postgres_version: postgres.hello.version,
    close: async () => {
      await Promise.all([passThrough.close(), bareLedger.close(), tollgate.close(), committer.close()])
      await Promise.all([upstream.close(), postgres.close()])
      await removeFolder(storage)
    },
  }
}

async function startWorker(options: Exclude<V4MiniflareOptions, { workers: unknown }>) {
  const others = workerdPids()
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      ...RUNTIME,
      // Else Miniflare's outbound worker copies the headers of every request, too.
      stripCfConnectingIp: false,
      unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
      ...options,
    }),
  )
  await miniflare.ready
  return {
    url: await miniflare.unsafeGetDirectURL(),
    pid: workerdPids().find((pid) => !others.includes(pid)) ?? null,
    close: () => miniflare.dispose(),
  }
}
