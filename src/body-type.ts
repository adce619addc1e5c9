// What a request's headers say of its body: its type, and whether Tollgate reads what is in it. Pure.

import type { GatewayError } from './errors.ts'

/** `application/json`, in lower case and without parameters; undefined where nothing is said. */
export function mediaTypeOf(headers: Headers): string | undefined {
  return headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
}

/** Why such a body is not read: it is not in UTF-8, or compressed. Null where it may be. */
export function encodingFault(headers: Headers): GatewayError | null {
  const charset = /charset\s*=\s*"?([^";\s]+)/i.exec(headers.get('content-type') ?? '')?.[1]
  if (charset && charset.toLowerCase() !== 'utf-8') {
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
