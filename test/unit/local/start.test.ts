// `npm start` as a process of its own, in a project whose worker is a stub.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs, { rmSync } from 'node:fs'
import { appendFile, copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { openDatabase } from '../../../src/local/database.ts'
import { startFakeProvider } from '../../../src/local/fake-provider.ts'
import { lockFolder } from '../../../src/local/folder-lock.ts'
import { keepSecrets } from '../../../src/local/kept.ts'
import { choosePorts } from '../../../src/local/ports.ts'
import { openSql } from '../../../src/postgres/sql.ts'
import { createDatabase } from '../../support/postgres.ts'

const here = import.meta.dirname
let project: string

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'tollgate-start-'))
  await mkdir(join(project, '.tollgate'))
  await makeWorker()
})
async function makeWorker() {
  await copyFile(join(here, 'stub-worker.js'), join(project, 'worker.js'))
  await writeFile(
    join(project, 'wrangler.toml'),
    'name = "stub"\nmain = "worker.js"\ncompatibility_date = "2026-10-01"\n',
  )
}
afterAll(async () => {
  await rm(project, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

interface Started {
  child: ChildProcess
  output: Promise<string>
  code: Promise<number | null>
}
const SCRIPT = resolve(here, '../../../src/local/start.ts')
function start(
  env: Record<string, string> = {},
  [command = '', ...args]: string[] = [process.execPath, SCRIPT],
): Started {
  rmSync(join(project, '.tollgate/dev.json'), { force: true })
  const { DATABASE_URL: _, ...inherited } = process.env
  const ports = { TOLLGATE_PORT: '0', TOLLGATE_DATABASE_PORT: '0', TOLLGATE_PROVIDER_PORT: '0' }
  const child = spawn(command, args, { cwd: project, env: { ...inherited, ...ports, ...env } })
  const output = Promise.all([text(child.stdout), text(child.stderr)]).then((streams) => streams.join(''))
  const code = once(child, 'exit').then(([code]) => code)
  // Where a test fails it still runs, and the next could not start in this folder.
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await code
  })
  return { child, output, code }
}
const readJson = async (file: string) => JSON.parse(await readFile(join(project, '.tollgate', file), 'utf8'))
async function started(options: Started): Promise<Record<string, string>> {
  let ended = false
  void options.code.then(() => {
    ended = true
  })
  await expect.poll(() => ended || readJson('dev.json').catch(() => null), { timeout: 40_000 }).toBeTruthy()
  if (ended) expect.unreachable(await options.output)
  return readJson('dev.json')
}
async function stop({ child, code }: Started): Promise<number | null> {
  child.kill('SIGINT')
  return code
}
/** Of those that a start left. */
async function filesWith(text: string): Promise<string[]> {
  const folder = join(project, '.tollgate')
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  const contents = await Promise.all(files.map((file) => readFile(file, 'latin1')))
  return files.filter((_, index) => contents[index]?.includes(text))
}
const isOpen = (url = '') =>
  fetch(url).then(
    () => true,
    () => false,
  )
async function commandLines(): Promise<string> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  return (await Promise.all(processes.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')))).join('\n')
}
const sqlOf = (dev: Record<string, string>) =>
  openSql({ DATABASE_URL: dev.databaseUrl ?? '', DATABASE_HTTP_URL: dev.databaseHttpUrl })

// Windows has no signal with which a test could stop it well, and no modes of files.
describe.skipIf(process.platform === 'win32')('npm start', { timeout: 120_000 }, () => {
  it('says how to call it, keeps its secrets private, and a second start keeps data, key and the log of the first', async () => {
    onTestFinished(() => rm(join(project, '.dev.vars')))
    onTestFinished(makeWorker)
    const acme = '[[vars.PROVIDERS]]\nname = "acme"\nbase_url = "https://api.acme.example/v1"\n'
    await appendFile(join(project, 'wrangler.toml'), acme)
    const things =
      '[{"provider":"things","base_url":"http://x","credential_header":"x-key","routes":[{"name":"one","method":"GET","path":"/one","usd_per_request":0.1}]}]'
    await writeFile(
      join(project, '.dev.vars'),
      `ANTHROPIC_API_KEY='sk-ant-$real"'
JWT_ISSUER="me"
GROQ_API_KEY=gsk
ACME_API_KEY=acme
OPENAI_KEY=sk-x
GEMINI_API_KEY goog-x
PER_CALL_SERVICES='${things}'
`,
    )
    const first = start()
    const dev = await started(first)
    const vars = (await (await fetch(`${dev.url}/vars?key=in-the-query`)).json()) as Record<string, string>
    expect(vars).toMatchObject({
      ADMIN_TOKEN: dev.adminToken,
      ANTHROPIC_API_KEY: 'sk-ant-$real"',
      JWT_ISSUER: 'me',
      OPENAI_API_KEY: 'sk-fake',
      OPENAI_BASE_URL: dev.fakeProviderUrl,
      DATABASE_URL: dev.databaseUrl,
      DATABASE_HTTP_URL: dev.databaseHttpUrl,
    })
    expect(vars).not.toHaveProperty('ANTHROPIC_BASE_URL')
    for (const file of ['dev.json', 'dev.env', 'secrets.json', 'demo.json', 'wrangler.log'])
      expect((await stat(join(project, '.tollgate', file))).mode & 0o077, file).toBe(0)
    if (process.platform === 'linux') expect(await commandLines()).not.toContain(vars.KEY_SIGNING_SECRETS)
    await sqlOf(dev)`create table kept as select 42 as answer`

    expect(await stop(first)).toBe(0)
    const output = await first.output
    expect(output).toContain(`curl ${dev.url}/openai/v1/chat/completions`)
    expect(output).toContain(dev.demoKey)
    expect(output).toContain(
      `Anthropic, acme, groq, things real; OpenAI, Bedrock, Gemini, Google Places fake (${dev.fakeProviderUrl};`,
    )
    expect(output).toContain('.dev.vars: OPENAI_KEY is unknown to Tollgate and has no effect.\n')
    expect(output).toContain('.dev.vars: the line of GEMINI_API_KEY is not GEMINI_API_KEY=value and has no effect.\n')
    expect(output.match(/no effect/g)).toHaveLength(2)
    expect(output).toContain(`${dev.demoKey} (50 requests an hour; 100 requests, 200,000 tokens, $1 a day)\n`)
    expect(output.trim().split('\n').length).toBeLessThan(15)
    for (const url of [dev.url, dev.databaseHttpUrl, dev.fakeProviderUrl]) expect(await isOpen(url)).toBe(false)

    expect(await filesWith('in-the-query')).toEqual([])

    const log = join(project, '.tollgate/wrangler.log')
    const logged = await readFile(log, 'utf8')
    const second = start()
    const again = await started(second)
    expect(again).toMatchObject({ adminToken: dev.adminToken, demoKey: dev.demoKey })
    expect(await sqlOf(again)`select answer from kept`).toEqual([{ answer: 42 }])
    expect(await readFile(`${log}.1`, 'utf8')).toBe(logged)
    expect((await stat(`${log}.1`)).mode & 0o077).toBe(0)
    expect(await stop(second)).toBe(0)
  })

  it('says what to do about secrets that are cut off, in one line', async () => {
    const file = join(project, '.tollgate/secrets.json')
    await keepSecrets(file)
    const whole = await readFile(file)
    onTestFinished(() => writeFile(file, whole))
    await writeFile(file, whole.subarray(0, 20))
    const refused = start()
    expect(await refused.code).toBe(1)
    expect(await refused.output).toMatch(/^\.tollgate\/secrets\.json is damaged\. .* delete it: .*\n$/)
  })

  it('stops everything where nobody reads its output any more', async () => {
    // Before it says anything, and when it has said most.
    for (const reader of ['true', 'head -9']) {
      const piped = start({}, ['sh', '-c', `"${process.execPath}" "${SCRIPT}" | ${reader}`])
      expect(await piped.code).toBe(0)
      const dev = await readJson('dev.json')
      for (const url of [dev.url, dev.databaseHttpUrl, dev.fakeProviderUrl]) expect(await isOpen(url)).toBe(false)
    }
  })

  it('runs once in a folder, whichever ports are asked for; kill -9 leaves nothing running, and a start after it has its data', async () => {
    const first = start()
    const dev = await started(first)
    const refusal = `Tollgate already runs in this folder (process ${first.child.pid}): dev.json there says where it answers.\n`
    for (const port of ['0', new URL(dev.url ?? '').port]) {
      const other = start({ TOLLGATE_PORT: port })
      expect(await other.code).toBe(1)
      expect(await other.output).toBe(refusal)
    }
    first.child.kill('SIGKILL')
    await expect.poll(() => isOpen(dev.url), { timeout: 15_000 }).toBe(false)

    // Now of npm alone.
    const scripts = { start: `"${process.execPath}" "${SCRIPT}"` }
    await writeFile(join(project, 'package.json'), JSON.stringify({ scripts }))
    onTestFinished(() => rm(join(project, 'package.json')))
    const second = start({}, ['npm', 'start'])
    const again = await started(second)
    expect(again.demoKey).toBe(dev.demoKey)
    second.child.kill('SIGKILL')
    for (const url of [again.url, again.databaseHttpUrl, again.fakeProviderUrl])
      await expect.poll(() => isOpen(url), { timeout: 15_000 }).toBe(false)
  })

  it('says in one line that .dev.vars or .tollgate is not what it must be', async () => {
    onTestFinished(() => rm(join(project, '.dev.vars'), { recursive: true }))
    await mkdir(join(project, '.dev.vars'))
    const refused = start()
    expect(await refused.code).toBe(1)
    expect(await refused.output).toMatch(/^\.dev\.vars must be a file that this user can read: EISDIR: .*\n$/)

    const elsewhere = await mkdtemp(join(tmpdir(), 'tollgate-start-'))
    onTestFinished(() => rm(elsewhere, { recursive: true }))
    const startElsewhere = () => start({}, ['sh', '-c', `cd "${elsewhere}" && exec "${process.execPath}" "${SCRIPT}"`])
    const folder = join(elsewhere, '.tollgate')
    await writeFile(folder, '')
    const unwritable = startElsewhere()
    expect(await unwritable.code).toBe(1)
    expect(await unwritable.output).toMatch(/^This user must be able to write to the folder \.tollgate: EEXIST: .*\n$/)

    await rm(folder)
    await mkdir(join(folder, 'postgres'), { recursive: true })
    await writeFile(join(folder, 'postgres/PG_VERSION'), '18')
    const damaged = startElsewhere()
    expect(await damaged.code).toBe(1)
    expect(await damaged.output).toMatch(
      /^The Postgres in .*\.tollgate.postgres does not open\. Is the disk full, is the database damaged, .*\n$/,
    )
  })

  it.skipIf(process.platform !== 'linux')('says in one line that the disk is full', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'tollgate-start-'))
    onTestFinished(() => rm(elsewhere, { recursive: true }))
    await mkdir(join(elsewhere, '.tollgate'))
    await symlink('/dev/full', join(elsewhere, '.tollgate/running.pid'))
    const refused = start({}, ['sh', '-c', `cd "${elsewhere}" && exec "${process.execPath}" "${SCRIPT}"`])
    expect(await refused.code).toBe(1)
    expect(await refused.output).toMatch(/^The disk is full: Error: ENOSPC: .*\n$/)
  })

  it('of an older version than the database says so in one line', async () => {
    const run = async (...queries: string[]) => {
      const database = await openDatabase({ dataDir: join(project, '.tollgate/postgres') })
      for (const query of queries) await database.query({ query, params: [] })
      await database.close()
    }
    await run(
      `create table if not exists tollgate_migrations (
        name text primary key, checksum text not null, applied_at timestamptz(3) not null default now())`,
      `insert into tollgate_migrations (name, checksum) values ('9999_newer', '')`,
    )
    // A new one would take the next start twice the time.
    onTestFinished(() => run(`delete from tollgate_migrations where name = '9999_newer'`))
    const older = start()
    expect(await older.code).toBe(1)
    expect(await older.output).toMatch(/^The database has 9999_newer, which is not here: .*\n$/)
  })

  it('needs neither a home folder nor the internet, and ends what hangs by force', async () => {
    let asked = 0
    const proxy = createServer(() => asked++).listen(0, '127.0.0.1')
    onTestFinished(() => void proxy.close())
    await once(proxy, 'listening')
    const address = proxy.address()
    const HTTPS_PROXY = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
    const names = ['https_proxy', 'HTTP_PROXY', 'http_proxy'].map((name) => [name, HTTPS_PROXY])
    // Without NODE_ENV, which vitest sets to "test": then wrangler asks for less.
    const one = start({ HOME: '/dev/null/home', HTTPS_PROXY, ...Object.fromEntries(names), NO_PROXY: '', NODE_ENV: '' })
    const dev = await started(one)
    expect(asked).toBe(0)
    if (process.platform === 'linux') {
      const childOf = async (pid = 0) => Number(await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'))
      process.kill(await childOf(await childOf(one.child.pid)), 'SIGSTOP')
    }
    expect(await stop(one)).toBe(0)
    for (const url of [dev.url, dev.databaseHttpUrl, dev.fakeProviderUrl]) expect(await isOpen(url)).toBe(false)
  })

  it('says in one line that a port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    const address = other.address()
    const port = typeof address === 'object' ? String(address?.port) : ''
    const refused = start({ TOLLGATE_PROVIDER_PORT: port })
    expect(await refused.code).toBe(1)
    expect(await refused.output).toBe(`Port ${port} is in use. Set TOLLGATE_PROVIDER_PORT to another port.\n`)
  })

  it('says of all ports at once that they are in use', async () => {
    const others = await Promise.all([1, 2, 3].map(() => startFakeProvider()))
    onTestFinished(async () => void (await Promise.all(others.map((other) => other.close()))))
    const variables = ['TOLLGATE_PORT', 'TOLLGATE_DATABASE_PORT', 'TOLLGATE_PROVIDER_PORT']
    const taken = variables.map((variable, at) => [variable, new URL(others[at]?.url ?? '').port] as const)
    const lines = taken.map(([variable, port]) => `Port ${port} is in use. Set ${variable} to another port.`)
    await expect(choosePorts(Object.fromEntries(taken))).rejects.toThrow(lines.join('\n'))
  })

  it('says which variable the worker refuses, and leaves nothing running', async () => {
    onTestFinished(() => rm(join(project, '.dev.vars')))
    await writeFile(join(project, '.dev.vars'), 'CAP_STATUS=500\n')
    const refused = start()
    expect(await refused.code).toBe(1)
    expect(await refused.output).toBe('Tollgate is not configured. CAP_STATUS: wrong\n')
    const [url] = (await readFile(join(project, '.tollgate/wrangler.log'), 'utf8')).match(/http:[^\s]*/) ?? []
    expect(url).toBeDefined()
    expect(await isOpen(url)).toBe(false)
  })

  it.skipIf(!process.env.TEST_DATABASE_URL)('remembers the demo user of every database', async () => {
    const own = await createDatabase(process.env.TEST_DATABASE_URL ?? '')
    const keys: (string | undefined)[] = []
    for (const DATABASE_URL of ['', own.url, '', own.url]) {
      const one = start({ DATABASE_URL })
      keys.push((await started(one)).demoKey)
      expect(await stop(one)).toBe(0)
    }
    expect(keys.slice(2)).toEqual(keys.slice(0, 2))
    expect(keys[0]).not.toBe(keys[1])
    await own.drop()
  })

  it('shows at once why a worker does not build', async () => {
    onTestFinished(makeWorker)
    await writeFile(join(project, 'worker.js'), `import './missing.js'\n`)
    const broken = start()
    expect(await broken.code).toBe(1)
    expect(await broken.output).toContain('Could not resolve "./missing.js"')
  })

  it('shows what wrangler said where it cannot run the worker, and stops', async () => {
    onTestFinished(makeWorker)
    await writeFile(join(project, 'wrangler.toml'), 'name = "stub"\nmain = "no-such-file.js"\n')
    const broken = start()
    expect(await broken.code).toBe(1)
    expect(await broken.output).toContain('no-such-file.js')
  })

  it('says that the Postgres of DATABASE_URL does not answer', async () => {
    const refused = start({ DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' })
    expect(await refused.code).toBe(1)
    expect(await refused.output).toMatch(/^Postgres does not answer: .*\n$/)
  })

  it('says in one line that DATABASE_URL is no Postgres', async () => {
    const refused = start({ DATABASE_URL: 'mysql://x/y' })
    expect(await refused.code).toBe(1)
    expect(await refused.output).toBe('DATABASE_URL must start with postgresql://\n')
  })
})

describe('the lock of a folder', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tollgate-lock-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('has one owner at a time, however many race for it', async () => {
    for (let round = 0; round < 3; round++) {
      const racers = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)))
      const winners = racers.flatMap((racer) => (racer.status === 'fulfilled' ? [racer.value] : []))
      expect(winners).toHaveLength(1)
      await expect(lockFolder(folder)).rejects.toThrow(`already runs in this folder (process ${process.pid})`)
      await winners[0]?.()
    }
  })

  it('is free again once its process was killed', async () => {
    const script = `
      import { lockFolder } from ${JSON.stringify(new URL('../../../src/local/folder-lock.ts', import.meta.url).href)}
      await lockFolder(${JSON.stringify(folder)})
      console.log('locked')
      setInterval(() => {}, 1_000)`
    const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(owner.stdout, 'data')
    await expect(lockFolder(folder)).rejects.toThrow(`already runs in this folder (process ${owner.pid})`)
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    await (await lockFolder(folder))()
  })
})

