import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CAP_TYPES, LIMIT_TYPES, type LimitState } from '../../../durable-objects/ledger/types.ts'
import { rateLimitFields } from '../../../src/middleware/rate-limit-fields.ts'

const NOW = Date.UTC(2026, 1, 10, 12)
const daily: LimitState = {
  cap_id: 'cap',
  cap_type: 'daily',
  limit_type: 'requests',
  current_usage: 88,
  held: 0,
  limit: 100,
  reset_at: NOW + 3_600_000,
}

describe('rateLimitFields', () => {
  test('are none where no cap applies', () => {
    expect(rateLimitFields(null, NOW)).toEqual({})
  })

  test('name the policy, its quota and window, what is left and until when', () => {
    expect(rateLimitFields(daily, NOW)).toEqual({
      'RateLimit-Policy': '"daily-requests";q=100;w=86400',
      RateLimit: '"daily-requests";r=12;t=3600',
    })
  })

  test('a total has no window', () => {
    expect(rateLimitFields({ ...daily, cap_type: 'total', limit_type: 'tokens', reset_at: null }, NOW)).toEqual({
      'RateLimit-Policy': '"total-tokens";q=100;qu="tokens"',
      RateLimit: '"total-tokens";r=12',
    })
  })

  test('costs are whole micro-dollars, never more than is left', () => {
    const cost: LimitState = { ...daily, limit_type: 'cost', limit: 5_000_000_000, current_usage: 1_000_000_001 }
    expect(rateLimitFields(cost, NOW)).toEqual({
      'RateLimit-Policy': '"daily-cost";q=5000000;qu="micro-usd";w=86400',
      RateLimit: '"daily-cost";r=3999999;t=3600',
    })
  })

  test('what is left is never negative, and neither is the time; a part of a second is a second', () => {
    expect(rateLimitFields({ ...daily, current_usage: 101 }, NOW).RateLimit).toBe('"daily-requests";r=0;t=3600')
    expect(rateLimitFields({ ...daily, reset_at: NOW - 1 }, NOW).RateLimit).toBe('"daily-requests";r=12;t=0')
    expect(rateLimitFields({ ...daily, reset_at: NOW + 1 }, NOW).RateLimit).toBe('"daily-requests";r=12;t=1')
  })

  test.each([
    ['hourly', 3_600],
    ['daily', 86_400],
    ['weekly', 604_800],
  ] as const)('the window of a %s cap is %i seconds, whenever it ends', (cap_type, seconds) => {
    for (const reset_at of [NOW + 1, NOW + 3_600_000])
      expect(rateLimitFields({ ...daily, cap_type, reset_at }, NOW)['RateLimit-Policy']).toContain(`;w=${seconds}`)
  })

  test('a month is as long as it is, wherever midnight is', () => {
    const windowOf = (resetAt: string) =>
      rateLimitFields({ ...daily, cap_type: 'monthly', reset_at: Date.parse(resetAt) }, NOW)['RateLimit-Policy']
    expect(windowOf('2026-03-01T00:00Z')).toContain(`;w=${28 * 86_400}`)
    expect(windowOf('2026-02-28T10:00Z')).toContain(`;w=${28 * 86_400}`)
    expect(windowOf('2026-03-01T12:00Z')).toContain(`;w=${28 * 86_400}`)
    expect(windowOf('2027-01-01T00:00Z')).toContain(`;w=${31 * 86_400}`)
  })

  test('are valid structured fields for every state', () => {
    const state = fc.record({
      cap_id: fc.constant('cap'),
      cap_type: fc.constantFrom(...CAP_TYPES),
      limit_type: fc.constantFrom(...LIMIT_TYPES),
      current_usage: fc.maxSafeNat(),
      held: fc.maxSafeNat(),
      limit: fc.maxSafeNat(),
      reset_at: fc.option(fc.integer({ min: 0, max: 4_102_444_800_000 })),
    })
    const FIELD = /^"[a-z-]+"(;[a-z]+=(\d{1,15}|"[a-z-]+"))+$/
    fc.assert(
      fc.property(state, (tightest) => {
        for (const value of Object.values(rateLimitFields(tightest, NOW))) expect(value).toMatch(FIELD)
      }),
    )
  })
})
