// `npm run migrate` as a process of its own.

import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { openDatabase } from '../../../src/local/database.ts'
import { readMigrations } from '../../../src/local/migrations.ts'
import { createDatabase, openTestDatabase, type TestDatabase } from '../../support/postgres.ts'
import { migrate } from './run-script.ts'

const NAMES = (await readMigrations()).map(({ name }) => name)
const NEWEST_FIRST = NAMES.toReversed()
const tookBack = (names: string[]) => names.map((name) => `Took back ${name}.\n`).join('')

describe('npm run migrate -- down', () => {
  let postgres: TestDatabase
  let env: Record<string, string>
  const users = async () => (await postgres.database.query({ query: 'select name from users', params: [] })).rows
  beforeAll(async () => {
    postgres = await openTestDatabase()
    env = { DATABASE_URL: postgres.databaseUrl, DATABASE_HTTP_URL: postgres.databaseHttpUrl }
    const query = `insert into users (id, name, time_zone, status) values (gen_random_uuid(), 'Ada', 'UTC', 'active')`
    await postgres.database.query({ query, params: [] })
  })
  afterAll(() => postgres.close())

  it('drops nothing without --force, and says what each migration would lose, and only that', async () => {
    const refused = await migrate(['down', '4'], env)
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain(`
  ALTER TABLE "usage_events" DROP COLUMN "image_input_tokens";
  ALTER TABLE "usage_events" DROP COLUMN "image_output_tokens";
`)
    expect(refused.stderr).toContain(`
  DROP INDEX "usage_events_held";
  DROP INDEX "usage_events_unpriced";
  DROP INDEX "usage_events_metadata";
  DROP INDEX "usage_events_recorded";
  ALTER TABLE "usage_events" DROP COLUMN "brings_own_key";
  ALTER TABLE "usage_events" DROP COLUMN "recorded_at";
Nothing has changed yet; if you mean it: npm run migrate -- down 4 --force
`)
    const all = (await migrate(['down', String(NAMES.length)], env)).stderr
    expect(all.startsWith(`Taking back ${NEWEST_FIRST.join(', ')} `)).toBe(true)
    expect(all).toMatch(/\n {2}DROP TABLE "prices";\n {2}DROP TABLE "usage_ev/)
    expect(all).toContain('\n  DROP TABLE "users";\n')
    expect(all).not.toContain('statement-breakpoint')
    expect(await users()).toEqual([['Ada']])
  })

  it('takes nothing back where more is asked for than was applied, and says so', async () => {
    const tooMany = NAMES.length + 1
    const refused = await migrate(['down', String(tooMany), '--force'], env)
    const stderr = `down ${tooMany} is too many: migrations applied here: ${NAMES.length}. Nothing has changed.\n`
    expect(refused).toEqual({ code: 1, stdout: '', stderr })
    expect(await users()).toEqual([['Ada']])
  })

  it('does it with --force', async () => {
    const down = await migrate(['down', String(NAMES.length), '--force'], env)
    expect(down).toEqual({ code: 0, stdout: tookBack(NEWEST_FIRST), stderr: '' })
    await expect(users()).rejects.toThrow('does not exist')
  })
})

describe('npm run migrate', () => {
  // The last of these waits for ten seconds.
  it.concurrent('shows its usage for what it does not know, and --force is for down alone', async () => {
    const wrong = ['up --force', 'up 2', 'status 1', 'down 0 --force', 'down 1 2 --force', '--force', '--fource', 'x']
    const env = { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' }
    const answers = await Promise.all(wrong.map((args) => migrate(args.split(' '), env)))
    for (const { code, stderr } of answers) {
      expect(code).toBe(1)
      expect(stderr).toMatch(/^.+\. Usage: npm run migrate .*--force.*\n$/)
    }
    expect(await migrate(['--help'], {})).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Usage: .*\n$/) })
  })

  it.concurrent('says in one line what is wrong with DATABASE_URL', async () => {
    const stderrOf = async (DATABASE_URL: string) => (await migrate([], { DATABASE_URL })).stderr
    expect(await stderrOf('mysql://x/y')).toBe('DATABASE_URL must start with postgresql://\n')
    expect(await stderrOf('postgresql://nobody@127.0.0.1:1/none')).toMatch(/^Postgres does not answer: .*\n$/)
  })

  it.concurrent('gives up on a host that accepts a connection and says nothing', async ({ onTestFinished }) => {
    const mute = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void mute.close())
    await once(mute, 'listening')
    const { port } = mute.address() as AddressInfo
    const DATABASE_URL = `postgresql://somebody:S3CRET@127.0.0.1:${port}/none`
    const { code, stderr } = await migrate([], { DATABASE_URL })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^Postgres does not answer: .*timeout.*\n$/)
    expect(stderr).not.toContain('S3CRET')
  })

  it.skipIf(!process.env.TEST_DATABASE_URL)('works on an ordinary Postgres server', async () => {
    const { url, drop } = await createDatabase(process.env.TEST_DATABASE_URL ?? '')
    onTestFinished(drop)
    const env = { DATABASE_URL: url }
    const applied = NAMES.map((name) => `Applied ${name}.\n`).join('')
    expect(await migrate([], env)).toEqual({ code: 0, stdout: applied, stderr: '' })
    expect(await migrate([], env)).toMatchObject({ code: 0, stdout: 'Nothing to do.\n' })
    expect(await migrate(['status'], env)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^0000_\w+ {2}app/) })
    expect(await migrate(['down', '--force'], env)).toMatchObject({
      code: 0,
      stdout: tookBack(NEWEST_FIRST.slice(0, 1)),
    })
  })

  it.skipIf(!process.env.TEST_DATABASE_URL)('refuses a database that cannot store all that calls may say', async () => {
    const url = new URL(process.env.TEST_DATABASE_URL ?? '')
    const server = await openDatabase({ url: url.href })
    url.pathname = `/tollgate_test_${crypto.randomUUID().replaceAll('-', '')}`
    const run = (query: string) => server.query({ query: query.replace('$', url.pathname.slice(1)), params: [] })
    await run(`create database $ encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'`)
    onTestFinished(async () => {
      await run('drop database $ with (force)')
      await server.close()
    })
    expect(await migrate([], { DATABASE_URL: url.href })).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^The database stores text as LATIN1, .* Create a database with encoding 'UTF8'\.\n$/,
      ),
    })
  })
})
