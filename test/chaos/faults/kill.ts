// kill -9 of all that `npm start` runs (itself, the embedded Postgres and its endpoint, the fake provider, wrangler,
// workerd), all at once, again and again, sometimes while it is still starting. The calls go to a fake provider that lives on,
// as real ones would: it knows what it was sent, and what it answered.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Query, QueryResult } from '../../../src/local/database.ts'
import { ANTHROPIC_CREDENTIAL, OPENAI_CREDENTIAL, startFakeProvider } from '../../../src/local/fake-provider.ts'
import { BUILT_WORKER } from '../../support/build.ts'
import { ADMIN_TOKEN, adminOf, eventually } from '../../support/gateway.ts'
import { removeFolder, temporaryFolder } from '../../support/temporary.ts'
import { audit, type Counted, must, type Witnessed } from '../audit.ts'
import { sendTo, startLoad } from '../load.ts'
import type { Kill } from '../match.ts'
import { recordProvider } from '../provider-record.ts'
import { fourUsers } from '../stage.ts'

const KILLS = 25
const CALLS_BETWEEN = 40
const ROOT = dirname(dirname(dirname(BUILT_WORKER)))
const SOURCES = ['src', 'durable-objects', 'migrations', 'package.json', 'tsconfig.json', 'wrangler.toml']

export async function killEverything(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stack = await openStack()
  try {
    await stack.start()
    const users = await fourUsers(adminOf(() => stack.url))
    const load = startLoad(sendTo(stack), users)
    let kills = 0
    while (kills < KILLS) {
      await load.more(CALLS_BETWEEN)
      await sleep((kills * 37) % 100)
      await stack.kill()
      kills += 1
      if (kills % 5 === 0) {
        void stack.start().catch(() => undefined)
        await sleep(600 + kills * 40)
        await stack.kill()
        kills += 1
      }
      await stack.start()
    }
    await load.more(CALLS_BETWEEN)
    const seen = await load.stop()
    const { counted } = await audit(stack, users, seen)
    must(seen.refused.length > 0, 'no cap was met')
    tell('kill -9 of the whole stack', { kills, ...counted })
  } finally {
    await stack.close()
  }
}

interface Stack extends Witnessed {
  url: string
  /** Until it answers. */
  start(): Promise<void>
  /** All of its processes at once. */
  kill(): Promise<void>
  close(): Promise<void>
}

async function openStack(): Promise<Stack> {
  const folder = temporaryFolder('tollgate-kill-')
  // Copied, because wrangler watches them: whoever edits one meanwhile would restart its worker.
  for (const name of SOURCES) await cp(join(ROOT, name), join(folder, name), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const provider = await startFakeProvider()
  const record = recordProvider()
  record.watch(provider)
  const kills: Kill[] = []
  const vars = {
    ADMIN_TOKEN,
    HOLD_TTL_SECONDS: '2',
    OPENAI_API_KEY: OPENAI_CREDENTIAL,
    OPENAI_BASE_URL: provider.url,
    ANTHROPIC_API_KEY: ANTHROPIC_CREDENTIAL,
    ANTHROPIC_BASE_URL: provider.url,
  }
  await writeFile(
    join(folder, '.dev.vars'),
    Object.entries(vars)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const devJson = join(folder, '.tollgate/dev.json')
  let databaseUrl = ''
  let child: ChildProcess | null = null
  const killGroup = () => {
    if (child?.pid && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL')
  }
  process.on('exit', killGroup)
  const stack: Stack = {
    url: '',
    record,
    kills,
    admin: adminOf(() => stack.url),
    postgres: { database: { query: (query) => queryOver(databaseUrl, query) } },
    async start() {
      await rm(devJson, { force: true })
      const { DATABASE_URL: _, ...inherited } = process.env
      const ports = { TOLLGATE_PORT: '0', TOLLGATE_DATABASE_PORT: '0', TOLLGATE_PROVIDER_PORT: '0' }
      const started = spawn(process.execPath, [join(folder, 'src/local/start.ts')], {
        cwd: folder,
        env: { ...inherited, ...ports },
        // A process group of its own, to be killed as one.
        detached: true,
        stdio: ['ignore', 'ignore', 'inherit'],
      })
      child = started
      const isOver = () => started.exitCode !== null || started.signalCode !== null
      const dev = await eventually(
        async () => JSON.parse(await readFile(devJson, 'utf8').catch(() => 'null')),
        (it) => it !== null || isOver(),
        60_000,
      )
      if (!dev) throw new Error(`npm start did not start: ${started.exitCode ?? started.signalCode ?? 'no answer'}`)
      databaseUrl = dev.databaseHttpUrl
      stack.url = dev.url
    },
    async kill() {
      const [dying] = [child]
      if (!dying) return
      const gone = once(dying, 'exit')
      const from = Date.now()
      killGroup()
      await gone
      kills.push({ from, to: Date.now() })
    },
    async close() {
      await stack.kill()
      process.off('exit', killGroup)
      await provider.close()
      await removeFolder(folder)
    },
  }
  return stack
}

/** As the driver asks, with the rows as text. */
async function queryOver(url: string, query: Query): Promise<QueryResult> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'neon-connection-string': 'postgresql://local',
      'neon-raw-text-output': 'true',
      'neon-array-mode': 'true',
    },
    body: JSON.stringify(query),
  })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return (await response.json()) as QueryResult
}
