import { once } from 'node:events'
import { connect } from 'node:net'
import { NeonDbError, type NeonQueryFunction, neon, neonConfig } from '@neondatabase/serverless'
import { sql as raw } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/neon-http'
import { bigint, boolean, jsonb, numeric, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type LocalDatabase, openDatabase } from '../../../src/local/database.ts'
import { type NeonHttpServer, serveNeonHttp } from '../../../src/local/neon-http.ts'

const things = pgTable('neon_http_things', {
  id: bigint({ mode: 'number' }).primaryKey(),
  amount: numeric(),
  at: timestamp({ withTimezone: true }),
  facts: jsonb().$type<{ [key: string]: unknown }>(),
  tags: text().array(),
  on: boolean(),
  owner: uuid(),
  name: text(),
})

const databases: [string, () => Promise<LocalDatabase>][] = [['PGlite in memory', () => openDatabase()]]
const url = process.env.TEST_DATABASE_URL
if (url) {
  const elsewhere = new URL(url)
  elsewhere.searchParams.set('options', '-c datestyle=SQL,DMY -c timezone=Asia/Kolkata -c intervalstyle=sql_standard')
  databases.push(['the Postgres server of TEST_DATABASE_URL', () => openDatabase({ url })])
  databases.push(['a server that is set otherwise', () => openDatabase({ url: elsewhere.href })])
}

