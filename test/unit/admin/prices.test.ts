import { SignJWT } from 'jose'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { later, openPrices, PRICE, RATES } from './prices-fixture.ts'
import { idsOnPages, NOBODY } from './rest-fixture.ts'

const { clock, store, send, newPrice, book, published, reset, close } = await openPrices()
afterAll(close)
beforeEach(reset)

test('a price is created, read, listed, and with the workers, all amounts exact', async () => {
  const created = await newPrice({
    usd_per_mtok: { ...RATES, cached_input: '0.000000001', cache_write_1h: '999.999999999', audio_input: null },
    usd_per_request: 1e-7,
    usd_per_unit: '0',
    usd_per_thousand_web_searches: '25',
    tier_percent: { priority: 175, batch: 50 },
    long_context: [
      { above_input_tokens: 400_000, usd_per_mtok: { input: '1', output: '2' } },
      { above_input_tokens: 200_000, usd_per_mtok: { input: '0.3', output: '0.9' } },
    ],
    context_window: 1_000_000,
    note: 'as agreed',
  })
  expect(created).toMatchObject({
    status: 201,
    body: {
      provider: 'openai',
      model: 'gpt-x',
      usd_per_mtok: { input: '0.15', cached_input: '0.000000001', output: '0.6', audio_input: null },
      usd_per_request: '0.0000001',
      usd_per_unit: '0',
      usd_per_thousand_web_searches: '25',
      tier_percent: { batch: 50, priority: 175 },
      long_context: [{ above_input_tokens: 200_000 }, { above_input_tokens: 400_000 }],
      context_window: 1_000_000,
      note: 'as agreed',
      created_by: 'admin token',
      ended_at: null,
      replaced_by: null,
    },
  })
  const price = created.body
  expect(Math.abs(Date.parse(price.effective_from) - Date.now())).toBeLessThan(10_000)
  expect((await send('GET', '/admin/prices')).body).toEqual({ data: [price], next_cursor: null })
  expect((await send('GET', `/admin/prices/${price.id}`)).body).toEqual(price)
  expect(published()).toMatchObject([
    {
      id: price.id,
      model: 'gpt-x',
      price: {
        rates: { input: 150_000_000, cached_input: 1, cache_write_1h: 999_999_999_999, output: 600_000_000 },
        request_nano_usd: 100,
        unit_nano_usd: 0,
      },
    },
  ])
})

test('an answer says when the change is in force everywhere at the latest', async () => {
  const inForceBy = ({ headers }: { headers: Headers }) =>
    Date.parse(headers.get('tollgate-in-force-by') ?? '') - Date.now()
  const created = await newPrice()
  const path = `/admin/prices/${created.body.id}`
  const changed = await send('PATCH', path, { note: 'n' })
  const answers = [created, changed, await send('DELETE', `/admin/prices/${changed.body.id}`)]
  for (const answer of answers) {
    expect(inForceBy(answer)).toBeGreaterThan(100_000)
    expect(inForceBy(answer)).toBeLessThanOrEqual(120_000)
  }
})

