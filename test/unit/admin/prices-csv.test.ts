import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { sql } from 'drizzle-orm'
import fc from 'fast-check'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { formatCsv, guardedCell, parseCsv, unguardedCell } from '../../../src/rest/csv.ts'
import { openPrices } from './prices-fixture.ts'

const { db, store, send, upload, download, published, reset, close } = await openPrices()
afterAll(close)
beforeEach(reset)

const HEADER = 'provider,model,effective_from,usd_per_mtok.input,usd_per_mtok.output'
const rows = (...lines: string[]) => [HEADER, ...lines].join('\r\n')
const FROM = '2026-01-01T00:00:00.000Z'

const live = async () => (await send('GET', '/admin/prices?limit=100')).body.data

test('many prices are set at once, and the workers get them', async () => {
  const csv = rows(`openai,a,${FROM},0.15,0.6`, `openai,b,,1,2`, `azure,a,${FROM},0.000000001,0`)
  const answer = await upload(csv)
  expect(answer).toMatchObject({ status: 200, body: { created: 3, replaced: 0, unchanged: 0 } })
  expect(answer.headers.get('tollgate-in-force-by')).not.toBeNull()
  expect(published().map(({ provider, model }) => `${provider} ${model}`)).toEqual(['azure a', 'openai a', 'openai b'])
  expect(published()[0]?.price).toEqual({ rates: { input: 1, output: 0 } })
})

test('a row whose model and instant have a price replaces it, the same one changes nothing, others stay', async () => {
  await upload(rows(`openai,a,${FROM},1,2`, `openai,b,${FROM},1,2`, `openai,c,${FROM},1,2`))
  const before = await live()
  const again = await upload(
    rows(`openai,A,2026-01-01T01:00:00+01:00,1,3`, `openai,b,${FROM},1.0,2.00`, `openai,d,${FROM},1,2`),
  )
  expect(again.body).toEqual({ created: 1, replaced: 1, unchanged: 1 })
  expect((await live()).map(({ model }: { model: string }) => model).sort()).toEqual(['A', 'b', 'c', 'd'])
  const old = before.find(({ model }: { model: string }) => model === 'a')
  expect((await send('GET', `/admin/prices/${old.id}`)).body).toMatchObject({
    usd_per_mtok: { output: '2' },
    replaced_by: expect.any(String),
  })
})

test('a sheet brings back what was deleted', async () => {
  const sheet = rows(`openai,a,${FROM},1,2`, 'openai,b,2100-01-01T00:00:00Z,1,2')
  await upload(sheet)
  for (const { id } of await live()) await send('DELETE', `/admin/prices/${id}`)
  expect((await upload(sheet)).body).toEqual({ created: 2, replaced: 0, unchanged: 0 })
  expect(await live()).toHaveLength(2)
})

test('a download is in the order of providers, models and instants', async () => {
  const sheet = ['openai,b,,1,2', 'openai,a,2100-01-01T00:00:00Z,1,2', 'azure,z,,1,2', 'openai,a,,1,2']
  for (const row of sheet) await upload(rows(row))
  const [, ...listed] = parseCsv(await download()).rows
  expect(listed.map(({ cells }) => cells.slice(0, 3).join(' '))).toEqual([
    expect.stringMatching(/^azure z /),
    expect.stringMatching(/^openai a 20[2-9]/),
    'openai a 2100-01-01T00:00:00.000Z',
    expect.stringMatching(/^openai b /),
  ])
})

