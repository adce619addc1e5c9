// Bytes that tell nothing are passed over in runs: what stands before a run still counts after it.

import { expect, test } from 'vitest'
import { passWholeObjects } from '../../../src/providers/gemini-frames.ts'
import { leaveOutArrays } from '../../../src/providers/leave-out-arrays.ts'
import { passWholeEvents } from '../../../src/providers/whole-frames.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (of: Uint8Array) => new TextDecoder().decode(of)

test('an escape ends with its character, and a string with the quote after it', () => {
  expect(text(passWholeObjects().push(bytes('[{"a":"\\n"},{"b')))).toBe('[{"a":"\\n"}')
  expect(text(leaveOutArrays('e')(bytes('{"a":"x\\n","e":[1,2]}')))).toBe('{"a":"x\\n","e":[]}')
})

test('a line that ends in CR does not take the end of the next for its own', () => {
  expect(text(passWholeEvents().push(bytes('a\rb\n\ndata')))).toBe('a\rb\n\n')
})