describe('what is not valid names its field, and nothing is saved', () => {
  const above = (above_input_tokens: number) => ({ above_input_tokens, usd_per_mtok: RATES })
  const numbered = (length: number, entry: (at: number) => [string, number]) =>
    Object.fromEntries(Array.from({ length }, (_, at) => entry(at)))

  test.each([
    [{ usd_per_mtok: { input: '-1', output: '1' } }, 'usd_per_mtok.input', 'negative'],
    [{ usd_per_mtok: { input: 1e-10, output: '1' } }, 'usd_per_mtok.input', '9 decimals'],
    [{ usd_per_mtok: { input: 0.1 + 0.2, output: '1' } }, 'usd_per_mtok.input', '9 decimals'],
    [{ usd_per_mtok: { input: '1001', output: '1' } }, 'usd_per_mtok.input', 'at most 1000'],
    [{ usd_per_mtok: { input: 'NaN', output: '1' } }, 'usd_per_mtok.input', 'decimal amount'],
    [{ usd_per_mtok: { input: true, output: '1' } }, 'usd_per_mtok.input', 'decimal amount'],
    [{ usd_per_mtok: { input: '1' } }, 'usd_per_mtok.output', 'required'],
    [{ usd_per_mtok: { ...RATES, dream: '1' } }, 'usd_per_mtok.dream', 'not a known field'],
    [{ usd_per_mtok: null }, 'usd_per_mtok', 'required, unless'],
    [{ usd_per_request: '1e3' }, 'usd_per_request', 'decimal amount'],
    [{ usd_per_unit: 2_000 }, 'usd_per_unit', 'at most 1000'],
    [{ tier_percent: { batch: 0 } }, 'tier_percent.batch', 'from 1 to 1000'],
    [{ tier_percent: { batch: 33.3 } }, 'tier_percent.batch', 'from 1 to 1000'],
    [{ tier_percent: { batch: 1_001 } }, 'tier_percent.batch', 'from 1 to 1000'],
    [{ tier_percent: { Batch: 50 } }, 'tier_percent.Batch', 'name that is not possible'],
    [{ tier_percent: { ['t'.repeat(33)]: 50 } }, `tier_percent.${'t'.repeat(33)}`, 'name that is not possible'],
    [{ tier_percent: JSON.parse('{"__proto__":50}') }, '__proto__', 'not a known field'],
    [{ tier_percent: numbered(17, (at) => [`t${at}`, 50]) }, 'tier_percent', 'at most 16 tiers'],
    [{ long_context: Array.from({ length: 9 }, (_, at) => above(at + 1)) }, 'long_context', 'at most 8 thresholds'],
    [{ long_context: [above(100_000_001)] }, 'long_context[0].above_input_tokens', 'from 1 to 100000000'],
    [
      { long_context: [{ above_input_tokens: 5, usd_per_mtok: { input: '1' } }] },
      'long_context[0].usd_per_mtok.output',
      'required',
    ],
    [
      { long_context: [1, 1].map((above_input_tokens) => ({ above_input_tokens, usd_per_mtok: RATES })) },
      'long_context',
      'once',
    ],
    [{ context_window: 0 }, 'context_window', 'whole number'],
    [{ context_window: 100_000_001 }, 'context_window', 'from 1 to 100000000'],
    [{ effective_from: '2030-01-01' }, 'effective_from', 'ISO 8601'],
    [{ effective_from: '1969-12-31T00:00:00Z' }, 'effective_from', '1970'],
    [{ provider: 'Open AI' }, 'provider', 'name of a provider'],
    [{ provider: 'p'.repeat(65) }, 'provider', 'name of a provider'],
    [{ provider: 'opneai' }, 'provider', 'must be one of anthropic, azure, bedrock, my-own, openai, workers-ai'],
    [{ model: 'gpt x' }, 'model', 'id of a model'],
    [{ model: 'm'.repeat(501) }, 'model', 'id of a model'],
    [
      { provider: 'bedrock', model: 'arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0' },
      'model',
      'at the end of the ARN',
    ],
    [{ note: 'a\0b' }, 'note', 'NUL'],
    [{ note: 'n'.repeat(501) }, 'note', 'at most 500 characters'],
    [{ price: 1 }, 'price', 'not a known field'],
  ])('%j', async (fields, field, message) => {
    const answer = await newPrice(fields)
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request', field } })
    expect(answer.body.detail).toContain(message)
    expect((await send('GET', '/admin/prices')).body.data).toEqual([])
    expect(store.puts).toBe(0)
  })
})

test('a second price of the model from the same instant is a conflict that names it, in any case and under a race', async () => {
  const effective_from = later(1)
  const answers = await Promise.all([newPrice({ effective_from }), newPrice({ effective_from, model: 'GPT-X' })])
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
  expect(await newPrice({ effective_from })).toMatchObject({
    status: 409,
    body: { code: 'conflict', field: 'effective_from' },
  })
  expect((await newPrice({ effective_from: later(2) })).status).toBe(201)
})

test('prices that are set from now on within a millisecond are in force one after the other', async () => {
  const at = Date.now()
  clock.now = () => at
  const answers = await Promise.all(['a', 'b', 'c'].map((note) => newPrice({ note })))
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
  const made: { effective_from: string; note: string }[] = (await send('GET', '/admin/prices')).body.data
  const instants = made.map(({ effective_from }) => Date.parse(effective_from))
  expect(instants.toSorted()).toEqual([at, at + 1, at + 2])
  const last = made[instants.indexOf(at + 2)]
  expect((await newPrice({ note: last?.note })).status).toBe(200)
})

