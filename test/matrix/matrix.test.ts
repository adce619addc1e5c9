// A sample of `npm run test:matrix`: every count of nodes but one, every dimension, every edge.

import { expect, test } from 'vitest'
import { allCells, sampleOf } from './cells.ts'
import { playMatrix } from './matrix.ts'

test('calls that race over nodes spend a budget exactly, and Postgres has what the ledgers have', async () => {
  const { failures } = await playMatrix(sampleOf(allCells()))
  expect(failures).toEqual([])
}, 300_000)

test('the matrix is whole', () => {
  const cells = allCells()
  const product = cells.filter(({ name }) => name.includes(', load '))
  expect(product).toHaveLength(4 * 4 * 4 * 7 * 2)
  expect(new Set(cells.map(({ name }) => name)).size).toBe(cells.length)
})
