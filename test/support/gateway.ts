// A whole Tollgate for tests: the built worker in real workerd, Postgres behind Neon's protocol, a fake provider.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { LedgerRpc } from '../../durable-objects/ledger/types.ts'
import { type FakeProvider, type Reply, startFakeProvider } from '../../src/local/fake-provider.ts'
import { BUILT_WORKER } from './build.ts'
import { openTestDatabase, type TestDatabase } from './postgres.ts'
import { RUNTIME } from './runtime.ts'
import { removeFolder, temporaryFolder } from './temporary.ts'

export const ADMIN_TOKEN = 'admin-token-for-tests-only'
export const KEY_SIGNING_SECRET = 'a-signing-secret-for-tests-only-0123456789'

export interface Gateway {
  url: string
  provider: FakeProvider
  postgres: TestDatabase
  admin: Admin
  /** The folder of the ledgers. */
  storage: string
  /** Ends workerd at once, as kill -9 would, and starts it again on the same storage, with these variables on top. */
  restart(changed?: Record<string, string>): Promise<void>
  /** A user's ledger itself, as the worker calls it. */
  ledgerOf(userId: string): Promise<LedgerRpc>
  /** The KV namespace of the prices. */
  prices(): Promise<{ put(key: string, value: string): Promise<void> }>
  /** Puts a user's ledger out of memory. */
  evict(userId: string): Promise<void>
  /** The SQLite file of a user's ledger. */
  ledgerFileOf(userId: string): Promise<string>
  /** Where V8's inspector of the worker listens; only where `inspect` was asked for. */
  inspector(): Promise<URL>
  close(): Promise<void>
}

export interface Admin {
  /** A REST call with the admin token; throws unless the answer is 2xx. */
  call<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T>
  /** A user with caps and a key. */
  user(
    caps?: { cap_type: string; limits: object; on_exceed?: string }[],
    more?: object,
  ): Promise<{ id: string; key: string }>
}

export interface GatewayOptions {
  reply?: Reply
  /** Variables on top of the usual ones, or a function that makes them from the fake provider's URL. */
  vars?: Record<string, string> | ((providerUrl: string) => Record<string, string>)
  /** The entry module, where it is not the built worker itself. */
  worker?: string
  /** Takes what the worker logs, which is otherwise printed. */
  onLog?: (message: string) => void
  /** Opens V8's inspector, to look at the heap. */
  inspect?: boolean
}

export async function startGateway({
  reply,
  vars = {},
  worker = BUILT_WORKER,
  onLog,
  inspect = false,
}: GatewayOptions = {}): Promise<Gateway> {
  const [postgres, provider] = await Promise.all([openTestDatabase(), startFakeProvider(reply ? { reply } : {})])
  const storage = temporaryFolder('tollgate-')
  const optionsWith = (changed: Record<string, string>) =>
    convertV4MiniflareOptions({
      name: 'tollgate',
      modules: true,
      scriptPath: worker,
      ...RUNTIME,
      durableObjects: { USAGE_LEDGER: { className: 'UsageLedger', useSQLite: true } },
      kvNamespaces: ['PRICES'],
      resourcePersistencePath: storage,
      unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
      ...(inspect && { inspectorPort: 0 }),
      ...(onLog && { handleStructuredLogs: ({ message }: { message: string }) => onLog(message) }),
      bindings: {
        DATABASE_URL: postgres.databaseUrl,
        DATABASE_HTTP_URL: postgres.databaseHttpUrl,
        KEY_SIGNING_SECRETS: KEY_SIGNING_SECRET,
        ADMIN_TOKEN,
        OPENAI_API_KEY: 'sk-fake',
        OPENAI_BASE_URL: provider.url,
        ANTHROPIC_API_KEY: 'sk-ant-fake',
        ANTHROPIC_BASE_URL: provider.url,
        GEMINI_API_KEY: 'goog-fake',
        GEMINI_BASE_URL: provider.url,
        GOOGLE_PLACES_API_KEY: 'goog-fake',
        GOOGLE_PLACES_BASE_URL: provider.url,
        BEDROCK_API_KEY: 'bedrock-api-key-fake',
        BEDROCK_BASE_URL: provider.url,
        ...(typeof vars === 'function' ? vars(provider.url) : vars),
        ...changed,
      },
    })
  let miniflare = new Miniflare(optionsWith({}))
  const gateway: Gateway = {
    url: await directUrl(miniflare),
    provider,
    postgres,
    admin: adminOf(() => gateway.url),
    storage,
    async restart(changed = {}) {
      await miniflare.dispose()
      miniflare = new Miniflare(optionsWith(changed))
      gateway.url = await directUrl(miniflare)
    },
    async ledgerOf(userId) {
      const namespace = await miniflare.getDurableObjectNamespace('USAGE_LEDGER')
      return namespace.get(namespace.idFromName(userId)) as unknown as LedgerRpc
    },
    prices: () => miniflare.getKVNamespace('PRICES'),
    async evict(userId: string) {
      await miniflare.unsafeEvictDurableObject('tollgate', 'UsageLedger', { name: userId })
    },
    async ledgerFileOf(userId: string) {
      const namespace = await miniflare.getDurableObjectNamespace('USAGE_LEDGER')
      const file = `${namespace.idFromName(userId)}.sqlite`
      const names = await readdir(storage, { recursive: true })
      return join(storage, names.find((name) => name.endsWith(file)) ?? file)
    },
    inspector: async () => new URL('/core:user:tollgate', await miniflare.getInspectorURL()),
    async close() {
      await miniflare.dispose()
      await Promise.all([provider.close(), postgres.close()])
      await removeFolder(storage)
    },
  }
  return gateway
}

/** workerd itself, without the proxy that Miniflare puts before it. */
async function directUrl(miniflare: Miniflare): Promise<string> {
  await miniflare.ready
  return (await miniflare.unsafeGetDirectURL()).origin
}

/** The admin API at this URL, which may change. */
export function adminOf(url: () => string): Admin {
  const admin: Admin = {
    async call(method, path, body) {
      const response = await fetch(url() + path, {
        method,
        headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
      return text === '' ? null : JSON.parse(text)
    },
    async user(caps = [], more = {}) {
      const user = { name: 'test', time_zone: quietTimeZone(new Date()), ...more }
      const { id } = await admin.call<{ id: string }>('POST', '/admin/users', user)
      for (const cap of caps) await admin.call('POST', `/admin/users/${id}/caps`, cap)
      const { key } = await admin.call<{ key: string }>('POST', `/admin/users/${id}/keys`, { name: 'test' })
      return { id, key }
    },
  }
  return admin
}

/** Where no hour, day, week or month ends within the next 15 minutes: a test would find the usage it looks for gone. */
function quietTimeZone(now: Date): string {
  const isNearHalfPast = Math.abs(now.getUTCMinutes() - 30) < 15
  if (now.getUTCHours() < 12) return isNearHalfPast ? 'Asia/Tashkent' : 'Asia/Kolkata'
  return isNearHalfPast ? 'Pacific/Honolulu' : 'Pacific/Marquesas'
}

/**
 * Asks until the answer is a wanted one: for what happens in the background.
 *
 * @throws {Error} with the last answer, where none is in time
 */
export async function eventually<T>(ask: () => Promise<T>, wanted: (answer: T) => boolean, ms = 30_000): Promise<T> {
  const deadline = Date.now() + ms
  for (;;) {
    const answer = await ask()
    if (wanted(answer)) return answer
    if (Date.now() > deadline) throw new Error(`Not within ${ms / 1_000} s: ${JSON.stringify(answer)?.slice(0, 2_000)}`)
    await sleep(20)
  }
}
