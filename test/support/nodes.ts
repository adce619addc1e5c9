// Many nodes of one Tollgate: the built worker in several isolates, and in several workerd processes, that share the
// ledgers. Each node has a socket of its own, without a proxy before it.
//
// In one process the nodes' namespaces are bound to the first one's (`scriptName`). A node of another process finds it
// through Miniflare's dev registry, a folder where each workerd leaves the address of its debug port: calls of a ledger
// are then RPC over a socket between processes.

import { join } from 'node:path'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { FakeProvider } from '../../src/local/fake-provider.ts'
import { BUILT_WORKER } from './build.ts'
import { ADMIN_TOKEN, type Admin, adminOf, KEY_SIGNING_SECRET } from './gateway.ts'
import type { TestDatabase } from './postgres.ts'
import { RUNTIME } from './runtime.ts'
import { removeFolder, temporaryFolder } from './temporary.ts'

export interface Nodes {
  urls: string[]
  /** Through the first node. */
  admin: Admin
  postgres: TestDatabase
  close(): Promise<void>
}

interface NodesOptions {
  /** Isolates of each process: `[3, 2]` are five nodes in two processes. The ledgers live in the first process. */
  processes: number[]
  postgres: TestDatabase
  provider: Pick<FakeProvider, 'url'>
}

/** In every workerd's log, and no fault of Tollgate's: Miniflare's proxy to another process does not dispose of RPC results. */
const PROXY_NOISE = 'An RPC result was not disposed properly'

export async function startNodes({ processes, postgres, provider }: NodesOptions): Promise<Nodes> {
  const folder = temporaryFolder('tollgate-nodes-')
  const bindings = {
    DATABASE_URL: postgres.databaseUrl,
    DATABASE_HTTP_URL: postgres.databaseHttpUrl,
    KEY_SIGNING_SECRETS: KEY_SIGNING_SECRET,
    ADMIN_TOKEN,
    OPENAI_API_KEY: 'sk-fake',
    OPENAI_BASE_URL: provider.url,
  }
  const nodeOf = (process: number, isolate: number) => ({
    name: `node-${process}-${isolate}`,
    modules: true,
    scriptPath: BUILT_WORKER,
    ...RUNTIME,
    // Else Miniflare's outbound worker copies the headers of every request.
    stripCfConnectingIp: false,
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    durableObjects: {
      USAGE_LEDGER: {
        className: 'UsageLedger',
        useSQLite: true,
        ...((process > 0 || isolate > 0) && { scriptName: 'node-0-0' }),
      },
    },
    kvNamespaces: ['PRICES'],
    bindings,
  })
  const running: Miniflare[] = []
  const urls: string[] = []
  for (const [process, isolates] of processes.entries()) {
    const workers = Array.from({ length: isolates }, (_, isolate) => nodeOf(process, isolate))
    const miniflare = new Miniflare(
      convertV4MiniflareOptions({
        workers,
        ...(process === 0 && { resourcePersistencePath: join(folder, 'ledgers') }),
        ...(processes.length > 1 && { unsafeDevRegistryPath: join(folder, 'registry') }),
        handleStructuredLogs: ({ message }) => {
          if (!message.startsWith(PROXY_NOISE)) console.error(message)
        },
      }),
    )
    running.push(miniflare)
    await miniflare.ready
    for (const { name } of workers) urls.push((await miniflare.unsafeGetDirectURL(name)).origin)
  }
  return {
    urls,
    admin: adminOf(() => urls[0] ?? ''),
    postgres,
    async close() {
      await Promise.all(running.map((miniflare) => miniflare.dispose()))
      await removeFolder(folder)
    },
  }
}
