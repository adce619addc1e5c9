// What a client may see of a fault, as checks: its SDK's typed error, once and never silently.

import { expect } from 'vitest'
import { type Fault, type Seen, type Text, textOf } from './fault-stage.ts'
import type { Subject, Why } from './fault-subject.ts'
import { without } from './script-changes.ts'

type Sees = Fault['sees']

/** The whole answer, as ever. */
export const wholeAnswer: Sees = ({ said, error }, _, usual) => {
  expect(error).toBeNull()
  expect(said).toBe(usual.said)
}

/** Tollgate's own error before anything of an answer. */
export const raised =
  (why: 'unreachable' | 'timeout'): Sees =>
  ({ error }, subject) => {
    isNamed(error, subject, why)
    expect(subject.statusOf(error)).toBe(subject[why])
  }

/** What came, and then the provider's own error event with Tollgate's words. */
export const errorEvent =
  (says: RegExp, why: Why = 'ended'): Sees =>
  ({ error }, subject) => {
    isNamed(error, subject, why)
    expect(String(error)).toMatch(says)
  }

function isNamed(error: unknown, { isTyped, names }: Subject, why: Why): void {
  expect(error).toSatisfy(isTyped)
  if (names) expect(error).toMatchObject({ name: names[why] })
}

/** A failure without a reason: nothing could carry one. */
export const failure: Sees = ({ said, error }) => {
  expect(said).toBeNull()
  expect(error).toBeInstanceOf(Error)
}

/** The provider's bytes as they came, whatever its client makes of them. */
export const asItIs = async (seen: Seen): Promise<void> => {
  for (const text of await textsOf(seen)) isSent(text, seen.sent ? textOf(seen.sent) : '')
}

/** `asItIs` for a stream that its client cannot read; an error may follow the provider's bytes. */
export const asItIsAndFails: Sees = async (seen, subject, usual) => {
  await failure(seen, subject, usual)
  const sent = seen.sent ?? { steps: [] }
  const passed = textOf(subject.stream?.unasked ? without(sent, subject.stream.unasked) : sent)
  if (isTranslated(subject)) return
  for (const { text, is_whole } of await textsOf(seen)) isSent({ text: text.slice(0, passed.length), is_whole }, passed)
}

/** The provider's own error event: its client throws, and nothing is added. */
export const ownErrorEvent: Sees = async (seen, subject) => {
  expect(seen.error).toSatisfy(subject.isTyped)
  expect(String(seen.error)).toContain('busy')
  if (!isTranslated(subject)) await asItIs(seen)
}

/** The client got all of it, or its beginning where the client hung up, as OpenAI's does at an error. */
function isSent({ text, is_whole }: Text, sent: string): void {
  expect(text).toBe(is_whole ? sent : sent.slice(0, text.length))
}

/** Anthropic's events are made of Bedrock's frames. */
const isTranslated = ({ name }: Subject) => name.startsWith('anthropic messages on bedrock')

async function textsOf({ texts }: Seen): Promise<Text[]> {
  const all = await Promise.all(texts)
  return all.map((text) => text ?? expect.unreachable('the answer broke off'))
}