test('every kind of price comes through', async () => {
  const header = `${HEADER},usd_per_mtok.cached_input,usd_per_request,usd_per_unit,usd_per_thousand_web_searches,tier_percent.batch,tier_percent.my_tier,long_context,context_window,note`
  const long = '"[{""above_input_tokens"":5,""usd_per_mtok"":{""input"":""3"",""output"":""4""}}]"'
  const csv = `${header}\n"openai","x",${FROM},1,2,0.5,0.01,0.02,10,50,120,${long},1000,"a ""note"",\r\nin two lines"\n`
  expect((await upload(csv)).body).toEqual({ created: 1, replaced: 0, unchanged: 0 })
  expect((await live())[0]).toMatchObject({
    usd_per_mtok: { input: '1', cached_input: '0.5', output: '2', audio_input: null },
    usd_per_request: '0.01',
    usd_per_unit: '0.02',
    usd_per_thousand_web_searches: '10',
    tier_percent: { batch: 50, my_tier: 120 },
    long_context: [{ above_input_tokens: 5, usd_per_mtok: { input: '3', output: '4' } }],
    context_window: 1_000,
    note: 'a "note",\r\nin two lines',
  })
})

describe('one wrong row saves nothing, and each fault says its line and column', () => {
  const good = `openai,good,${FROM},1,2`
  test.each(
    [
      [rows(good, `openai,bad,${FROM},-1,2`), 'line 3, usd_per_mtok.input', 'negative'],
      [rows(good, `openai,bad,${FROM},1,`), 'line 3, usd_per_mtok.output', 'required'],
      [rows(good, `openai,bad,${FROM},,`), 'line 3, usd_per_mtok', 'required, unless'],
      [rows(good, `openai,bad,${FROM},"1,5",2`), 'line 3, usd_per_mtok.input', 'decimal amount'],
      [rows(good, `openai,bad,yesterday,1,2`), 'line 3, effective_from', 'ISO 8601'],
      [rows(good, `,bad,${FROM},1,2`), 'line 3, provider', 'required'],
      [rows(good, `openai,bad,${FROM},1`), 'line 3', 'has 4 cells, the first line 5'],
      [rows(good, `openai,bad,${FROM},1,2,3`), 'line 3', 'has 6 cells, the first line 5'],
      [rows(good, '', `openai,GOOD,${FROM},1,2`), 'line 4, effective_from', 'repeats'],
      [rows('openai,"two\r\nlines",,1,2', `openai,bad,${FROM},x,2`), 'line 2, model', 'id of a model'],
      [rows(good, `openai,"bad,${FROM},1,2`), 'line 3', 'never closed'],
      [rows(good, `openai,"a\n\nb"x,${FROM},1,2`), 'line 5', 'after a closing quote'],
      [rows(good, `openai,"bad"x,${FROM},1,2`), 'line 3', 'after a closing quote'],
      [rows(good, `openai,b"ad,${FROM},1,2`), 'line 3', 'quote inside a cell'],
      [`${HEADER}\r${good}`, 'line 1', 'carriage return'],
      [`provider;model\nopenai;a`, 'line 1, provider;model', 'not a known column'],
      [`provider,model,model\nopenai,a,a`, 'line 1, model', 'twice'],
      [`provider,usd_per_request\nopenai,1`, 'line 1, model', 'required'],
      [Array.from({ length: 101 }, (_, at) => `tier_percent.t${at}`).join(), 'line 1', 'more than 100'],
      [`${HEADER},tier_percent.Batch\n${good},50`, 'line 1, tier_percent.Batch', 'not a known column'],
      [`${HEADER},tier_percent.batch\n${good},half`, 'line 2, tier_percent.batch', 'whole number'],
      [`${HEADER},long_context\n${good},[`, 'line 2, long_context', ''],
      [
        `${HEADER},long_context\n${good},"[{""above_input_tokens"":5,""above_input_tokens"":7,""usd_per_mtok"":{""input"":1,""output"":2}}]"`,
        'line 2, long_context[0].above_input_tokens',
        'more than once',
      ],
      [`${HEADER},context_window\n${good},1.5`, 'line 2, context_window', 'whole number'],
      ['', 'line 1', 'name the columns'],
      [rows(...Array.from({ length: 2_001 }, (_, at) => `openai,m${at},${FROM},1,2`)), 'line 2002', '2000 rows'],
      [rows(good, `opneai,bad,${FROM},1,2`), 'line 3, provider', 'must be one of anthropic, azure, bedrock, my-own'],
    ].map(([csv = '', field = '', message = '']) => ({ csv, field, message })),
  )('$field $message', async ({ csv, field, message }) => {
    const answer = await upload(csv)
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request', field } })
    expect(answer.body.errors[0]).toMatchObject({ field, message: expect.stringContaining(message) })
    expect(answer.body.detail).toContain('Nothing was saved')
    expect(await live()).toEqual([])
    expect(store.puts).toBe(0)
  })
})

