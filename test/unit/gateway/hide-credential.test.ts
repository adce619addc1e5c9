// A provider's error that repeats the operator's key, in pieces of any size.

import { expect, test } from 'vitest'
import { hideCredential, hideInHeaders } from '../../../src/gateway/hide-credential.ts'

const encoder = new TextEncoder()

function shown(credential: string, ...pieces: string[]): string {
  const hide = hideCredential(credential)
  const decoder = new TextDecoder()
  const passed = pieces.map((piece) => decoder.decode(hide.push(encoder.encode(piece)), { stream: true }))
  return passed.join('') + decoder.decode(hide.end())
}

test.each([
  [
    'sk-abab1-sk-abab2',
    'no sk-abab1-sk-abab1-sk-abab2, é sk-abab1-sk-abab2!',
    'no sk-abab1-*****************, é *****************!',
  ],
  [
    'AKIA0123456789AB:the/secret/access/key:the+session+token',
    'for AKIA0123456789AB and x-amz-security-token:the+session+token',
    'for **************** and x-amz-security-token:*****************',
  ],
  ['aab-012', 'A letter more: aaab-012', 'A letter more: a*******'],
  ['sk-0123456789abcd', 'What ends as a key begins passes: sk-', 'What ends as a key begins passes: sk-'],
  [
    'ollama',
    'What is short may be a word: no such model at ollama',
    'What is short may be a word: no such model at ollama',
  ],
])('%s is hidden in: %s', (credential, error, wanted) => {
  for (let at = 0; at <= error.length; at++) {
    expect(shown(credential, error.slice(0, at), error.slice(at))).toBe(wanted)
  }
  expect(shown(credential, ...error)).toBe(wanted)
  const headers = new Headers({ 'www-authenticate': error })
  hideInHeaders(headers, credential)
  expect(headers.get('www-authenticate')).toBe(wanted)
})
