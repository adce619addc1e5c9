import fc from 'fast-check'
import { Temporal } from 'temporal-polyfill'
import { describe, expect, test } from 'vitest'
import { BUCKETS_KEPT } from '../../../durable-objects/ledger/counters.ts'
import { CAP_TYPES, type CapType } from '../../../durable-objects/ledger/types.ts'
import { isTimeZone, QUARTER_HOUR_MS, windowOf } from '../../../durable-objects/ledger/windows.ts'

const CALENDAR = CAP_TYPES.filter((type) => type !== 'total')
const HOUR_MS = 3_600_000

function calendarWindow(capType: CapType, zone: string, now: number): { start: number; end: number } {
  const { start, end } = windowOf(capType, zone, now)
  if (end === null) throw new Error(`${capType} has no end`)
  return { start, end }
}

const zones = fc.constantFrom(...Intl.supportedValuesOf('timeZone'))
const instants = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2100, 0, 1) })

/** Any instant, or one within a day of a change of the clocks, where windows go wrong. */
const moments = fc
  .record({ zone: zones, at: instants, near: fc.option(fc.integer({ min: -100, max: 100 })), ms: fc.nat(899_999) })
  .map(({ zone, at, near, ms }) => {
    const change = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(zone).getTimeZoneTransition('next')
    if (near === null || !change) return { zone, now: at }
    return { zone, now: change.epochMilliseconds + near * QUARTER_HOUR_MS + ms }
  })

describe('windowOf, in every zone from 2000 to 2100', () => {
  test('a window contains its instant, begins and ends on a quarter of an hour, and has no more of them than are kept', () => {
    fc.assert(
      fc.property(moments, fc.constantFrom(...CALENDAR), ({ zone, now }, capType) => {
        const { start, end } = calendarWindow(capType, zone, now)
        expect(start).toBeLessThanOrEqual(now)
        expect(now).toBeLessThan(end)
        expect(Math.abs(start % QUARTER_HOUR_MS) + Math.abs(end % QUARTER_HOUR_MS)).toBe(0)
        expect((end - start) / QUARTER_HOUR_MS).toBeLessThanOrEqual(BUCKETS_KEPT)
      }),
      { numRuns: 500 },
    )
  })

  test('windows tile time: no gap, no overlap, the same answer at both ends', () => {
    fc.assert(
      fc.property(moments, fc.constantFrom(...CALENDAR), ({ zone, now }, capType) => {
        const window = calendarWindow(capType, zone, now)
        expect(windowOf(capType, zone, window.start)).toEqual(window)
        expect(windowOf(capType, zone, window.end - 1)).toEqual(window)
        expect(windowOf(capType, zone, window.end).start).toBe(window.end)
        expect(windowOf(capType, zone, window.start - 1).end).toBe(window.start)
      }),
      { numRuns: 500 },
    )
  })

  test('an hour lies in a day, a day in a week and in a month, and none is longer or shorter than a clock can make it', () => {
    fc.assert(
      fc.property(moments, ({ zone, now }) => {
        const hour = calendarWindow('hourly', zone, now)
        const day = calendarWindow('daily', zone, now)
        for (const longer of ['weekly', 'monthly'] as const) {
          const outer = calendarWindow(longer, zone, now)
          expect(outer.start).toBeLessThanOrEqual(day.start)
          expect(day.end).toBeLessThanOrEqual(outer.end)
        }
        expect(day.start).toBeLessThanOrEqual(hour.start)
        expect(hour.end).toBeLessThanOrEqual(day.end)
        expect(hour.end - hour.start).toBeGreaterThanOrEqual(0.25 * HOUR_MS)
        expect(hour.end - hour.start).toBeLessThanOrEqual(1.75 * HOUR_MS)
        expect(day.end - day.start).toBeGreaterThanOrEqual(21 * HOUR_MS)
        expect(day.end - day.start).toBeLessThanOrEqual(27 * HOUR_MS)
      }),
      { numRuns: 300 },
    )
  })

  test('weeks start on Monday and months on the first', () => {
    fc.assert(
      fc.property(zones, instants, (zone, now) => {
        const at = (instant: number) => Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(zone)
        expect(at(windowOf('weekly', zone, now).start).dayOfWeek).toBe(1)
        expect(at(windowOf('monthly', zone, now).start).day).toBe(1)
      }),
      { numRuns: 200 },
    )
  })
})

