// Where a cap's window begins and ends. Pure: the instant and the zone are passed in; the zone's rules come from the
// engine's `Intl` through temporal-polyfill, because workerd has no `Temporal`.
//
// Windows are cut at instants, not at clock readings: each calendar unit lasts from its first instant to the first
// instant of the next one, so that windows tile time even where a clock jumps over midnight, over a whole day, or back
// into yesterday. Every boundary is a multiple of 15 minutes, the width of a usage bucket.

import { Temporal } from 'temporal-polyfill'
import type { CapType } from './types.ts'

export const QUARTER_HOUR_MS = 900_000
const HOUR_MS = 3_600_000

/** Half-open: `start <= now < end`, in milliseconds since the epoch. `end` is null for `total`, which never ends. */
export interface Window {
  start: number
  end: number | null
}

export const isWithin = ({ start, end }: Window, instant: number): boolean =>
  start <= instant && (end === null || instant < end)

type CalendarWindow = Window & { end: number }

const CALENDAR = {
  daily: { first: (date: Temporal.PlainDate) => date, step: { days: 1 } },
  weekly: { first: (date: Temporal.PlainDate) => date.subtract({ days: date.dayOfWeek - 1 }), step: { weeks: 1 } },
  monthly: { first: (date: Temporal.PlainDate) => date.with({ day: 1 }), step: { months: 1 } },
} as const

/**
 * The window of `capType` that contains `now`, in an IANA time zone.
 *
 * @throws {RangeError} where the engine does not know the zone: ask `isTimeZone` at the door.
 */
export function windowOf(capType: CapType, timeZone: string, now: number): Window {
  if (capType === 'total') return { start: 0, end: null }
  if (capType === 'hourly') return hourOf(timeZone, now)
  return calendarWindow(capType, timeZone, now)
}

/** Whether this is a name in the time zone database; offsets such as `+05:30` are not. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+\-/]{1,63}$/.test(name)) return false
  try {
    zoned(name, 0)
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

function calendarWindow(unit: keyof typeof CALENDAR, timeZone: string, now: number): CalendarWindow {
  const { first, step } = CALENDAR[unit]
  // Multiples of the step from one anchor: the first of a month plus one month is the first of the next.
  let date = first(zoned(timeZone, now).toPlainDate())
  let next = date.add(step)
  // The clock may read yesterday although today has begun (St. John's went back at 00:01, until 2011), and a day may
  // have no instants at all (Apia had no 30 December 2011).
  while (startOf(next, timeZone) <= now) {
    date = next
    next = date.add(step)
  }
  return { start: startOf(date, timeZone), end: startOf(next, timeZone) }
}

/** From one reading of `:00` on the local clock to the next, and never over a midnight. */
function hourOf(timeZone: string, now: number): CalendarWindow {
  const day = calendarWindow('daily', timeZone, now)
  let start = floorToQuarter(now)
  while (start > day.start && !isOnTheHour(start, timeZone)) start -= QUARTER_HOUR_MS
  let end = floorToQuarter(now) + QUARTER_HOUR_MS
  while (end < day.end && !isOnTheHour(end, timeZone)) end += QUARTER_HOUR_MS
  return { start, end }
}

function isOnTheHour(instant: number, timeZone: string): boolean {
  // Offsets have been whole quarters everywhere since 1986; rounding keeps older instants from having no hours at all.
  const offset = Math.round(zoned(timeZone, instant).offsetNanoseconds / 1e6 / QUARTER_HOUR_MS) * QUARTER_HOUR_MS
  return (instant + offset) % HOUR_MS === 0
}

function startOf(date: Temporal.PlainDate, timeZone: string): number {
  return floorToQuarter(date.toZonedDateTime(timeZone).epochMilliseconds)
}

function zoned(timeZone: string, instant: number): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(timeZone)
}

/** The quarter hour that an instant is in: the bucket of its usage. */
export function floorToQuarter(instant: number): number {
  return Math.floor(instant / QUARTER_HOUR_MS) * QUARTER_HOUR_MS
}
