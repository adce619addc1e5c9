// A stream that is cut at any byte is never a silent short answer, nor anything but its SDK's own error.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CUT, type Script } from '../../src/local/fake-script.ts'
import { bytesOf } from '../support/client-calls.ts'
import { type Stage, startStage } from '../support/fault-stage.ts'
import { STREAMED } from '../support/fault-subjects.ts'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})
afterAll(() => stage.close())

/** Every byte around where a line, an event or a frame ends; between, where all bytes are alike, only here and there. */
function cutsOf(script: Script): number[] {
  const bytes = bytesOf(script)
  let at = 0
  const ends = script.steps.map((step) => {
    at += bytesOf({ steps: [step] }).length
    return at
  })
  const isNearEnd = (at: number) =>
    bytes.subarray(Math.max(0, at - NEAR), at + NEAR).includes(LF) || ends.some((end) => Math.abs(end - at) <= NEAR)
  return Array.from(bytes.keys()).filter((at) => at % OFTEN === 0 || isNearEnd(at))
}
const LF = 10
const NEAR = 4
const OFTEN = 31
const AT_A_TIME = 16
const EMPTY_LINE_BYTES = 4
const MAX_TOKENS = 2

describe.each(STREAMED)('$name', (subject) => {
  test('cut anywhere', { timeout: 120_000 }, async () => {
    const user = await stage.at.admin.user()
    const { seen: whole } = await stage.ask(subject, user, {}, MAX_TOKENS)
    const wrong: string[] = []
    const { sent } = whole
    const length = sent ? bytesOf(sent).length : 0
    const cuts = sent ? cutsOf(sent) : []
    const work = async () => {
      for (let at = cuts.pop(); at !== undefined; at = cuts.pop()) {
        const sends = (usual: Script) => ({
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
