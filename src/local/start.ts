// `npm start`: a whole Tollgate on this machine. Database, migrations, fake provider, worker, demo user; then it says
// how to call it. Its state is in `.tollgate/`. Ctrl-C stops everything.

import { access, constants, mkdir, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseEnv } from 'node:util'
import { MigrationError } from '../postgres/migrate.ts'
import { openAnsweringDatabase } from './database.ts'
import { databaseFingerprint, requirePostgresUrl } from './database-url.ts'
import { formatEnvFile, providersOf, textOfDevVars, type Vars, withoutEffect, workerVars } from './dev-vars.ts'
import { startFakeProvider } from './fake-provider.ts'
import { lockFolder } from './folder-lock.ts'
import { type Greeted, greeting } from './greeting.ts'
import { keepDemoUser, keepSecrets } from './kept.ts'
import { migrateUp } from './migrations.ts'
import { serveNeonHttp } from './neon-http.ts'
import { onceNpmIsGone } from './npm-watch.ts'
import { choosePorts } from './ports.ts'
import { readIfThere, writePrivate } from './private-files.ts'
import { StartFault } from './start-fault.ts'
import { readTomlVars } from './toml-vars.ts'
import { startWrangler, untilAnswers, type WranglerDev } from './wrangler-dev.ts'

const ROOT = process.cwd()
const FOLDER = join(ROOT, '.tollgate')
const DEV_JSON = join(FOLDER, 'dev.json')

/** How to stop what is running, in the order in which it started. */
const running: (() => Promise<void>)[] = []

async function start(): Promise<WranglerDev> {
  try {
    await mkdir(FOLDER, { recursive: true, mode: 0o700 })
    await access(FOLDER, constants.R_OK | constants.W_OK)
  } catch (cause) {
    throw new StartFault(`This user must be able to write to the folder .tollgate: ${(cause as Error).message}`, {
      cause,
    })
  }
  // Before the ports: a Tollgate that already runs here has taken them, but the lock says why.
  running.push(await lockFolder(FOLDER))
  const ports = await choosePorts(process.env)
  await rm(DEV_JSON, { force: true })
  const written = textOfDevVars((await readIfThere(join(ROOT, '.dev.vars')).catch(refuseDevVars)) ?? '')
  const devVars = parseEnv(written) as Vars
  const tomlVars = await readTomlVars(join(ROOT, 'wrangler.toml'))
  for (const warning of withoutEffect(written, devVars, tomlVars)) console.warn(warning)
  const secrets = await keepSecrets(join(FOLDER, 'secrets.json'))

  const serverUrl = process.env.DATABASE_URL || devVars.DATABASE_URL
  if (serverUrl) requirePostgresUrl(serverUrl)
  const database = await openAnsweringDatabase(serverUrl ? { url: serverUrl } : { dataDir: join(FOLDER, 'postgres') })
  running.push(() => database.close())
  const neon = await serveNeonHttp(database, { port: ports.database })
  running.push(() => neon.close())
  await migrateUp({ DATABASE_URL: neon.databaseUrl, DATABASE_HTTP_URL: neon.url })

  const providers = providersOf(devVars, tomlVars)
  const fake = providers.some(({ is }) => is === 'fake') ? await startFakeProvider({ port: ports.provider }) : null
  if (fake) running.push(() => fake.close())
  const fakeProviderUrl = fake?.url ?? null

  const local = { secrets, databaseUrl: neon.databaseUrl, databaseHttpUrl: neon.url, fakeProviderUrl }
  const vars = workerVars(devVars, local)
  const envFile = join(FOLDER, 'dev.env')
  await writePrivate(envFile, formatEnvFile(vars))
  const wrangler = startWrangler({ port: ports.worker, envFile, folder: FOLDER })
  running.push(() => wrangler.stop())
  const url = await untilAnswers(wrangler)

  const adminToken = vars.ADMIN_TOKEN ?? ''
  const demoFile = serverUrl ? `demo-${databaseFingerprint(serverUrl)}.json` : 'demo.json'
  const demo = await keepDemoUser(join(FOLDER, demoFile), url, adminToken)

  const databaseUrl = serverUrl || neon.databaseUrl
  const devJson = { url, adminToken, demoKey: demo.key, databaseUrl, databaseHttpUrl: neon.url, fakeProviderUrl }
  await writePrivate(DEV_JSON, `${JSON.stringify(devJson, null, 2)}\n`)
  await greet({
    url,
    demoKey: demo.key,
    fakeProviderUrl,
    postgres: serverUrl ? 'the server of DATABASE_URL' : relative(ROOT, join(FOLDER, 'postgres')),
    providers,
    tokenFile: relative(ROOT, DEV_JSON),
    logFile: relative(ROOT, join(FOLDER, 'wrangler.log')),
  })
  return wrangler
}

function refuseDevVars(cause: Error): never {
  throw new StartFault(`.dev.vars must be a file that this user can read: ${cause.message}`, { cause })
}

/** The last line comes later: if the reader of the first ones has gone (`| head`), writing it fails, and everything stops. */
async function greet(greeted: Greeted): Promise<void> {
  process.stdout.write(`${greeting(greeted)}\n`)
  await sleep(LAST_LINE_AFTER_MS)
  if (stopping_since === null) process.stdout.write('Ctrl-C stops everything.\n')
}

const LAST_LINE_AFTER_MS = 500
/** This process gets each Ctrl-C twice, from the terminal and from npm: the copy is not a second one of the user's. */
const SAME_SIGNAL_WITHIN_MS = 500

let stopping_since: number | null = null

async function stopAll(): Promise<void> {
  for (let stop = running.pop(); stop; stop = running.pop()) await stop()
}

async function fail(error: unknown): Promise<void> {
  if (stopping_since !== null) return
  stopping_since = Date.now()
  const isSaid = error instanceof StartFault || error instanceof MigrationError
  console.error(isSaid ? error.message : isFullDisk(error) ? `The disk is full: ${error}` : error)
  await stopAll()
  process.exit(1)
}

const SQLITE_FULL = 13

function isFullDisk(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('code' in error && error.code === 'ENOSPC') || ('errcode' in error && error.errcode === SQLITE_FULL)
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

function stopUnlessStopping(): void {
  if (stopping_since === null) void stopWell()
}
// Nobody reads the output any more.
for (const stream of [process.stdout, process.stderr]) stream.on('error', stopUnlessStopping)
if (process.env.npm_lifecycle_event === 'start') onceNpmIsGone(stopUnlessStopping)

start()
  .then(async (wrangler) => {
    await wrangler.exited
    await fail(new StartFault(`wrangler dev ended:\n${await wrangler.lastOutput()}`))
  })
  .catch(fail)