test('a row after one of several lines is told by its own line', async () => {
  const note = `${HEADER},note\nopenai,a,${FROM},1,2,"in\r\nthree\nlines"\nopenai,b,${FROM},x,2,"n"`
  expect(await upload(note)).toMatchObject({ status: 400, body: { field: 'line 5, usd_per_mtok.input' } })
})

test('all faults are told at once, a hundred of them at most', async () => {
  const { body } = await upload(rows(`openai,a,x,-1,2`, `openai,b,${FROM},1,y`))
  expect(body.errors.map(({ field }: { field: string }) => field)).toEqual([
    'line 2, effective_from',
    'line 2, usd_per_mtok.input',
    'line 3, usd_per_mtok.output',
  ])
  const mistake = await upload(rows('openai,a,x,1,2', 'opneai,b,,1,y', 'openai,"c"d,,1,2', 'openai,e,z,1,2'))
  expect(mistake.body.errors).toMatchObject([
    { field: 'line 2, effective_from' },
    { field: 'line 3, provider' },
    { field: 'line 3, usd_per_mtok.output' },
    { field: 'line 4', message: 'has text after a closing quote; nothing after it was read' },
  ])
  const many = await upload(rows(...Array.from({ length: 500 }, () => 'openai,a,x,-1,2')))
  expect(many.body.errors).toHaveLength(100)
})

test('a file from a spreadsheet is read: BOM, LF or CRLF, empty lines, no end of the last line', async () => {
  const text = `\ufeff${HEADER}\n\nopenai,a,${FROM},1,2\r\n\r\nopenai,b,${FROM},1,2`
  expect((await upload(text)).body).toMatchObject({ created: 2 })
  expect((await upload(text, 'text/csv; charset=UTF-8; header=present')).body).toMatchObject({ unchanged: 2 })
})

test('a tier with an odd name is in its own row of the download only', async () => {
  const header = 'provider,model,effective_from,usd_per_request,tier_percent.constructor'
  await upload([header, `openai,a,${FROM},1,150`, `openai,b,${FROM},1,`].join('\n'))
  const csv = await download()
  expect(csv).toContain('constructor')
  expect(csv).not.toContain('function')
  expect((await upload(csv)).body).toEqual({ created: 0, replaced: 0, unchanged: 2 })
})

test('what is no CSV in UTF-8, or too much of it, is refused', async () => {
  for (const type of ['application/json', 'text/plain', 'text/csv; charset=latin1', 'text/csvx'])
    expect(await upload(HEADER, type)).toMatchObject({ status: 415, body: { field: 'content-type' } })
  const gzip = await send('POST', '/admin/prices/csv', HEADER, {
    'content-type': 'text/csv',
    'content-encoding': 'gzip',
  })
  expect(gzip).toMatchObject({ status: 415, body: { field: 'content-encoding' } })
  const latin = new Uint8Array([...new TextEncoder().encode(`${HEADER},note\nopenai,a,,1,2,`), 0xe9])
  expect(await upload(latin)).toMatchObject({ status: 400, body: { detail: expect.stringContaining('UTF-8') } })
  expect((await upload(`${HEADER}\n${'x'.repeat(4 * 1024 * 1024)}`)).status).toBe(413)
  expect(await live()).toEqual([])
})

