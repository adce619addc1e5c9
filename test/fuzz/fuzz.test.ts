// A sample of `npm run test:fuzz`, always the same one.

import { expect, test } from 'vitest'
import { fuzz } from './fuzz.ts'

test('1,500 structured requests meet no 5xx, no hang, no malformed error, and leave the books balanced', async () => {
  const { sent, failures } = await fuzz({ seed: 20_261_121, requests: 1_500, longest_ms: 45_000 })
  expect(failures).toEqual([])
  expect(sent).toBeGreaterThanOrEqual(1_500)
})
