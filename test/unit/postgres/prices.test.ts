import { sql } from 'drizzle-orm'
import { afterAll, beforeEach, expect, test } from 'vitest'
import {
  changePrices,
  endPrice,
  findPrice,
  findVersions,
  isSecondPrice,
  isTooManyPrices,
  listCurrentPrices,
  loadOverrides,
  MOST_PRICES,
  type NewPrice,
  replacePrice,
} from '../../../src/postgres/prices.ts'
import { openTestDatabase } from '../../support/postgres.ts'

const { db, close } = await openTestDatabase()
afterAll(close)
beforeEach(async () => {
  await db.execute(sql`delete from prices`)
})

const DAY_MS = 86_400_000
const NOW = Date.parse('2026-03-01T00:00:00Z')

const price = (model: string, days = 0, more: Partial<NewPrice> = {}): NewPrice => ({
  id: crypto.randomUUID(),
  provider: 'openai',
  model,
  effective_from: new Date(NOW + days * DAY_MS),
  price: { rates: { input: 999_999_999_999, output: 1 } },
  note: null,
  created_by: 'ada',
  ...more,
})
const add = (...added: NewPrice[]) => changePrices(db, { added, replaced: [], by: 'ada', now_ms: NOW })
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error) => error,
  )

test('a price is stored as it was given, to the nano-dollar and the millisecond', async () => {
  const given = price(`a'; --`, 0, {
    effective_from: new Date(NOW + 1),
    price: { rates: { input: 1_000_000_000_000, output: 1 }, tier_percent: { batch: 50 }, context_window: 5 },
    note: `"x", 'y'`,
  })
  await add(given)
  expect(await findPrice(db, given.id)).toMatchObject(given)
})

test('one model has one price from one instant, in whatever case; an ended one makes room', async () => {
  const first = price('GPT-x')
  await add(first)
  expect(isSecondPrice(await failure(add(price('gpt-X'))))).toBe(true)
  await add(price('gpt-x', 1), price('gpt-x', 0, { provider: 'azure' }))
  expect(await endPrice(db, first.id, 'bob')).toBe(true)
  expect(await endPrice(db, first.id, 'eve')).toBe(false)
  await add(price('gpt-x'))
  expect((await findPrice(db, first.id))?.ended_by).toBe('bob')
  expect(await listCurrentPrices(db, NOW)).toHaveLength(3)
})

test('versions are found by model, in whatever case, and instant, also those that are no longer in force', async () => {
  const [before, now] = [price('GPT-x', -2), price('gpt-x', -1)]
  await add(before, now, price('gpt-x', -2, { provider: 'azure' }), price('gpt-y', -2))
  expect((await findVersions(db, [price('gpt-X', -2)])).map(({ id }) => id)).toEqual([before.id])
  await endPrice(db, before.id, 'bob')
  expect(await findVersions(db, [price('gpt-X', -2)])).toEqual([])
})

test('of many prices all are saved or none', async () => {
  const old = price('old')
  await add(old, price('b'))
  const next = price('old')
  const change = { added: [next, price('b')], replaced: [{ id: old.id, replaced_by: next.id }], by: 'bob', now_ms: NOW }
  expect(isSecondPrice(await failure(changePrices(db, change)))).toBe(true)
  expect((await findPrice(db, old.id))?.ended_at).toBeNull()
  await changePrices(db, { ...change, added: [next] })
  expect(await findPrice(db, old.id)).toMatchObject({ ended_by: 'bob', replaced_by: next.id })
})

test('how a version has ended is never rewritten', async () => {
  const [old, next] = [price('a'), price('a')]
  await add(old)
  await endPrice(db, old.id, 'bob')
  const ended = await findPrice(db, old.id)
  await changePrices(db, { added: [next], replaced: [{ id: old.id, replaced_by: next.id }], by: 'eve', now_ms: NOW })
  expect(await findPrice(db, old.id)).toEqual(ended)
})

test('a version is replaced once, at its own instant too, under a race', async () => {
  const old = price('a')
  await add(old)
  const next = [price('a'), price('a', 1), price('a')]
  const rows = await Promise.all(next.map((one) => replacePrice(db, old.id, one, NOW)))
  expect(rows.filter((row) => row !== null)).toHaveLength(1)
  const [live, ...more] = await listCurrentPrices(db, NOW)
  expect(more).toEqual([])
  expect((await findPrice(db, old.id))?.replaced_by).toBe(live?.id)
})

test('a replacement at an instant that is taken changes nothing', async () => {
  const [old, other] = [price('a'), price('a', 1)]
  await add(old, other)
  expect(isSecondPrice(await failure(replacePrice(db, old.id, price('a', 1), NOW)))).toBe(true)
  expect((await findPrice(db, old.id))?.ended_at).toBeNull()
})

test('there are never more prices in force or to come than the workers can be told; those before do not count', async () => {
  const many = Array.from({ length: 1_000 }, (_, at) => price(`m${at}`))
  const few = Array.from({ length: MOST_PRICES - 1_000 }, (_, at) => price(`n${at}`))
  await add(...many)
  await add(...few)
  expect(isTooManyPrices(await failure(add(price('one more'))))).toBe(true)
  expect(await listCurrentPrices(db, NOW)).toHaveLength(MOST_PRICES)
  await add(price('m0', -1))
  expect(isTooManyPrices(await failure(add(price('m0', 1))))).toBe(true)
  const [old] = many
  if (!old) throw new Error('there is none')
  // In its place the one of yesterday would be in force, and this one to come.
  expect(isTooManyPrices(await failure(replacePrice(db, old.id, price('m0', 1), NOW)))).toBe(true)
  expect(await replacePrice(db, old.id, price('m0'), NOW)).not.toBeNull()
  await endPrice(db, few[0]?.id ?? '', 'ada')
  await add(price('one more'))
})

test('of racing changes that are too many together only as many are made as there is room for', async () => {
  const third = (name: string) => Array.from({ length: Math.ceil(MOST_PRICES / 3) }, (_, at) => price(`${name}${at}`))
  const outcomes = await Promise.allSettled(['a', 'b', 'c', 'd', 'e'].map((name) => add(...third(name))))
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  expect(failures.map(isTooManyPrices)).toEqual([true, true, true])
  expect((await listCurrentPrices(db, NOW)).length).toBeLessThanOrEqual(MOST_PRICES)
})

test('overrides are the price in force and those to come, of each model', async () => {
  const [past, current, next, last] = [price('A', -2), price('a', -1), price('a', 1), price('a', 2)]
  const [other, ended] = [price('b', 0), price('b', -1)]
  await add(past, current, next, last, other, ended)
  await endPrice(db, ended.id, 'ada')
  const at = async (days: number) => new Set((await loadOverrides(db, NOW + days * DAY_MS)).map(({ id }) => id))
  expect(await at(0)).toEqual(new Set([current.id, next.id, last.id, other.id]))
  expect(await at(2)).toEqual(new Set([last.id, other.id]))
  expect(await at(-3)).toEqual(new Set([past.id, current.id, next.id, last.id, other.id]))
  const behind = await loadOverrides(db, NOW + 2.5 * DAY_MS, 2 * DAY_MS)
  expect(new Set(behind.map(({ id }) => id))).toEqual(new Set([current.id, last.id, other.id]))
  const [one] = await loadOverrides(db, NOW)
  expect(one).toEqual({
    id: current.id,
    provider: 'openai',
    model: 'a',
    effective_from: NOW - DAY_MS,
    price: { rates: { input: 999_999_999_999, output: 1 } },
  })
})
