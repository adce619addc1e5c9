// Answers that go wrong in ways that several tables share.

import type { Script, Step } from '../../src/local/fake-script.ts'
import { bytesOf } from './client-calls.ts'

/** The first half of the bytes, then what follows. */
export function half(usual: Script, ...then: Step[]): Script {
  const bytes = bytesOf(usual)
  return { ...usual, steps: [bytes.subarray(0, bytes.length / 2), ...then] }
}

/** The length of the usual answer is told before it comes: short ones are kept until they are whole. */
export const announced = (usual: Script, script: Script): Script => ({
  ...script,
  headers: { ...usual.headers, 'content-length': String(bytesOf(usual).length) },
})

/** Counts of tokens, in any dialect, that are none. */
export const withoutCounts = (json: string): string =>
  json.replace(/("\w*[tT]okens?(?:Count)?\w*":)\s*\d+/g, '$1"many"')
