// What a request's headers say of its body: its type, and whether Tollgate reads what is in it. Pure.

import type { GatewayError } from './errors.ts'

/** `application/json`, in lower case and without parameters; undefined where nothing is said. */
export function mediaTypeOf(headers: Headers): string | undefined {
  return headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
}

/** Both are labels of it: https://encoding.spec.whatwg.org/#names-and-labels */
const UTF_8 = /^utf-?8$/i

/** Why such a body is not read: it is not in UTF-8, or compressed. Null where it may be. */
export function encodingFault(headers: Headers): GatewayError | null {
  // All of them: which of two counts is for each server to say.
  const charsets = headers.get('content-type')?.matchAll(/charset\s*=\s*"?([^",;\s]+)/gi) ?? []
  const charset = Array.from(charsets, ([, name = '']) => name).find((name) => !UTF_8.test(name))
  if (charset !== undefined) {
    const message = `The body must be UTF-8, not ${charset.slice(0, 40)}.`
    return { code: 'unsupported_media_type', message, field: 'content-type' }
  }
  const encoding = headers.get('content-encoding')
  if (encoding && encoding.toLowerCase() !== 'identity') {
    const message = 'The body must not be compressed.'
    return { code: 'unsupported_media_type', message, field: 'content-encoding' }
  }
  return null
}
