// `npm start`: a whole Tollgate on this machine. Database, migrations, fake provider, worker, demo user; then it says
// how to call it. Its state is in `.tollgate/`. Ctrl-C stops everything.

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { parseEnv } from 'node:util'
import { openAnsweringDatabase } from './database.ts'
import { databaseFingerprint, requirePostgresUrl } from './database-url.ts'
import { createDemoUser, type DemoUser, isUsable } from './demo-user.ts'
import { formatEnvFile, type LocalSecrets, makeSecrets, providersOf, type Vars, workerVars } from './dev-vars.ts'
import { startFakeProvider } from './fake-provider.ts'
import { lockFolder } from './folder-lock.ts'
import { migrateUp } from './migrations.ts'
import { serveNeonHttp } from './neon-http.ts'
import { choosePorts } from './ports.ts'
import { StartFault } from './start-fault.ts'
import { startWrangler, untilAnswers, type WranglerDev } from './wrangler-dev.ts'

/** What is running, in the order in which it started. */
type Running = (() => Promise<void>)[]

const ROOT = process.cwd()
const FOLDER = join(ROOT, '.tollgate')
const DEV_JSON = join(FOLDER, 'dev.json')

async function start(running: Running): Promise<WranglerDev> {
  await mkdir(FOLDER, { recursive: true, mode: 0o700 })
  // Before the ports: those of a Tollgate that runs here already are taken too.
  running.push(await lockFolder(FOLDER))
  const ports = await choosePorts(process.env)
  await rm(DEV_JSON, { force: true })
  const devVars = parseEnv((await readIfThere(join(ROOT, '.dev.vars'))) ?? '') as Vars
  const secrets: LocalSecrets = await keep('secrets.json', async () => makeSecrets())

  const serverUrl = process.env.DATABASE_URL || devVars.DATABASE_URL
  if (serverUrl) requirePostgresUrl(serverUrl)
  const database = await openAnsweringDatabase(serverUrl ? { url: serverUrl } : { dataDir: join(FOLDER, 'postgres') })
  running.push(() => database.close())
  const neon = await serveNeonHttp(database, { port: ports.database })
  running.push(() => neon.close())
  await migrateUp({ databaseUrl: neon.databaseUrl, databaseHttpUrl: neon.url })

  const providers = providersOf(devVars)
  const fake = providers.some(({ is }) => is === 'fake') ? await startFakeProvider({ port: ports.provider }) : null
  if (fake) running.push(() => fake.close())
  const fakeProviderUrl = fake?.url ?? null

  const local = { secrets, databaseUrl: neon.databaseUrl, databaseHttpUrl: neon.url, fakeProviderUrl }
  const vars = workerVars(devVars, local)
  const envFile = join(FOLDER, 'dev.env')
  await writePrivate(envFile, formatEnvFile(vars))
  const wrangler = startWrangler({ port: ports.worker, envFile, folder: FOLDER })
  running.push(() => wrangler.stop())
  await untilAnswers(wrangler)

  const adminToken = vars.ADMIN_TOKEN ?? ''
  const create = () => createDemoUser(wrangler.url, adminToken)
  const demoFile = serverUrl ? `demo-${databaseFingerprint(serverUrl)}.json` : 'demo.json'
  const demo: DemoUser = await keep(demoFile, create, (kept) => isUsable(wrangler.url, adminToken, kept))

  const { url } = wrangler
  const databaseUrl = serverUrl || neon.databaseUrl
  const devJson = { url, adminToken, demoKey: demo.key, databaseUrl, databaseHttpUrl: neon.url, fakeProviderUrl }
  await writePrivate(DEV_JSON, `${JSON.stringify(devJson, null, 2)}\n`)
  const postgres = serverUrl ? 'the server of DATABASE_URL' : relative(ROOT, join(FOLDER, 'postgres'))
  console.log(greeting(devJson, { postgres, providers: providers.map(({ name, is }) => `${name} ${is}`).join(', ') }))
  return wrangler
}

function greeting(
  { url, demoKey, fakeProviderUrl }: Record<string, string | null>,
  { postgres, providers }: { postgres: string; providers: string },
): string {
  const body = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}'
  return `Tollgate   ${url}
Postgres   ${postgres}
Providers  ${providers}${fakeProviderUrl ? ` (${fakeProviderUrl}; real keys go into .dev.vars)` : ''}
Admin      token in ${relative(ROOT, DEV_JSON)}
Demo key   ${demoKey}
Log        ${relative(ROOT, join(FOLDER, 'wrangler.log'))}

curl ${url}/openai/v1/chat/completions \\
  -H 'Authorization: Bearer ${demoKey}' -H 'Content-Type: application/json' \\
  -d '${body}'
`
}

/** What an earlier start made and is still good, else made now. */
async function keep<T>(name: string, make: () => Promise<T>, isGood?: (kept: T) => Promise<boolean>): Promise<T> {
  const file = join(FOLDER, name)
  const text = await readIfThere(file)
  if (text !== null) {
    const kept: T = JSON.parse(text)
    if (!isGood || (await isGood(kept))) return kept
  }
  const made = await make()
  await writePrivate(file, JSON.stringify(made))
  return made
}

/** Readable by this user alone, also where the file was there before with another mode. */
async function writePrivate(file: string, text: string): Promise<void> {
  await rm(file, { force: true })
  await writeFile(file, text, { mode: 0o600 })
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** npm passes a Ctrl-C on that this process already has from the terminal: not a second one of the user's. */
const SAME_SIGNAL_WITHIN_MS = 500

const running: Running = []
let stopping_since: number | null = null

async function stopAll(): Promise<void> {
  for (let stop = running.pop(); stop; stop = running.pop()) await stop()
}

async function fail(error: unknown): Promise<void> {
  if (stopping_since !== null) return
  stopping_since = Date.now()
  console.error(error instanceof StartFault ? error.message : error)
  await stopAll()
  process.exit(1)
}

async function stopWell(): Promise<void> {
  if (stopping_since !== null) {
    if (Date.now() - stopping_since > SAME_SIGNAL_WITHIN_MS) process.exit(130)
    return
  }
  stopping_since = Date.now()
  try {
    await stopAll()
    process.exit(0)
  } catch (error) {
    console.error(error)
    process.exit(1)
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stopWell)

// npm runs a script in a shell, which dies of npm's SIGTERM without passing it on.
const parent = process.ppid
if (process.env.npm_lifecycle_event === 'start') {
  const watch = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watch)
    void stopWell()
  }, 200).unref()
}

start(running)
  .then(async (wrangler) => {
    await wrangler.exited
    await fail(new StartFault(`wrangler dev ended:\n${await wrangler.lastOutput()}`))
  })
  .catch(fail)
