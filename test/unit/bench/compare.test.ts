import { expect, test } from 'vitest'
import { compare, comparisonTable, differences, fallenInAll, type Ratio, ratiosOf } from '../../bench/compare.ts'

const ratio = (throughput_ratio: number, fields: Partial<Ratio> = {}): Ratio => ({
  mode: 'json',
  concurrency: 16,
  target: 'Tollgate, 1 user',
  throughput_ratio,
  ...fields,
})
const [STREAM, MANY] = [{ mode: 'stream' }, { target: 'Tollgate, 200 users' }] as const
const fallen = (stored: Ratio[], now: Ratio[]) => fallenInAll([compare(stored, now)])

test('a ratio that has fallen by more than a fifth has fallen, and is named', () => {
  expect(fallen([ratio(0.5), ratio(0.4, MANY)], [ratio(0.399), ratio(0.4, MANY)])).toEqual(['json 16 Tollgate, 1 user'])
})

test('a ratio that has fallen by a fifth, stayed or risen has not', () => {
  expect(fallen([ratio(0.5)], [ratio(0.4)])).toEqual([])
  expect(fallen([ratio(0.5)], [ratio(0.5)])).toEqual([])
  expect(fallen([ratio(0.5)], [ratio(0.9)])).toEqual([])
})

test('a ratio that could not be taken has fallen', () => {
  expect(fallen([ratio(0.5)], [ratio(Number.NaN)])).toEqual(['json 16 Tollgate, 1 user'])
})

test('each mode and concurrency is compared with itself, in whatever order', () => {
  const stored = [ratio(0.5), ratio(0.2, STREAM), ratio(0.1, { concurrency: 1 })]
  expect(fallen(stored, stored.toReversed())).toEqual([])
  expect(fallen(stored, [ratio(0.5), ratio(0.1, STREAM), ratio(0.1, { concurrency: 1 })])).toEqual([
    'stream 16 Tollgate, 1 user',
  ])
})

test('only what Tollgate does is compared: direct calls and the yardstick may fall', () => {
  const others = (value: number) => [ratio(value, { target: 'direct' }), ratio(value, { target: 'pass-through' })]
  expect(ratiosOf([...others(1), ratio(0.5)])).toEqual([ratio(0.5)])
  expect(compare([...others(9), ratio(0.5)], [...others(1), ratio(0.5)])).toMatchObject({
    cells: [{ target: 'Tollgate, 1 user' }],
    only_stored: [],
    only_now: [],
  })
})

test('cells that only one run has are named and do not count', () => {
  const comparison = compare([ratio(0.5), ratio(0.5, { concurrency: 64 })], [ratio(0.5), ratio(0.1, STREAM)])
  expect(comparison.only_stored).toEqual(['json 64 Tollgate, 1 user'])
  expect(comparison.only_now).toEqual(['stream 16 Tollgate, 1 user'])
  expect(fallenInAll([comparison])).toEqual([])
  expect(comparisonTable(comparison)).toContain('only in the stored run: json 64 Tollgate, 1 user.')
})

test('runs without a common cell, and stored ratios that are none, are no comparison', () => {
  expect(() => compare([ratio(0.5)], [ratio(0.5, STREAM)])).toThrow('nothing to compare')
  expect(() => compare([], [ratio(0.5)])).toThrow('nothing to compare')
  expect(() => compare([ratio(0)], [ratio(0.5)])).toThrow('the stored ratio of json 16 Tollgate, 1 user is 0')
  expect(() => compare(JSON.parse(JSON.stringify([ratio(Number.NaN)])), [ratio(0.5)])).toThrow('is null')
})

test('only the same cell below the line in every run is a fall', () => {
  const stored = [ratio(0.5), ratio(0.5, STREAM)]
  const [low, fine] = [0.3, 0.5]
  const run = (json: number, stream: number) => compare(stored, [ratio(json), ratio(stream, STREAM)])
  expect(fallenInAll([run(low, fine), run(fine, low)])).toEqual([])
  expect(fallenInAll([run(low, fine), run(fine, fine), run(low, fine)])).toEqual([])
  expect(fallenInAll([run(low, low), run(fine, low), run(low, low)])).toEqual(['stream 16 Tollgate, 1 user'])
  expect(fallenInAll([])).toEqual([])
})

test('the table shows both ratios, the change and what has fallen', () => {
  const table = comparisonTable(compare([ratio(0.5), ratio(0.2, MANY)], [ratio(0.3), ratio(0.25, MANY)]))
  expect(table.split('\n').slice(1)).toEqual([
    'json       16  Tollgate, 1 user       0.50  0.30   -40 %  FALLEN',
    'json       16  Tollgate, 200 users    0.20  0.25   +25 %',
  ])
})

test('what differs between the machines is said, dates are not', () => {
  const machine = { date: 'then', cpu: '2 x A', node: 'v1', postgres: 'PGlite', ledgers: 'on disk', plan: 'full' }
  expect(differences(machine, { ...machine, date: 'now' })).toEqual([])
  expect(differences(machine, { ...machine, cpu: '4 x B', plan: 'quick' })).toEqual([
    'cpu: stored 2 x A, here 4 x B',
    'plan: stored full, here quick',
  ])
})
