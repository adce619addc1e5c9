// A provider's error that repeats the operator's key, in pieces of any size.

import { expect, test } from 'vitest'
import { hideCredential } from '../../../src/gateway/hide-credential.ts'

const encoder = new TextEncoder()

function shown(credential: string, ...pieces: string[]): string {
  const hide = hideCredential(credential)
  const decoder = new TextDecoder()
  const passed = pieces.map((piece) => decoder.decode(hide.push(encoder.encode(piece)), { stream: true }))
  return passed.join('') + decoder.decode(hide.end())
}

test.each([
  [
    'sk-abab-sk-abac',
    'no sk-abab-sk-abab-sk-abac, é sk-abab-sk-abac!',
    'no sk-abab-***************, é ***************!',
  ],
  [
    'AKIAID:the/secret:the+token',
    'for AKIAID and x-amz-security-token:the+token',
    'for ****** and x-amz-security-token:*********',
  ],
  ['sk-abcd', 'What ends as a key begins passes: sk-', 'What ends as a key begins passes: sk-'],
  ['a:b', 'What is short may be a word of a sentence', 'What is short may be a word of a sentence'],
])('%s is hidden in: %s', (credential, error, wanted) => {
  for (let at = 0; at <= error.length; at++) {
    expect(shown(credential, error.slice(0, at), error.slice(at))).toBe(wanted)
  }
  expect(shown(credential, ...error)).toBe(wanted)
})