describe.each(databases)('Neon over HTTP on %s', (_, open) => {
  let database: LocalDatabase
  let server: NeonHttpServer
  let sql: NeonQueryFunction<false, false>
  const count = async () => Number((await sql`select count(*) from neon_http_things`)[0]?.count)
  const failure = (query: Promise<unknown>) =>
    query.then(
      () => expect.unreachable('the query succeeded'),
      (error) => error as NeonDbError,
    )

  beforeAll(async () => {
    database = await open()
    server = await serveNeonHttp(database, { port: 0 })
    neonConfig.fetchEndpoint = () => server.url
    sql = neon(server.databaseUrl)
    await sql`drop table if exists neon_http_things`
    await sql`create table neon_http_things (id bigint primary key, amount numeric, at timestamptz, facts jsonb,
      tags text[], "on" boolean, owner uuid, name text check (name <> 'bad'))`
  })
  afterAll(async () => {
    await sql`drop table neon_http_things`
    await server.close()
    await database.close()
  })

  it("tells clients of Postgres's own protocol that it speaks another, with and without a wish to encrypt", async () => {
    const refusal = "This Postgres speaks Neon's HTTP protocol alone"
    const client = new pg.Client({ connectionString: server.databaseUrl })
    await expect(client.connect()).rejects.toThrow(refusal)

    const { hostname, port } = new URL(server.url)
    const psql = connect(Number(port), hostname)
    psql.write(Buffer.from('0000000804d2162f', 'hex'))
    expect(String((await once(psql, 'data'))[0])).toBe('N')
    psql.write(Buffer.from('0000000800030000', 'hex'))
    expect(String((await once(psql, 'data'))[0])).toContain(refusal)
    await once(psql, 'close')
  })

  it('takes a client that hangs up in the middle of a query for no fault of its own', async () => {
    const printed = vi.spyOn(console, 'error')
    onTestFinished(() => printed.mockRestore())
    const { hostname, port } = new URL(server.url)
    const client = connect(Number(port), hostname)
    client.write('POST /sql HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"query":')
    await once(client, 'connect')
    // Answered after what the client has sent is being read, and again after it has gone.
    await sql`select 1`
    client.destroy()
    await once(client, 'close')
    await sql`select 1`
    expect(printed).not.toHaveBeenCalled()
  })

  it('returns every type as the driver parses it from Neon', async () => {
    const at = new Date('2026-02-03T04:05:06.789Z')
    const bytes = new Uint8Array([0, 1, 255, 92])
    const [row] =
      await sql`select ${'9007199254740993'}::int8 as big, ${'0.10'}::numeric as amount, ${at}::timestamptz as at,
      ${{ a: ['ü', null, 1] }}::jsonb as facts, ${['a,b', '"c"', '']}::text[] as tags, ${true}::bool as yes, ${null}::text as none,
      ${'6f1c1f0a-0d3b-4c1e-9d5e-0123456789ab'}::uuid as owner, ${'日本 \\ \' " 😀'}::text as name, ${bytes}::bytea as bytes,
      ${7}::int4 as small, ${1.5}::float8 as half`
    // drizzle-orm turns the driver's own parser of timestamptz off for the whole process.
    expect({ ...row, at: new Date(row?.at) }).toEqual({
      big: '9007199254740993',
      amount: '0.10',
      at,
      facts: { a: ['ü', null, 1] },
      tags: ['a,b', '"c"', ''],
      yes: true,
      none: null,
      owner: '6f1c1f0a-0d3b-4c1e-9d5e-0123456789ab',
      name: '日本 \\ \' " 😀',
      bytes: Buffer.from(bytes),
      small: 7,
      half: 1.5,
    })
  })

  it('answers instants in UTC, as Neon does', async () => {
    const result = await sql.query(`select '2026-02-03T06:05:06+02'::timestamptz::text as at`, [], {
      fullResults: true,
    })
    expect(result.rows).toEqual([{ at: '2026-02-03 04:05:06+00' }])
  })

  it('tells the command and the row count', async () => {
    const inserted = await sql.query('insert into neon_http_things (id) values (901), (902)', [], { fullResults: true })
    expect(inserted).toMatchObject({ command: 'INSERT', rowCount: 2, rows: [], fields: [] })
    const deleted = await sql.query('delete from neon_http_things where id > $1 returning id', [900], {
      fullResults: true,
      arrayMode: true,
    })
    expect(deleted).toMatchObject({ command: 'DELETE', rowCount: 2, rows: [['901'], ['902']] })
  })

  it('works under drizzle-orm/neon-http: insert, conflict, select, batch', async () => {
    const orm = drizzle({ client: sql })
    const row = {
      id: 1,
      amount: '12.340',
      at: new Date('2026-05-06T07:08:09.000Z'),
      facts: { nested: { list: [1, 'ü'] } },
      tags: ['x', 'y z'],
      on: false,
      owner: null,
      name: 'ünï',
    }
    await orm.insert(things).values(row)
    await orm.insert(things).values(row).onConflictDoNothing()
    expect(await orm.select().from(things)).toEqual([row])
    const [updated, rows] = await orm.batch([
      orm.update(things).set({ name: 'new' }).returning({ name: things.name }),
      orm.select({ id: things.id }).from(things),
    ])
    expect([updated, rows]).toEqual([[{ name: 'new' }], [{ id: 1 }]])
    expect((await orm.execute(raw`select 1 as one`)).rows).toEqual([{ one: 1 }])
    await orm.delete(things)
  })

  it('undoes the whole batch where one statement fails', async () => {
    const insert = (id: number) => sql`insert into neon_http_things (id) values (${id})`
    const error = await failure(sql.transaction([insert(1), insert(2), insert(1)]))
    expect(error).toBeInstanceOf(NeonDbError)
    expect(error).toMatchObject({ code: '23505', constraint: 'neon_http_things_pkey', table: 'neon_http_things' })
    expect(await count()).toBe(0)
    await sql.transaction([insert(1), insert(2)])
    expect(await count()).toBe(2)
    await sql`delete from neon_http_things`
  })

  it('goes back to a savepoint within a batch', async () => {
    const insert = (id: number) => sql`insert into neon_http_things (id) values (${id})`
    await sql.transaction([insert(1), sql`savepoint one`, insert(2), sql`rollback to one`])
    expect(await count()).toBe(1)
    await sql`delete from neon_http_things`
  })

  it('runs a batch in the isolation level and the mode that it asks for', async () => {
    const query = sql`select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as ro,
      current_setting('transaction_deferrable') as deferrable`
    const [strict] = await sql.transaction([query], {
      isolationLevel: 'Serializable',
      readOnly: true,
      deferrable: true,
    })
    expect(strict).toEqual([{ level: 'serializable', ro: 'on', deferrable: 'on' }])
    const [plain] = await sql.transaction([query])
    expect(plain).toEqual([{ level: 'read committed', ro: 'off', deferrable: 'off' }])
    const write = sql`insert into neon_http_things (id) values (1)`
    expect(await failure(sql.transaction([write], { readOnly: true }))).toMatchObject({ code: '25006' })
  })

  it.each([
    ['42601', 'selec 1'],
    ['42P01', 'select * from no_such_table'],
    ['22P02', `select 'x'::int`],
    ['22012', 'select 1/0'],
    ['23514', `insert into neon_http_things (id, name) values (5, 'bad')`],
    ['42601', 'select 1; select 2'],
    ['25001', ' BEGIN'],
  ])('raises SQLSTATE %s for: %s', async (code, query) => {
    expect(await failure(sql.query(query))).toMatchObject({ name: 'NeonDbError', code, severity: 'ERROR' })
    expect(await sql`select 1 as one`).toEqual([{ one: 1 }])
  })

  it('cannot read a lone surrogate, as Neon cannot: Postgres has no part in the error', async () => {
    for (const query of [sql`select ${'\ud800'}::text`, sql.query(`select '\udfff'`)])
      expect(await failure(query)).toMatchObject({ name: 'NeonDbError', code: '', severity: '' })
  })

  it('carries detail, hint and position of an error', async () => {
    expect(await failure(sql`select nam from neon_http_things`)).toMatchObject({ code: '42703', position: '8' })
    await sql`insert into neon_http_things (id) values (1)`
    expect((await failure(sql`insert into neon_http_things (id) values (1)`)).detail).toContain('already exists')
    await sql`delete from neon_http_things`
  })

  it('keeps concurrent queries and batches apart', async () => {
    await sql`insert into neon_http_things (id, amount) values (1, 0)`
    const add = () => sql`update neon_http_things set amount = amount + 1 where id = 1`
    const fails = () => sql`select 1/0`
    await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        index % 3 === 0
          ? failure(sql.transaction([add(), fails()]))
          : index % 3 === 1
            ? add()
            : sql.transaction([add()]),
      ),
    )
    expect(await sql`select amount from neon_http_things`).toEqual([{ amount: '20' }])
    await sql`delete from neon_http_things`
  })

  it('is unreachable while paused and the same again when resumed', async () => {
    server.pause()
    // Over the connection that was open, then over new ones.
    for (let tries = 0; tries < 3; tries++)
      expect((await failure(sql`select 1`)).message).toContain('Error connecting to database')
    server.resume()
    expect(await sql`select 1 as one`).toEqual([{ one: 1 }])
  })

  it('closes no connection that is idle: a worker would lose the query that it sends in that moment', async () => {
    const { headers } = await fetch(server.url)
    expect([headers.get('connection'), headers.get('keep-alive')]).toEqual(['keep-alive', null])
  })

  it('drops the connection after the commit where a hook says so', async () => {
    server.hooks.afterQuery = async () => {
      throw new Error('cut')
    }
    const error = await failure(sql`insert into neon_http_things (id) values (77)`)
    delete server.hooks.afterQuery
    expect(error.message).toContain('Error connecting to database')
    expect(await count()).toBe(1)
    await sql`delete from neon_http_things`
  })

  it('waits for a hook before the query runs', async () => {
    let open = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    server.hooks.beforeQuery = async ([query]) => (query?.query.includes('slow') ? gate : undefined)
    const slow = sql`insert into neon_http_things (id, name) values (78, 'slow')`.then(() => 'done')
    expect(await count()).toBe(0)
    open()
    expect(await slow).toBe('done')
    delete server.hooks.beforeQuery
    await sql`delete from neon_http_things`
  })

  it.each([
    ['without the header that only the driver sends', { headers: {} }, 400],
    ['for another host name', { headers: { host: 'evil.example' } }, 403],
    ['with a body that is no query', { body: '{"query": 1}' }, 400],
    ['with a body that is no JSON', { body: 'select 1' }, 400],
    ['that is not a POST', { method: 'GET' }, 404],
  ])('refuses a request %s', async (_, { headers, body, method }: Faulty, status) => {
    const { request } = await import('node:http')
    const ours = { 'neon-connection-string': server.databaseUrl, 'neon-raw-text-output': 'true' }
    const answered = await new Promise((resolve, reject) => {
      const sent = request(server.url, { method: method ?? 'POST', headers: headers ?? ours }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      sent.on('error', reject).end(method === 'GET' ? undefined : (body ?? '{"query":"select 1","params":[]}'))
    })
    expect(answered).toBe(status)
  })
})

it.skipIf(!url)('a server that goes away in the middle of a transaction fails that, and ends no process', async () => {
  const uncaught: Error[] = []
  const keep = (error: Error) => void uncaught.push(error)
  process.on('uncaughtException', keep)
  const open = () => openDatabase({ url: url ?? '' })
  const [database, operator] = [await open(), await open()]
  try {
    const slow = { query: `select pg_sleep(20), 'goes away'`, params: [] }
    const failed = database.transaction([slow]).catch((error) => error)
    const end = `select pg_terminate_backend(pid) from pg_stat_activity where query = $1`
    await vi.waitUntil(async () => (await operator.query({ query: end, params: [slow.query] })).rows.length > 0, 5_000)
    expect(await failed).toMatchObject({ code: '57P01' })
    expect((await database.query({ query: 'select 1', params: [] })).rows).toEqual([['1']])
    expect(uncaught).toEqual([])
  } finally {
    await database.close()
    await operator.close()
    process.off('uncaughtException', keep)
  }
})

interface Faulty {
  headers?: Record<string, string>
  body?: string
  method?: string
}
