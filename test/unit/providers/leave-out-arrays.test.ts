// Arrays that are left out of an answer before it is read.

import { expect, test } from 'vitest'
import { leaveOutArrays } from '../../../src/providers/leave-out-arrays.ts'

const leaveOut = (text: string, size: number) => {
  const filter = leaveOutArrays('top_logprobs')
  const bytes = new TextEncoder().encode(text)
  const parts: number[] = []
  for (let at = 0; at < bytes.length; at += size) parts.push(...filter(bytes.subarray(at, at + size)))
  return new TextDecoder().decode(new Uint8Array(parts))
}

test.each<[unknown, unknown?]>([
  [
    { a: 'x', top_logprobs: [{ token: ']"\\', bytes: [93], top_logprobs: [{}] }], usage: { n: [1] } },
    { a: 'x', top_logprobs: [], usage: { n: [1] } },
  ],
  [
    [{ top_logprobs: [[1], '"'] }, { top_logprobs: [] }, 2],
    [{ top_logprobs: [] }, { top_logprobs: [] }, 2],
  ],
  [{ top_logprobs: 20, a: [1] }],
  [
    {
      a_top_logprobs: [1],
      top_logprobs_a: [2],
      'top\\logprobs': [3],
      top_logprob: [4],
      a: { top_logprobs: null, b: [5] },
    },
  ],
  [['top_logprobs', [1], 'top_logprobs', { a: [2] }]],
])('are left out and nothing else, in any chunking: %j', (value, left = value) => {
  for (const indent of [0, 2])
    for (const size of [1, 2, 7, 1_000])
      expect(JSON.parse(leaveOut(JSON.stringify(value, null, indent), size))).toEqual(left)
})