test('the workers get what is in force and what is to come, and no version that a later one has overtaken', async () => {
  for (const days of [-3, -2, -1, 1, 2]) await newPrice({ effective_from: later(days) })
  await newPrice({ model: 'other', effective_from: later(-9) })
  const days = published().map(({ model, effective_from }) => [
    model,
    Math.round((effective_from - Date.now()) / 86_400_000),
  ])
  expect(days).toEqual([
    ['gpt-x', -1],
    ['gpt-x', 1],
    ['gpt-x', 2],
    ['other', -9],
  ])
})

test('a worker whose clock is behind still finds the version before', async () => {
  const before = (await newPrice({ effective_from: later(-1) })).body
  const newest = (await newPrice({ note: 'newest' })).body
  expect(published().map(({ id }) => id)).toEqual([before.id, newest.id])
  const at = Date.parse(newest.effective_from)
  const sourceAt = async (now: number) => {
    clock.now = () => now
    return (await book().find('openai', 'gpt-x'))?.price_source
  }
  expect(await sourceAt(at - 2_000)).toBe(`override:${before.id}`)
  expect(await sourceAt(at)).toBe(`override:${newest.id}`)
})

test('a change puts a new version in place and leaves the old one as it was applied', async () => {
  const old = (await newPrice({ usd_per_request: '0.01', tier_percent: { batch: 50, flex: 60 } })).body
  const change = { usd_per_mtok: { output: '0.7', cached_input: '0.1' }, tier_percent: { flex: null }, note: 'dearer' }
  const changed = await send('PATCH', `/admin/prices/${old.id}`, change)
  expect(changed).toMatchObject({
    status: 200,
    body: {
      model: 'gpt-x',
      effective_from: old.effective_from,
      usd_per_mtok: { input: '0.15', output: '0.7', cached_input: '0.1' },
      usd_per_request: '0.01',
      tier_percent: { batch: 50 },
      note: 'dearer',
      ended_at: null,
    },
  })
  const { id } = changed.body
  expect(id).not.toBe(old.id)
  expect(published().map((one) => one.id)).toEqual([id])
  const kept = (await send('GET', `/admin/prices/${old.id}`)).body
  expect(kept).toEqual({ ...old, ended_at: kept.ended_at, ended_by: 'admin token', replaced_by: id })
  expect(kept.ended_at).not.toBeNull()
  expect((await send('GET', '/admin/prices')).body.data.map((one: { id: string }) => one.id)).toEqual([id])
  const history = (await send('GET', '/admin/prices?history=true&model=GPT-X')).body.data
  expect(history.map((one: { id: string }) => one.id).sort()).toEqual([id, old.id].sort())
  expect((await send('GET', '/admin/prices?history=false')).body.data).toHaveLength(1)
})

test('a change that changes nothing makes no version', async () => {
  const { body } = await newPrice({ tier_percent: { priority: 175, batch: 50 } })
  for (const nothing of [{}, { note: null }, { usd_per_mtok: { input: 0.15 } }, { tier_percent: { batch: 50 } }])
    expect((await send('PATCH', `/admin/prices/${body.id}`, nothing)).body).toEqual(body)
  expect((await send('GET', '/admin/prices?history=true')).body.data).toHaveLength(1)
})

test('a price that says what is in force already makes no version, so that a request can be repeated', async () => {
  const { body } = await newPrice({ note: 'n' })
  expect(await newPrice({ note: 'n', model: 'GPT-X' })).toMatchObject({ status: 200, body })
  expect(await newPrice({ note: 'n', tier_percent: {}, long_context: [] })).toMatchObject({ status: 200, body })
  expect((await send('GET', '/admin/prices?history=true')).body.data).toHaveLength(1)
  expect((await newPrice()).status).toBe(201)
  expect((await newPrice({ note: 'n' })).status).toBe(201)
  expect((await newPrice({ note: 'n', provider: 'azure' })).status).toBe(201)
  expect((await newPrice({ note: 'n', effective_from: later(1) })).status).toBe(201)
  // What is to come is not in force.
  expect((await newPrice({ note: 'to come', effective_from: later(2) })).status).toBe(201)
  expect((await newPrice({ note: 'to come' })).status).toBe(201)
})

