// Answers that go wrong in ways that several tables share.

import type { Script, Step } from '../../src/local/fake-script.ts'
import { bytesOf } from './client-calls.ts'

/** The first half of the bytes, then what follows. */
export function half(usual: Script, ...then: Step[]): Script {
  const bytes = bytesOf(usual)
  return { ...usual, steps: [bytes.subarray(0, bytes.length / 2), ...then] }
}

/** The script with the usual answer's length in its head: such answers, if short, are kept until they are whole. */
export const announced = (usual: Script, script: Script): Script => ({
  ...script,
  headers: { ...usual.headers, 'content-length': String(bytesOf(usual).length) },
})

/** Replaces token counts, in any dialect, with something that is no count. */
export const withoutCounts = (json: string): string =>
  json.replace(/("\w*[tT]okens?(?:Count)?\w*":)\s*\d+/g, '$1"many"')