describe('windowOf, known days', () => {
  // [what, window, zone, an instant inside, start, end]
  const vectors: [string, CapType, string, string, string, string][] = [
    ['23 hours', 'daily', 'America/New_York', '2026-03-08T12:00Z', '2026-03-08T05:00Z', '2026-03-09T04:00Z'],
    ['25 hours', 'daily', 'America/New_York', '2026-11-01T12:00Z', '2026-11-01T04:00Z', '2026-11-02T05:00Z'],
    ['first 01:00', 'hourly', 'America/New_York', '2026-11-01T05:30Z', '2026-11-01T05:00Z', '2026-11-01T06:00Z'],
    ['second 01:00', 'hourly', 'America/New_York', '2026-11-01T06:30Z', '2026-11-01T06:00Z', '2026-11-01T07:00Z'],
    ['167-hour week', 'weekly', 'America/New_York', '2026-03-08T12:00Z', '2026-03-02T05:00Z', '2026-03-09T04:00Z'],
    [
      'month with a change',
      'monthly',
      'America/New_York',
      '2026-03-08T12:00Z',
      '2026-03-01T05:00Z',
      '2026-04-01T04:00Z',
    ],
    ['no midnight', 'daily', 'America/Sao_Paulo', '2018-11-04T12:00Z', '2018-11-04T03:00Z', '2018-11-05T02:00Z'],
    ['no midnight', 'hourly', 'America/Sao_Paulo', '2018-11-04T03:10Z', '2018-11-04T03:00Z', '2018-11-04T04:00Z'],
    ['no midnight', 'daily', 'Africa/Cairo', '2026-04-24T12:00Z', '2026-04-23T22:00Z', '2026-04-24T21:00Z'],
    ['23:00 twice', 'daily', 'Africa/Cairo', '2026-10-29T21:30Z', '2026-10-28T21:00Z', '2026-10-29T22:00Z'],
    ['no midnight', 'daily', 'Asia/Beirut', '2026-03-29T12:00Z', '2026-03-28T22:00Z', '2026-03-29T21:00Z'],
    ['23:00 twice', 'daily', 'Asia/Beirut', '2026-10-24T21:30Z', '2026-10-23T21:00Z', '2026-10-24T22:00Z'],
    ['24.5 hours', 'daily', 'Australia/Lord_Howe', '2026-04-05T00:00Z', '2026-04-04T13:00Z', '2026-04-05T13:30Z'],
    ['01:30 twice', 'hourly', 'Australia/Lord_Howe', '2026-04-04T15:20Z', '2026-04-04T14:00Z', '2026-04-04T15:30Z'],
    ['no 02:00', 'hourly', 'Australia/Lord_Howe', '2026-10-03T15:40Z', '2026-10-03T14:30Z', '2026-10-03T16:00Z'],
    ['half hour', 'hourly', 'Asia/Kolkata', '2026-06-01T00:10Z', '2026-05-31T23:30Z', '2026-06-01T00:30Z'],
    ['three quarters', 'hourly', 'Asia/Kathmandu', '2026-06-01T00:10Z', '2026-05-31T23:15Z', '2026-06-01T00:15Z'],
    ['three quarters', 'daily', 'Asia/Kathmandu', '2026-06-01T00:10Z', '2026-05-31T18:15Z', '2026-06-01T18:15Z'],
    ['a day from 00:15', 'hourly', 'Asia/Kathmandu', '1985-12-31T18:35Z', '1985-12-31T18:30Z', '1985-12-31T19:15Z'],
    ['the hour before it', 'hourly', 'Asia/Kathmandu', '1985-12-31T18:20Z', '1985-12-31T17:30Z', '1985-12-31T18:30Z'],
    ['before the lost day', 'daily', 'Pacific/Apia', '2011-12-30T09:59Z', '2011-12-29T10:00Z', '2011-12-30T10:00Z'],
    ['after the lost day', 'daily', 'Pacific/Apia', '2011-12-30T10:00Z', '2011-12-30T10:00Z', '2011-12-31T10:00Z'],
    ['six-day week', 'weekly', 'Pacific/Apia', '2011-12-30T10:00Z', '2011-12-26T10:00Z', '2012-01-01T10:00Z'],
    ['Ramadan begins', 'daily', 'Africa/Casablanca', '2025-02-23T12:00Z', '2025-02-22T23:00Z', '2025-02-24T00:00Z'],
    ['Ramadan', 'monthly', 'Africa/Casablanca', '2025-03-15T12:00Z', '2025-03-01T00:00Z', '2025-04-01T00:00Z'],
    ['Ramadan is over', 'daily', 'Africa/Casablanca', '2025-04-06T12:00Z', '2025-04-06T00:00Z', '2025-04-06T23:00Z'],
    ['back into yesterday', 'daily', 'America/St_Johns', '2010-11-07T02:45Z', '2010-11-07T02:30Z', '2010-11-08T03:30Z'],
    ['year end', 'monthly', 'Pacific/Auckland', '2026-12-31T11:00Z', '2026-12-31T11:00Z', '2027-01-31T11:00Z'],
    ['leap February', 'monthly', 'UTC', '2028-02-29T23:59Z', '2028-02-01T00:00Z', '2028-03-01T00:00Z'],
  ]
  test.each(vectors)('%s: %s in %s at %s', (_, capType, zone, now, start, end) => {
    expect(windowOf(capType, zone, Date.parse(now))).toEqual({ start: Date.parse(start), end: Date.parse(end) })
  })

  test('total begins at the epoch and never ends', () => {
    expect(windowOf('total', 'Europe/Berlin', Date.UTC(2026, 1, 3))).toEqual({ start: 0, end: null })
  })
})

describe('isTimeZone', () => {
  test('knows the names of the time zone database', () => {
    for (const zone of ['UTC', 'Europe/Berlin', 'Asia/Kolkata', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5'])
      expect([zone, isTimeZone(zone)]).toEqual([zone, true])
  })
  test('refuses offsets, made-up names and strings that only parse as something else', () => {
    for (const zone of [
      '',
      'Z',
      '+05:30',
      '-08',
      'GMT+5',
      'Mars/Olympus',
      '2026-01-01',
      '2026-01-01T00:00[UTC]',
      'UTC ',
      '__proto__',
      `A${'a'.repeat(99)}`,
    ])
      expect([zone, isTimeZone(zone)]).toEqual([zone, false])
  })
  test('a zone that is unknown is a RangeError, never another zone', () => {
    expect(() => windowOf('daily', 'Mars/Olympus', 0)).toThrow(RangeError)
  })
})