test('also where it says all that a price can say, whatever order the database keeps that in', async () => {
  const usd_per_mtok = { output: '2', input: '1', cached_input: '0.1', cache_write_1h: '2', audio_output: '9' }
  const whole = {
    usd_per_mtok,
    usd_per_request: '1',
    usd_per_thousand_web_searches: '3',
    tier_percent: { priority: 200, flex: 50 },
    long_context: [{ above_input_tokens: 5, usd_per_mtok }],
    context_window: 9,
  }
  const { status, body } = await newPrice(whole)
  expect(status).toBe(201)
  expect(await newPrice(whole)).toMatchObject({ status: 200, body })
  const changed = await send('PATCH', `/admin/prices/${body.id}`, whole)
  expect(changed).toMatchObject({ status: 200, body })
})

test('images have a rate of their own where the usage tells them apart, and no others', async () => {
  const usd_per_mtok = { input: '5', output: '10', image_input: '8', image_output: '32' }
  for (const model of ['gpt-image-9', 'GPT-Image-1.5', 'chatgpt-image-latest']) {
    const { status, body } = await newPrice({ model, usd_per_mtok })
    expect({ status, rates: body.usd_per_mtok }).toMatchObject({ status: 201, rates: usd_per_mtok })
  }
  const long_context = [{ above_input_tokens: 5, usd_per_mtok: { input: '1', output: '2', image_input: '3' } }]
  for (const refused of [
    { model: 'gpt-5', usd_per_mtok },
    { provider: 'azure', model: 'gpt-image-1', usd_per_mtok },
    { model: 'gpt-5', long_context },
  ]) {
    const { status, body } = await newPrice(refused)
    expect(status).toBe(400)
    expect(body.detail).toContain('must not have image_input or image_output')
  }
})

test.each(['usd_per_request', 'usd_per_unit'])('a price may be nothing but its %s', async (kind) => {
  const { status, body } = await newPrice({ usd_per_mtok: null, [kind]: '0.5' })
  expect([status, body.usd_per_mtok, body[kind]]).toEqual([201, null, '0.5'])
})

test('a price that was ended and is set again is in force again, as a version of its own', async () => {
  const { id } = (await newPrice()).body
  expect((await send('DELETE', `/admin/prices/${id}`)).status).toBe(204)
  const again = await newPrice()
  expect(again.status).toBe(201)
  expect(published()).toMatchObject([{ id: again.body.id }])
})

test('a change that is refused because it was made before is brought into force all the same', async () => {
  const { id } = (await newPrice()).body
  const next = (await send('PATCH', `/admin/prices/${id}`, { note: 'n' })).body
  // As if the store had not taken it.
  store.value = null
  expect((await send('PATCH', `/admin/prices/${id}`, { note: 'n' })).status).toBe(409)
  expect(published()).toMatchObject([{ id: next.id }])
})

test('a change of nothing but the instant is a change', async () => {
  const { id } = (await newPrice()).body
  const effective_from = later(1)
  const { body } = await send('PATCH', `/admin/prices/${id}`, { effective_from })
  expect(body).toMatchObject({ effective_from })
  expect(body.id).not.toBe(id)
  expect(published()).toMatchObject([{ id: body.id, effective_from: Date.parse(effective_from) }])
})

test('a change is checked on the price that it would make', async () => {
  const { id } = (await newPrice()).body
  const path = `/admin/prices/${id}`
  for (const [change, field] of [
    [{ usd_per_mtok: { input: '-1' } }, 'usd_per_mtok.input'],
    [{ usd_per_mtok: { output: null } }, 'usd_per_mtok.output'],
    [{ usd_per_mtok: { cachd_input: null } }, 'usd_per_mtok.cachd_input'],
    [{ usd_per_mtok: null }, 'usd_per_mtok'],
    [{ usd_per_mtok: 'x' }, 'usd_per_mtok'],
    [{ provider: 'azure' }, 'provider'],
    [{ effective_from: 'soon' }, 'effective_from'],
  ] as const)
    expect(await send('PATCH', path, change)).toMatchObject({ status: 400, body: { field } })
  expect((await send('GET', path)).body.ended_at).toBeNull()
  expect((await send('PATCH', path, { usd_per_mtok: null, usd_per_request: '0.5' })).body).toMatchObject({
    usd_per_mtok: null,
    usd_per_request: '0.5',
  })
})

test('of racing changes of one version one wins, and the others are told by what it was replaced', async () => {
  const { id } = (await newPrice()).body
  const answers = await Promise.all(
    ['1', '2', '3'].map((usd) => send('PATCH', `/admin/prices/${id}`, { usd_per_request: usd })),
  )
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409])
  const winner = answers.find(({ status }) => status === 200)?.body
  for (const { status, body } of answers) if (status === 409) expect(body.detail).toContain(winner.id)
  expect(published().map((one) => one.id)).toEqual([winner.id])
  expect((await send('DELETE', `/admin/prices/${id}`)).status).toBe(409)
})