test.each(['a\n', '"",', 'ab,'])(
  'a file that is no sheet of prices fits into memory, however much is in it: %j',
  async (part) => {
    const read = `
    import { readPrices } from ${JSON.stringify(import.meta.resolve('../../../src/admin/price-sheet.ts'))}
    const part = ${JSON.stringify(part)}
    try {
      readPrices('provider,model\\n' + part.repeat(4 * 1024 * 1024 / part.length), new Set())
    } catch ({ message }) {
      console.log(message)
    }`
    // An isolate has 128 MB, and more to do.
    const options = ['--max-old-space-size=48', '--no-warnings', '--input-type=module', '--eval', read]
    const { stdout } = await promisify(execFile)(process.execPath, options)
    expect(stdout).toMatch(/^Nothing was saved. line (2002|2): /)
  },
)

test('a sheet without instants can be uploaded again and again: what is in force already stays', async () => {
  const sheet = rows('openai,a,,1,2', 'openai,b,,1,2', `openai,c,${FROM},1,2`)
  expect((await upload(sheet)).body).toEqual({ created: 3, replaced: 0, unchanged: 0 })
  const before = await live()
  expect((await upload(sheet)).body).toEqual({ created: 0, replaced: 0, unchanged: 3 })
  expect((await upload(sheet.replace('openai,a', 'openai,A'))).body).toEqual({ created: 0, replaced: 0, unchanged: 3 })
  expect(await live()).toEqual(before)

  const dearer = rows('openai,a,,1,3', 'openai,b,,1,2')
  expect((await upload(dearer)).body).toEqual({ created: 1, replaced: 0, unchanged: 1 })
  expect((await upload(dearer)).body).toEqual({ created: 0, replaced: 0, unchanged: 2 })
  expect((await upload(sheet)).body).toEqual({ created: 1, replaced: 0, unchanged: 2 })
})

test('of a model with a row that is dated and one that is not, the latter is in force, after the first upload and each other', async () => {
  await upload(rows('openai,a,2026-01-01T00:00:00Z,1,2'))
  const sheet = rows('openai,a,,1,2', 'openai,a,2026-02-01T00:00:00Z,3,4')
  expect((await upload(sheet)).body).toEqual({ created: 2, replaced: 0, unchanged: 0 })
  expect((await upload(sheet)).body).toEqual({ created: 0, replaced: 0, unchanged: 2 })
  expect((await upload(rows('openai,a,,1,2'))).body).toEqual({ created: 0, replaced: 0, unchanged: 1 })
})

test('what is equal to a price that is over, or not in force yet, is a new one', async () => {
  await upload(rows(`openai,a,${FROM},1,2`, 'openai,a,2100-01-01T00:00:00Z,5,6'))
  await upload(rows('openai,a,,3,4'))
  expect((await upload(rows('openai,a,,1,2'))).body).toMatchObject({ created: 1, unchanged: 0 })
  expect((await upload(rows('openai,a,,5,6'))).body).toMatchObject({ created: 1, unchanged: 0 })
})

test('a row of an instant that is over replaces the price of that instant', async () => {
  await upload(rows(`openai,a,${FROM},1,2`, 'openai,a,2026-02-01T00:00:00Z,3,4'))
  const again = rows(`openai,a,${FROM},1,9`, 'openai,a,2026-02-01T00:00:00Z,3,4')
  expect((await upload(again)).body).toEqual({ created: 0, replaced: 1, unchanged: 1 })
  expect((await upload(again)).body).toEqual({ created: 0, replaced: 0, unchanged: 2 })
})

const FULL = 2_000
const full = (output: number, from = '') =>
  rows(...Array.from({ length: FULL }, (_, at) => `openai,m${at},${from},1,${output}`))

