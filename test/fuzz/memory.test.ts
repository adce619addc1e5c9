import { expect, test } from 'vitest'
import { growthOf } from './memory.ts'

/** As a run of 20,000 requests samples it, with so many KB more a request. */
const samples = (kb: { heap?: number; buffers?: number; rss?: number }) =>
  Array.from({ length: 10 }, (_, index) => {
    const sent = (index + 1) * 2_000
    const mb = (base: number, each = 0) => base + (sent * each) / 1_000
    return { sent, heap_mb: mb(17, kb.heap), buffers_mb: mb(0.8, kb.buffers), rss_mb: mb(200, kb.rss) }
  })

test('memory that stays is flat', () => {
  expect(growthOf(samples({}))).toBeNull()
})

test('a leak of 1 KB a request shows in 20,000, whether objects hold it or their buffers do', () => {
  expect(growthOf(samples({ heap: 1 }))).toContain('live objects grew by 6.0 MB')
  expect(growthOf(samples({ buffers: 1 }))).toContain('live objects grew by 6.0 MB')
  expect(growthOf(samples({ heap: 0.5, buffers: 0.5 }))).toContain('live objects grew by 6.0 MB')
})

test('one sample that falls into a large request is no growth', () => {
  expect(growthOf(samples({}).with(9, { sent: 20_000, heap_mb: 40, buffers_mb: 30, rss_mb: 260 }))).toBeNull()
})

test('what was hardly measured is not flat', () => {
  expect(growthOf(samples({}).slice(0, 6))).toContain('not measured often enough')
})
