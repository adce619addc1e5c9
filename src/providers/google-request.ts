// What every API of Google's reads of a request: the credential, and parameters of the query. Pure.

import type { GatewayError } from '../errors.ts'
import { readBearer, withQuery } from './bearer.ts'

/** `x-goog-api-key`, `?key=` or a bearer token. */
export function readGoogleCredential(headers: Headers, url: string): string | null {
  return withQuery(headers.get('x-goog-api-key')?.trim() || readBearer(headers), url, 'key')
}

export function setGoogleCredential(headers: Headers, credential: string): void {
  headers.delete('x-goog-api-key')
  headers.delete('authorization')
  // OAuth's access tokens work only as bearer tokens.
  if (credential.startsWith('ya29.')) headers.set('authorization', `Bearer ${credential}`)
  else headers.set('x-goog-api-key', credential)
}

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
