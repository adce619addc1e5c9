// What a request's headers say of its body: its type, and whether Tollgate can read it. Pure.

import type { GatewayError } from './errors.ts'

/** `application/json`, in lower case and without parameters; undefined where nothing is said. */
export function mediaTypeOf(headers: Headers): string | undefined {
  return headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
}

/**
 * `utf-8` and `utf8` are both labels of it: https://encoding.spec.whatwg.org/#names-and-labels. Other spellings are refused,
 * because parsers differ: Python's reads `charset*=utf-7` (RFC 2231) and `charset=" utf-7"` as UTF-7, in which `+ACI-` is a
 * quote. `charset:utf-8`, a common slip, passes: to every parser it is no parameter.
 */
const UTF_8 = /^charset\s*[=:]\s*("?)utf-?8\1$/i

/**
 * Apache's HttpClient 5 says so of every form, whatever its texts are in: https://issues.apache.org/jira/browse/HTTPCLIENT-2325.
 * Some parsers believe it, others do not.
 */
const LATIN_1 = /^charset=("?)iso-8859-1\1$/i

/** Whether a form with this type may be read as ISO-8859-1. */
export const saysLatin1 = (content_type: string) => parametersOf(content_type).some((text) => LATIN_1.test(text))

const parametersOf = (content_type: string) => content_type.split(/[;,]/).map((parameter) => parameter.trim())

/**
 * Why a body with these headers is not read: it is not in UTF-8, or is compressed. Null where it is read; `readForm` looks
 * whether a form that says ISO-8859-1 is UTF-8 as well.
 */
export function encodingFault(headers: Headers): GatewayError | null {
  // All of them: servers differ in which of two counts.
  const charsets = parametersOf(headers.get('content-type') ?? '').filter((parameter) => /charset/i.test(parameter))
  const isForm = mediaTypeOf(headers) === 'multipart/form-data'
  const charset = charsets.find((parameter) => !UTF_8.test(parameter) && !(isForm && LATIN_1.test(parameter)))
  if (charset !== undefined) {
    const message = `The body must be UTF-8: its type must not say ${charset.slice(0, 40)}.`
    return { code: 'unsupported_media_type', message, field: 'content-type' }
  }
  const encoding = headers.get('content-encoding')
  if (encoding && encoding.toLowerCase() !== 'identity') {
    const message = 'The body must not be compressed.'
    return { code: 'unsupported_media_type', message, field: 'content-encoding' }
  }
  return null
}