test('a deleted price ends, the one before it applies again, and its row stays', async () => {
  const first = (await newPrice({ effective_from: later(-2) })).body
  const second = (await newPrice({ effective_from: later(-1) })).body
  expect(published().map(({ id }) => id)).toEqual([second.id])
  const path = `/admin/prices/${second.id}`
  for (const _ of [1, 2]) expect((await send('DELETE', path)).status).toBe(204)
  expect(published().map(({ id }) => id)).toEqual([first.id])
  expect((await send('GET', path)).body).toMatchObject({ ended_by: 'admin token', replaced_by: null })
  for (const change of [{ note: 'x' }, {}])
    expect(await send('PATCH', path, change)).toMatchObject({ status: 409, body: { code: 'conflict' } })
})

test('what is not there is a 404', async () => {
  for (const [method, body] of [['GET'], ['PATCH', {}], ['DELETE']] as const)
    expect((await send(method, `/admin/prices/${NOBODY}`, body)).status).toBe(404)
  expect((await send('GET', '/admin/prices/x')).body).toMatchObject({ code: 'invalid_request', field: 'id' })
  expect((await send('GET', '/admin/prices?modle=x')).body.field).toBe('modle')
})

test('pages are complete and without repeats', async () => {
  const ids: string[] = []
  for (let at = 0; at < 5; at++) ids.push((await newPrice({ model: `m${at}` })).body.id)
  expect(await idsOnPages(send, '/admin/prices?limit=2')).toEqual(ids.toReversed())
  expect((await send('GET', '/admin/prices?provider=azure')).body.data).toEqual([])
})

test.each([
  ['from an instant', { effective_from: later(1) }, 409],
  ['from now on', {}, 200],
])(
  'a price %s that the store did not take is in force after the request is repeated',
  async (_, from, repeated) => {
    store.faults = 4
    expect(await newPrice(from)).toMatchObject({ status: 503, body: { code: 'not_yet_in_force' } })
    expect(published()).toEqual([])
    expect((await newPrice(from)).status).toBe(repeated)
    expect(published()).toHaveLength(1)
  },
  30_000,
)

test('a store that takes one write a second delays, and loses nothing', async () => {
  store.faults = 1
  expect((await newPrice()).status).toBe(201)
  expect(published()).toHaveLength(1)
})

test('of racing writers the workers get what all have saved', async () => {
  const put = store.put
  store.put = async (value) => {
    store.put = put
    // Another one saves and writes meanwhile: the first to write is the last to arrive.
    await newPrice({ model: 'b' })
    await put(value)
  }
  await newPrice({ model: 'a' })
  expect(published().map(({ model }) => model)).toEqual(['a', 'b'])
})

test('without a store no price can be set, and nothing is saved', async () => {
  expect(await send('POST', '/bare/admin/prices', PRICE)).toMatchObject({
    status: 503,
    body: { code: 'not_configured', detail: expect.stringContaining('PRICES') },
  })
  expect((await send('GET', '/bare/admin/prices')).body.data).toEqual([])
})

test('who made a change is kept', async () => {
  const token = await new SignJWT({ iss: 'https://id.example', sub: 'ada' })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode('a-secret-of-enough-characters-for-it'))
  const as_ada = { authorization: `Bearer ${token}` }
  const { body } = await send('POST', '/admin/prices', PRICE, as_ada)
  const ADA = 'https://id.example ada'
  expect(body.created_by).toBe(ADA)
  const changed = (await send('PATCH', `/admin/prices/${body.id}`, { note: 'n' }, as_ada)).body
  expect(changed.created_by).toBe(ADA)
  const csv = `provider,model,effective_from,usd_per_request\nopenai,gpt-x,${changed.effective_from},1`
  await send('POST', '/admin/prices/csv', csv, { ...as_ada, 'content-type': 'text/csv' })
  const [last] = (await send('GET', '/admin/prices')).body.data
  expect(last.created_by).toBe(ADA)
  await send('DELETE', `/admin/prices/${last.id}`, undefined, as_ada)
  const history = (await send('GET', '/admin/prices?history=true')).body.data
  expect(history.map((one: { ended_by: string }) => one.ended_by)).toEqual([ADA, ADA, ADA])
})
