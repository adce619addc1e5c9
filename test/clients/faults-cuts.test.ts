// A stream that is cut at any byte is never a silent short answer, nor anything but its SDK's own error.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CUT } from '../../src/local/fake-script.ts'
import { bytesOf } from '../support/client-calls.ts'
import { type Stage, startStage } from '../support/fault-stage.ts'
import { STREAMED } from '../support/fault-subjects.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})
afterAll(() => stage.close())

/** Text is cut at every byte; what is found by its length only here and there. */
const EVERY_BYTE = new Set(['openai chat, streamed', 'anthropic messages, streamed'])
const OFTEN = 13
const AT_A_TIME = 16
const EMPTY_LINE_BYTES = 4
const MAX_TOKENS = 2

describe.each(STREAMED)('$name', (subject) => {
  test('cut at any byte', { timeout: 120_000 }, async () => {
    const user = await stage.at.admin.user()
    const { seen: whole } = await stage.ask(subject, user, {}, MAX_TOKENS)
    const wrong: string[] = []
    const step = EVERY_BYTE.has(subject.name) ? 1 : OFTEN
    const length = whole.sent ? bytesOf(whole.sent).length : 0
    let next = 0
    const work = async () => {
      while (next < length) {
        const at = next
        next += step
        const sends = (usual: NonNullable<typeof whole.sent>) => ({
          ...usual,
          steps: [bytesOf(usual).subarray(0, at), CUT],
        })
        const { seen } = await stage.ask(subject, user, { sends }, MAX_TOKENS)
        const isRight = seen.error === null ? seen.said === whole.said : isExpected(at, seen.error)
        if (!isRight) wrong.push(`${at}: ${seen.error ?? seen.said}`)
      }
    }
    // Where nothing but the empty line behind the last event is missing, Google's client says so in words of its own.
    const isExpected = (at: number, error: unknown) => at >= length - EMPTY_LINE_BYTES || subject.isTyped(error)
    await Promise.all(Array.from({ length: AT_A_TIME }, work))
    expect(length).toBeGreaterThan(300)
    expect(wrong).toEqual([])
  })
})