test('as many prices as there may be go up, come down, go up again and change, as often as one likes', async () => {
  for (const output of [2, 3, 4]) {
    expect((await upload(full(output))).body).toEqual({ created: FULL, replaced: 0, unchanged: 0 })
  }
  const down = await download()
  expect(parseCsv(down).rows).toHaveLength(1 + FULL)
  expect((await upload(down)).body).toEqual({ created: 0, replaced: 0, unchanged: FULL })
  expect((await upload(down.replaceAll(/,\d{4}-[^,]+Z,/g, ',,'))).body).toMatchObject({ unchanged: FULL })
  const refused = await upload(rows('openai,one-more,,1,2'))
  expect(refused).toMatchObject({ status: 409, body: { detail: expect.stringContaining('in force or to come') } })
  const alone = await send('POST', '/admin/prices', { provider: 'openai', model: 'one-more', usd_per_request: '1' })
  expect(alone).toMatchObject({ status: 409, body: { detail: expect.stringContaining('in force or to come') } })
  const current = published().filter(({ price }) => price.rates?.output === 4_000_000_000)
  expect(current).toHaveLength(FULL)
  // The workers whose clocks are behind know one price more of each model, not the whole history.
  expect(published().length).toBeLessThanOrEqual(2 * FULL)
}, 60_000)

test('the prices of a restored backup are in force once its own sheet goes up, also where it has none', async () => {
  await upload(rows('openai,a,,1,2', 'openai,b,,1,2'))
  for (const lost of ['b', 'a']) {
    await db.execute(sql`delete from prices where model = ${lost}`)
    expect(published().some(({ model }) => model === lost)).toBe(true)
    expect((await upload(await download())).status).toBe(200)
    expect(published().some(({ model }) => model === lost)).toBe(false)
  }
  expect(published()).toEqual([])
})

test('prices of a provider that is gone go up again as they came down', async () => {
  await db.execute(sql`insert into prices (id, provider, model, effective_from, price, created_by)
    values (gen_random_uuid(), 'gone', 'a', ${FROM}::timestamptz, '{"request_nano_usd":5}', 'ada')`)
  expect((await upload(await download())).body).toEqual({ created: 0, replaced: 0, unchanged: 1 })
  const [{ id }] = await live()
  expect((await send('GET', `/admin/prices/${id}`)).body).toMatchObject({
    provider: 'gone',
    usd_per_request: '0.000000005',
  })
  const changed = await send('PATCH', `/admin/prices/${id}`, { usd_per_request: '1' })
  expect(changed).toMatchObject({ status: 200, body: { provider: 'gone', usd_per_request: '1' } })
  expect((await send('DELETE', `/admin/prices/${changed.body.id}`)).status).toBe(204)
})

test('the download is a file that no browser and no spreadsheet runs', async () => {
  const formula = '=HYPERLINK("http://evil.example","x")'
  await send('POST', '/admin/prices', { provider: 'openai', model: '@cf/m', usd_per_request: '1', note: formula })
  const answer = await send('GET', '/admin/prices/csv')
  expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present')
  expect(answer.headers.get('content-disposition')).toContain('attachment')
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
  const [, row] = parseCsv(answer.body).rows
  expect(row?.cells[1]).toBe("'@cf/m")
  expect(row?.cells.at(-1)).toBe(`'${formula}`)
  for (const cell of row?.cells ?? []) expect(cell).not.toMatch(/^[=+\-@\t\r\n]/)
  expect((await upload(answer.body)).body).toEqual({ created: 0, replaced: 0, unchanged: 1 })
})

test('rates of images have columns of their own', async () => {
  const csv =
    'provider,model,usd_per_mtok.input,usd_per_mtok.output,usd_per_mtok.image_input,usd_per_mtok.image_output\n'
  expect((await upload(`${csv}openai,gpt-image-9,5,10,8,32\n`)).status).toBe(200)
  const kept = { rates: { input: 5e9, output: 10e9, image_input: 8e9, image_output: 32e9 } }
  expect(published()[0]?.price).toEqual(kept)
  expect((await upload(await download())).body).toMatchObject({ created: 0, replaced: 0, unchanged: 1 })
})

