// When a provider has been silent for too long.

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { parseConfig } from '../../../src/config.ts'
import { watchSilence } from '../../../src/gateway/silence.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('silence within an answer is noticed after its own limit, however long the first byte may take', () => {
  const silence = watchSilence({ first_byte_ms: 600_000, idle_ms: 30_000 })
  const noticed = vi.fn()
  silence.onSilence(noticed)
  silence.begin('first_byte')
  vi.advanceTimersByTime(40_000)
  silence.end()
  // Nobody waits for anything.
  vi.advanceTimersByTime(900_000)
  silence.begin('idle')
  vi.advanceTimersByTime(29_000)
  expect([noticed.mock.calls.length, silence.cut]).toEqual([0, null])
  // At most a thirty-second of the limit after it.
  vi.advanceTimersByTime(1_000 + 30_000 / 32)
  expect([noticed.mock.calls.length, silence.cut]).toEqual([1, 'upstream_timeout'])
  // Who is told may be silent, too: that is another wait.
  silence.begin('idle')
  vi.advanceTimersByTime(30_000 + 30_000 / 16)
  expect(noticed).toHaveBeenCalledTimes(2)
})

const DATABASE_URL = 'postgresql://user:password@host.neon.tech/db'
const SECRETS = { DATABASE_URL, KEY_SIGNING_SECRETS: 'x'.repeat(32), ADMIN_TOKEN: 'x'.repeat(32) }
const { FIRST_BYTE_TIMEOUT_SECONDS, IDLE_TIMEOUT_SECONDS } = parseConfig(SECRETS)
const DEFAULT_LIMITS = { first_byte_ms: FIRST_BYTE_TIMEOUT_SECONDS * 1_000, idle_ms: IDLE_TIMEOUT_SECONDS * 1_000 }

test('unless configured otherwise, it is noticed before OpenAI’s and Anthropic’s clients give up, who would ask again', () => {
  const silence = watchSilence(DEFAULT_LIMITS)
  silence.begin('first_byte')
  // It was the client who began to wait first.
  vi.advanceTimersByTime(Math.min(OpenAI.DEFAULT_TIMEOUT, Anthropic.DEFAULT_TIMEOUT) - 10_000)
  expect(silence.cut).toBe('upstream_timeout')
  silence.stop()
})

test('unless configured otherwise, it is noticed within an answer before Node’s own fetch breaks the connection', () => {
  const silence = watchSilence(DEFAULT_LIMITS)
  silence.begin('idle')
  // undici's `bodyTimeout` is 300 seconds.
  vi.advanceTimersByTime(300_000 - 10_000)
  expect(silence.cut).toBe('upstream_timeout')
  silence.stop()
})

test('the first byte and the rest of a short answer have one limit, together', () => {
  const silence = watchSilence({ first_byte_ms: 500_000, idle_ms: 400_000 })
  silence.begin('first_byte')
  vi.advanceTimersByTime(450_000)
  silence.end()
  silence.begin('first_byte')
  vi.advanceTimersByTime(49_000)
  expect(silence.cut).toBe(null)
  vi.advanceTimersByTime(1_000 + 400_000 / 32)
  expect(silence.cut).toBe('upstream_timeout')
  silence.stop()
})

test('whoever is told of silence may stop the watch', () => {
  const silence = watchSilence({ first_byte_ms: 600, idle_ms: 300 })
  silence.onSilence(silence.stop)
  silence.begin('idle')
  vi.advanceTimersByTime(1_000)
  expect([silence.cut, vi.getTimerCount()]).toEqual(['upstream_timeout', 0])
})

test('a watch that is stopped leaves no timer behind, though its client leaves before or after', () => {
  const silence = watchSilence({ first_byte_ms: 600, idle_ms: 300 })
  vi.advanceTimersByTime(1_000)
  silence.clientLeft()
  silence.stop()
  silence.clientLeft()
  expect(vi.getTimerCount()).toBe(0)
})

test('of a client that leaves the first moment counts', () => {
  const silence = watchSilence({ first_byte_ms: 600_000, idle_ms: 600_000 })
  silence.onSilence(silence.stop)
  silence.clientLeft()
  vi.advanceTimersByTime(24_000)
  silence.clientLeft()
  expect(silence.cut).toBe(null)
  vi.advanceTimersByTime(1_000)
  expect([silence.cut, vi.getTimerCount()]).toEqual(['client_gone', 0])
})
