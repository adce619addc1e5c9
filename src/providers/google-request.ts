// What Google's APIs have in common: credentials, errors, and parameters of the query. Pure.

import type { GatewayError } from '../errors.ts'
import { readBearer, withQuery } from './bearer.ts'
import type { Dialect } from './dialect.ts'
import { googleErrorResponse } from './google-errors.ts'

export const GOOGLE = {
  request_id_header: 'x-request-id',
  own_key_headers: ['x-goog-user-project'],
  /** `x-goog-api-key`, `?key=` or a bearer token. */
  readCredential: (headers, url) => withQuery(headers.get('x-goog-api-key')?.trim() || readBearer(headers), url, 'key'),
  credential_query: 'key',
  setCredential(headers, credential) {
    headers.delete('x-goog-api-key')
    headers.delete('authorization')
    // OAuth's access tokens work only as bearer tokens.
    if (credential.startsWith('ya29.')) headers.set('authorization', `Bearer ${credential}`)
    else headers.set('x-goog-api-key', credential)
  },
  errorResponse: googleErrorResponse,
} satisfies Partial<Dialect>

/**
 * Those of the parameters that all Google APIs take. The others can replace the body (`$req`), headers (`$httpHeaders`), the
 * method (`$httpMethod`) or leave out the usage (`fields`).
 */
const HARMLESS = ['alt', '$alt', 'prettyPrint', '$prettyPrint', 'quotaUser']

/** @param known what the operation takes beside those. */
export function refuseUnknownQuery(query: URLSearchParams, known: string[]): GatewayError | null {
  const unknown = [...query.keys()].find((name) => !HARMLESS.includes(name) && !known.includes(name))
  if (unknown === undefined) return null
  const field = unknown.slice(0, 40)
  return { code: 'invalid_request', message: `The query parameter ${field} is not metered here.`, field }
}