describe('the embedded Postgres', () => {
  it('opens after a disk that was full just before it was whole', { timeout: 60_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-postgres-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const dataDir = join(folder, 'postgres')
    const write = fs.writeFileSync
    const full = vi.spyOn(fs, 'writeFileSync').mockImplementation((file, ...rest) => {
      if (String(file).endsWith('/postgresql.conf')) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      write(file, ...rest)
    })
    await expect(openDatabase({ dataDir })).rejects.toThrow('Is the disk full')
    full.mockRestore()
    const database = await openDatabase({ dataDir })
    expect((await database.query({ query: 'select 1', params: [] })).rows).toEqual([['1']])
    await database.close()
  })
})

describe('the secrets', () => {
  it('are made once, and never again in the place of damaged ones', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-secrets-'))
    const file = join(folder, 'secrets.json')
    const made = await keepSecrets(file)
    expect(await keepSecrets(file)).toEqual(made)
    for (const damaged of ['', '{"KEY_SIGNING', 'null', '[]', '{}', '{"KEY_SIGNING_SECRETS":"x","ADMIN_TOKEN":""}']) {
      await writeFile(file, damaged)
      await expect(keepSecrets(file), damaged).rejects.toThrow('is damaged')
      expect(await readFile(file, 'utf8')).toBe(damaged)
    }
    await rm(folder, { recursive: true })
  })
})

describe('ports', () => {
  it.each(['x', '-1', '70000', '1.5'])('refuses TOLLGATE_PORT=%s', async (TOLLGATE_PORT) => {
    await expect(choosePorts({ TOLLGATE_PORT })).rejects.toThrow('TOLLGATE_PORT is not a port number')
  })
  it('refuses one port for two', async () => {
    const same = { TOLLGATE_PORT: '20787', TOLLGATE_DATABASE_PORT: '20787' }
    await expect(choosePorts(same)).rejects.toThrow('Port 20787 is in use. Set TOLLGATE_DATABASE_PORT')
  })
})