test('an apostrophe that guards nothing is part of its cell', async () => {
  expect((await upload("provider,model,usd_per_request,note\nopenai,quoted,1,'tis dear\n")).status).toBe(200)
  expect((await send('GET', '/admin/prices?model=quoted')).body.data).toMatchObject([{ note: "'tis dear" }])
})

const amount = fc.nat({ max: 1e12 }).map((nano_usd) => (nano_usd / 1e9).toFixed(9))
const optional = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined })
const rates = fc.record({
  input: amount,
  output: amount,
  cached_input: optional(amount),
  cache_write_5m: optional(amount),
  cache_write_1h: optional(amount),
  audio_input: optional(amount),
  audio_output: optional(amount),
})
const note = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
    fc.constantFrom("'", "'=1", '=1', ',', '"', '\r', '\n', ' '),
  )
  .filter((text) => text.isWellFormed() && !text.includes('\0'))
const price = fc.record({
  provider: fc.constantFrom('openai', 'my-own'),
  model: fc.stringMatching(/^[!-~]{1,12}$/),
  effective_from: fc
    .date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })
    .map((at) => at.toISOString()),
  usd_per_mtok: optional(rates),
  usd_per_request: amount,
  usd_per_unit: optional(amount),
  usd_per_thousand_web_searches: optional(amount),
  tier_percent: fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/), fc.integer({ min: 1, max: 1_000 }), {
    maxKeys: 4,
  }),
  long_context: fc.uniqueArray(
    fc.record({ above_input_tokens: fc.integer({ min: 1, max: 1e6 }), usd_per_mtok: rates }),
    { selector: ({ above_input_tokens }) => above_input_tokens, maxLength: 3 },
  ),
  context_window: optional(fc.integer({ min: 1, max: 1e8 })),
  note: optional(note),
})
const keyOf = (one: { provider: string; model: string; effective_from: string }) =>
  `${one.provider} ${one.model.toLowerCase()} ${one.effective_from}`

test('whatever prices there are: their download, uploaded elsewhere, makes the same prices', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(price, { selector: keyOf, minLength: 1, maxLength: 4 }), async (list) => {
      await db.execute(sql`delete from prices`)
      for (const one of list) expect((await send('POST', '/admin/prices', one)).status).toBe(201)
      const said = async () =>
        (await live())
          .map(({ id: _, created_at: _at, ...one }: Record<string, unknown>) => one)
          .sort((a: never, b: never) => (keyOf(a) < keyOf(b) ? -1 : 1))
      const before = await said()
      const csv = await download()
      expect((await upload(csv)).body).toEqual({ created: 0, replaced: 0, unchanged: list.length })
      await db.execute(sql`delete from prices`)
      expect((await upload(csv)).body).toEqual({ created: list.length, replaced: 0, unchanged: 0 })
      expect(await said()).toEqual(before)
      expect(await download()).toBe(csv)
    }),
    { numRuns: 25 },
  )
}, 60_000)

test('any cells are the same after they were written and read', () => {
  const cells = fc.array(
    fc.string({ unit: 'binary', maxLength: 8 }).map((text) => text),
    { minLength: 2, maxLength: 5 },
  )
  fc.assert(
    fc.property(fc.array(cells, { maxLength: 5 }), (table) => {
      expect(parseCsv(formatCsv(table)).rows.map((row) => row.cells)).toEqual(table)
    }),
    { numRuns: 2_000 },
  )
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("'", '=', '+', '-', '@', '\t', '\r', '\n', 'a', '1'), maxLength: 4 }),
      (text) => {
        expect(guardedCell(text)).not.toMatch(/^[=+\-@\t\r\n]/)
        expect(unguardedCell(guardedCell(text))).toBe(text)
      },
    ),
    { numRuns: 2_000 },
  )
})
