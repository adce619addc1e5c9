import { expect, test } from 'vitest'
import type { LimitState } from '../../../durable-objects/ledger/types.ts'
import { refusalError } from '../../../src/middleware/refusal-error.ts'

const NOW = Date.UTC(2026, 1, 10, 12)
const DAILY: LimitState = {
  cap_id: 'cap',
  cap_type: 'daily',
  limit_type: 'requests',
  current_usage: 3,
  held: 1,
  limit: 4,
  reset_at: NOW + 3_600_000,
}
const refused = (more: Partial<LimitState>, asked: number, is_busy = false, random = 0.5) =>
  refusalError({ reason: 'cap_exceeded', exceeded: { ...DAILY, ...more }, asked, is_busy, now: NOW }, () => random)

test('a cost is told in cents to programs and in dollars to people', () => {
  const cost = { limit_type: 'cost', current_usage: 1_500_000_000, limit: 2_000_000_000 } as const
  expect(refused(cost, 750_000_000)).toMatchObject({
    message: expect.stringContaining('$1.5 of $2 are used or in flight, and it needs room for $0.75'),
    cap: { unit: 'cents', current_usage: 150, limit: 200, requested: 75 },
  })
  expect(refused({ ...cost, current_usage: 720, limit: 1_000 }, 300).message).toContain(
    '$0.00000072 of $0.000001 are used or in flight, and it needs room for $0.0000003',
  )
})

test('a busy cap says what is in flight, and is worth another try soon, whenever it resets', () => {
  expect(refused({ limit_type: 'tokens', current_usage: 90, held: 70, limit: 100 }, 20, true)).toMatchObject({
    code: 'cap_busy',
    message: expect.stringContaining('70 are held for calls in flight. Try again when they have ended.'),
    cap: { in_flight: 70, reset_time: '2026-02-10T13:00:00.000Z', retry_after_seconds: 10 },
  })
})

test.each([
  [0, 5],
  [0.999_999, 15],
])('who is refused together does not come back together: of %d in [0, 1) after %i s', (random, seconds) => {
  expect(refused({}, 1, true, random).cap).toMatchObject({ retry_after_seconds: seconds })
})

test.each([
  [{}, 2, '2026-02-10T13:00:00.000Z', 3_600, 'The cap resets at 2026-02-10T13:00:00.000Z.'],
  [{ reset_at: NOW + 1_001 }, 2, '2026-02-10T12:00:01.001Z', 2, 'The cap resets at '],
  [{ reset_at: NOW }, 2, '2026-02-10T12:00:00.000Z', 1, 'The cap resets at '],
  [{ cap_type: 'total', reset_at: null }, 2, null, null, 'This cap does not reset.'],
  [{ reset_at: null }, 4, null, null, 'This cap does not reset.'],
  [{ reset_at: null }, 5, null, null, 'It can never fit.'],
] as const)('what has %j and needs room for %i is told when to come back', (more, asked, reset_time, seconds, said) => {
  expect(refused(more, asked)).toMatchObject({
    code: 'cap_exceeded',
    message: expect.stringContaining(said),
    cap: { unit: 'requests', requested: asked, reset_time, retry_after_seconds: seconds },
  })
})
