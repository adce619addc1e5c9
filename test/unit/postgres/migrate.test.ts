import { afterAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { migrateDown, migrateUp, openMigrationDatabase, readMigrations } from '../../../src/local/migrations.ts'
import {
  down,
  type Migration,
  type MigrationDatabase,
  MigrationError,
  status,
  up,
} from '../../../src/postgres/migrate.ts'
import { openTestDatabase } from '../../support/postgres.ts'
import { migrate } from '../local/run-script.ts'

const test_database = await openTestDatabase()
const config = { DATABASE_URL: test_database.databaseUrl, DATABASE_HTTP_URL: test_database.databaseHttpUrl }
const database: MigrationDatabase = openMigrationDatabase(config)
afterAll(() => test_database.close())

const one: Migration = {
  name: '0000_one',
  up: 'create table one (id int primary key);\n--> statement-breakpoint\ninsert into one values (1)',
  down: 'drop table one',
}
const two: Migration = { name: '0001_two', up: 'alter table one add name text', down: 'alter table one drop name' }
const broken: Migration = {
  name: '0002_broken',
  up: 'create table half (id int)--> statement-breakpoint\nselect 1 / 0',
  down: 'drop table half',
}

async function tables(): Promise<string[]> {
  const rows = await database.query({
    text: `select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') order by 1`,
  })
  return rows.map(({ relname }) => String(relname))
}

beforeEach(() => database.transaction([{ text: 'drop schema public cascade' }, { text: 'create schema public' }]))

describe('any migrations', () => {
  test('are applied in order, once', async () => {
    expect(await up(database, [one])).toEqual(['0000_one'])
    expect(await up(database, [one, two])).toEqual(['0001_two'])
    expect(await up(database, [one, two])).toEqual([])
    expect(await status(database, [one, two])).toEqual([
      { name: '0000_one', applied_at: expect.stringMatching(/^\d{4}-.*T.*\.\d{3}Z$/) },
      { name: '0001_two', applied_at: expect.any(String) },
    ])
  })

  test('one that fails leaves nothing behind, and what went before it stays', async () => {
    await expect(up(database, [one, two, broken])).rejects.toThrow('0002_broken: division by zero')
    expect(await tables()).toEqual(['one', 'tollgate_migrations'])
    expect((await status(database, [one, two, broken])).map(({ applied_at }) => applied_at !== null)).toEqual([
      true,
      true,
      false,
    ])
    expect(await up(database, [one, two, { ...broken, up: 'create table half (id int)' }])).toEqual(['0002_broken'])
  })

  test('a way back that fails leaves the migration applied', async () => {
    const stuck = { ...one, down: 'drop table one--> statement-breakpoint\nselect 1 / 0' }
    await up(database, [stuck])
    await expect(down(database, [stuck], 1)).rejects.toThrow('0000_one: division by zero')
    expect(await tables()).toEqual(['one', 'tollgate_migrations'])
    expect((await status(database, [stuck]))[0]?.applied_at).not.toBeNull()
  })

  test('go back newest first, as many steps as asked for', async () => {
    await up(database, [one, two])
    expect(await down(database, [one, two], 1)).toEqual(['0001_two'])
    expect(await up(database, [one, two])).toEqual(['0001_two'])
    expect(await down(database, [one, two], 9)).toEqual(['0001_two', '0000_one'])
    expect(await tables()).toEqual(['tollgate_migrations'])
    expect(await down(database, [one, two], 1)).toEqual([])
  })

  test('a role that may not create tables is told so, without a stack where npm start migrates', async () => {
    await database.query({ text: 'drop schema public cascade' })
    onTestFinished(async () => void (await database.query({ text: 'create schema public' })))
    const refusal = up(database, [one])
    await expect(refusal).rejects.toThrow('no schema has been selected to create in')
    await expect(refusal).rejects.toThrow(MigrationError)
    // npm run migrate shows it.
    await expect(refusal).rejects.toHaveProperty('cause.code', '3F000')
  })

  test('who may only read is told what is applied, and what is to come where nothing is', async () => {
    const reader: MigrationDatabase = {
      query: (statement) => database.query(statement),
      transaction: (statements) => database.transaction([{ text: 'set transaction read only' }, ...statements]),
    }
    expect(await status(reader, [one])).toEqual([{ name: '0000_one', applied_at: null }])
    expect(await down(reader, [one], 1)).toEqual([])
    expect(await tables()).toEqual([])
    await up(database, [one])
    expect(await status(reader, [one, two])).toMatchObject([{ applied_at: expect.any(String) }, { applied_at: null }])
    expect(await up(reader, [one])).toEqual([])
  })

  test('one whose answer was lost is named among what was done', async () => {
    const lossy: MigrationDatabase = {
      query: (statement) => database.query(statement),
      async transaction(statements) {
        await database.transaction(statements)
        if (statements.length > 2) throw new Error('socket hang up')
      },
    }
    expect(await up(lossy, [one, two])).toEqual(['0000_one', '0001_two'])
    expect(await down(lossy, [one, two], 2)).toEqual(['0001_two', '0000_one'])
  })

  test('racing runs apply each migration once, and all of them succeed', async () => {
    const runs = await Promise.all(Array.from({ length: 5 }, () => up(database, [one, two])))
    expect(runs.flat().sort()).toEqual(['0000_one', '0001_two'])
    const backs = await Promise.all(Array.from({ length: 5 }, () => down(database, [one, two], 2)))
    expect(backs.flat().sort()).toEqual(['0000_one', '0001_two'])
  })

  test('a run that goes up while another goes back leaves none that was applied without the one before it', async () => {
    const three: Migration = { name: '0002_three', up: 'create table three (id int)', down: 'drop table three' }
    const all = [one, two, three]
    await up(database, [one, two])
    const overtaken: MigrationDatabase = {
      query: (statement) => database.query(statement),
      async transaction(statements) {
        if (statements.some(({ text }) => text === three.up)) await down(database, [one, two], 1)
        await database.transaction(statements)
      },
    }
    await expect(up(overtaken, all)).rejects.toThrow('0002_three: another run went the other way meanwhile')
    expect(await up(database, all)).toEqual(['0001_two', '0002_three'])

    await down(database, all, 1)
    const overtakenBack: MigrationDatabase = {
      query: (statement) => database.query(statement),
      async transaction(statements) {
        if (statements.some(({ text }) => text === two.down)) await up(database, all)
        await database.transaction(statements)
      },
    }
    await expect(down(overtakenBack, all, 1)).rejects.toThrow('0001_two: another run went the other way meanwhile')
    expect(await down(database, all, 3)).toEqual(['0002_three', '0001_two', '0000_one'])
  })

  test('one that was changed after it was applied is refused by name', async () => {
    await up(database, [one])
    await expect(up(database, [{ ...one, up: `${one.up} ` }])).rejects.toThrow('0000_one has changed')
    await expect(up(database, [{ ...one, up: one.up.replaceAll('\n', '\r\n') }, two])).resolves.toEqual(['0001_two'])
  })

  test("may take longer than Node's fetch waits for an answer: it is not asked", async () => {
    const asked = vi.spyOn(globalThis, 'fetch')
    onTestFinished(() => asked.mockRestore())
    expect(await up(database, [one])).toEqual(['0000_one'])
    expect(asked).not.toHaveBeenCalled()
  })

  test('one that is not here, or that came too late, is refused by name', async () => {
    await up(database, [one, two])
    await expect(up(database, [one])).rejects.toThrow('The database has 0001_two')
    await expect(up(database, [one, { ...one, name: '0000_zero' }, two])).rejects.toThrow(
      '0001_two was applied, but 0000_zero before it was not',
    )
  })
})

function insertData(): Promise<unknown> {
  return database.transaction([
    { text: `insert into users (id, name) values ('00000000-0000-0000-0000-000000000001', 'Ada')` },
    { text: `insert into caps (user_id, cap_type, limit_requests) select id, 'daily', 1 from users` },
    {
      text: `insert into api_keys (id, user_id, name, last_four, scopes) select id, id, 'k', 'abcd', '{call}' from users`,
    },
    { text: `insert into default_caps (cap_type, limit_tokens) values ('total', 5)` },
    {
      text: 'insert into usage_events select * from json_populate_record(null::usage_events, $1)',
      params: [JSON.stringify(bareEvent)],
    },
  ])
}

/** Everything that migrations make, a line each. Columns by name: one that is added again comes last. */
async function schema(): Promise<string[]> {
  const rows = await database.query({
    text: `with ours as (
        select oid, relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p'))
      select concat_ws(' ', relname, attname, format_type(atttypid, atttypmod), attnotnull,
        pg_get_expr(adbin, adrelid)) as line
      from ours join pg_attribute on attrelid = ours.oid and attnum > 0 and not attisdropped
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
      union all select pg_get_indexdef(indexrelid) from ours join pg_index on indrelid = ours.oid
      union all select concat_ws(' ', relname, conname, pg_get_constraintdef(pg_constraint.oid))
      from ours join pg_constraint on conrelid = ours.oid
      union all select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
      order by 1`,
  })
  return rows.map(({ line }) => String(line))
}

const NAMES = (await readMigrations()).map(({ name }) => name)

describe("Tollgate's own migrations", () => {
  test('go up, down and up again with data in place', async () => {
    expect(await migrateUp(config)).toEqual(NAMES)
    await insertData()
    expect(await migrateUp(config)).toEqual([])
    expect(await database.query({ text: 'select name from users' })).toEqual([{ name: 'Ada' }])

    expect(await migrateDown(config, NAMES.length)).toEqual(NAMES.toReversed())
    expect(await tables()).toEqual(['tollgate_migrations'])
    const functions = `select proname from pg_proc where pronamespace = 'public'::regnamespace`
    expect(await database.query({ text: functions })).toEqual([])

    expect(await migrateUp(config)).toEqual(NAMES)
    expect(await database.query({ text: 'select count(*)::int as count from users' })).toEqual([{ count: 0 }])
  })

  test('taken back one by one, each leaves what was there before it, data and all', async () => {
    const [first, ...rest] = await readMigrations()
    const applied = first ? [first] : []
    await up(database, applied)
    await insertData()
    const counts = { text: 'select (select count(*)::int from users), (select count(*)::int from usage_events) events' }
    for (const migration of rest) {
      const before = await schema()
      applied.push(migration)
      await up(database, applied)
      const after = await schema()

      await down(database, applied, 1)
      expect(await schema(), migration.name).toEqual(before)
      await up(database, applied)
      expect(await schema(), migration.name).toEqual(after)
      expect(await database.query(counts)).toEqual([{ count: 1, events: 1 }])
    }
  })

  test('the command says which one failed, and why', async () => {
    await database.transaction([{ text: 'create table prices (id int)' }])
    const stderr = '0001_prices: relation "prices" already exists\nSQLSTATE 42P07\n'
    expect(await migrate([], config)).toEqual({ code: 1, stdout: '', stderr })
  })

  test('the command says what it did', async () => {
    expect(await migrate([], config)).toMatchObject({
      code: 0,
      stdout: NAMES.map((name) => `Applied ${name}.\n`).join(''),
    })
    expect(await migrate(['status'], config)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^0000_\w+ {2}applied 2/),
    })
    expect(await migrate(['down', '1', '--force'], config)).toMatchObject({
      code: 0,
      stdout: `Took back ${NAMES.at(-1)}.\n`,
    })
  })

  test('the command says what is missing, without a stack', async () => {
    const nowhere = { DATABASE_URL: config.DATABASE_URL, DATABASE_HTTP_URL: 'http://127.0.0.1:1/sql' }
    const [unset, wrong, unreachable] = await Promise.all([
      migrate([], {}),
      migrate(['sideways'], {}),
      migrate(['status'], nowhere),
    ])
    expect(unset).toMatchObject({ code: 1, stderr: expect.stringMatching(/^Set DATABASE_URL.*\n$/) })
    expect(wrong).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^There is no "sideways"\. Usage: npm run migrate.*\n$/),
    })
    expect(unreachable).toMatchObject({ code: 1, stderr: expect.stringMatching(/^Error connecting.*\n$/) })
  })
})

const bareEvent = {
  id: '00000000-0000-0000-0000-00000000000e',
  occurred_at: new Date().toISOString(),
  settled_at: new Date().toISOString(),
  user_id: '00000000-0000-0000-0000-000000000001',
  provider: 'openai',
  operation: 'chat_completions',
  method: 'POST',
  path: '/v1/chat/completions',
  recorded_at: new Date().toISOString(),
  stream: false,
  brings_own_key: false,
  outcome: 'settled',
  usage_source: 'reported',
  overrun: false,
  revision: 0,
  requests: 1,
  input_tokens: 1,
  cached_input_tokens: 0,
  cache_write_5m_tokens: 0,
  cache_write_1h_tokens: 0,
  audio_input_tokens: 0,
  image_input_tokens: 0,
  output_tokens: 1,
  reasoning_tokens: 0,
  audio_output_tokens: 0,
  image_output_tokens: 0,
  web_search_requests: 0,
  cost_nano_usd: 1,
}
