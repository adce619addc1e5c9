// The one alarm, against a storage that remembers what it was set to.

import { expect, test } from 'vitest'
import { Alarm } from '../../../durable-objects/alarm.ts'

const NOW = Date.UTC(2026, 0, 1)

/** `set`: every time that the alarm was set to. */
function open(at: number | null = null) {
  const set: number[] = []
  const storage = {
    getAlarm: async () => at,
    async setAlarm(soon: number) {
      set.push(soon)
    },
  }
  return { set, alarm: new Alarm(storage) }
}

test('it is set to the earliest of all that was asked for, and to nothing where nothing is due', () => {
  const { alarm, set } = open()
  for (const seconds of [9, 12, 5, 7, 5]) alarm.wakeBy(NOW + seconds * 1_000, NOW)
  alarm.wakeBy(null, NOW)
  expect(set).toEqual([NOW + 9_000, NOW + 5_000])
})

test('what is due at once is set a moment ahead, so that it is not lost with the one that is ringing', () => {
  const { alarm, set } = open()
  alarm.wakeBy(NOW - 1, NOW)
  expect(set).toEqual([NOW + 10])
})

test('once it has rung it is set anew', () => {
  const { alarm, set } = open()
  alarm.wakeBy(NOW + 1_000, NOW)
  alarm.rang()
  alarm.wakeBy(NOW + 9_000, NOW + 1_000)
  expect(set).toEqual([NOW + 1_000, NOW + 9_000])
})

test('what an earlier life has set still counts', async () => {
  const { alarm, set } = open(NOW + 2_000)
  await alarm.recall()
  alarm.wakeBy(NOW + 3_000, NOW)
  expect(set).toEqual([])
  alarm.wakeBy(NOW + 1_000, NOW)
  expect(set).toEqual([NOW + 1_000])
})

test('one that should have rung five seconds ago was lost, and rings at once', () => {
  const { alarm, set } = open()
  alarm.wakeBy(NOW, NOW - 1_000)
  alarm.wakeBy(NOW + 60_000, NOW + 4_999)
  expect(set).toEqual([NOW])
  alarm.wakeBy(NOW + 60_000, NOW + 5_000)
  expect(set).toEqual([NOW, NOW + 5_010])
})
