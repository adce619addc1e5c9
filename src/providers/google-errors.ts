// Errors of Google's APIs (`google.rpc.Status` as JSON), which Gemini's SDK raises as ApiError, once.
// https://google.aip.dev/193 Pure.

import { ERROR_STATUS, type GatewayError } from '../errors.ts'
import type { ErrorRendering, JsonObject } from './dialect.ts'
import { refusalHeaders } from './refusals.ts'

/** Google's own word for an HTTP status. */
const STATUS_NAME: Record<number, string> = {
  401: 'UNAUTHENTICATED',
  402: 'RESOURCE_EXHAUSTED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ABORTED',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

export function googleError(error: GatewayError, code: number = ERROR_STATUS[error.code]) {
  const isCap = error.code === 'cap_exceeded'
  return {
    error: {
      code,
      message: error.message,
      status: isCap ? 'RESOURCE_EXHAUSTED' : (STATUS_NAME[code] ?? 'INVALID_ARGUMENT'),
      reason: error.code,
      ...(error.field !== undefined && { field: error.field }),
      ...(error.cap && { cap: error.cap }),
      ...(error.errors && { errors: error.errors }),
    },
  }
}

export function googleErrorResponse(error: GatewayError, request_id: string, { cap_status }: ErrorRendering): Response {
  const status = error.code === 'cap_exceeded' ? (cap_status ?? 429) : ERROR_STATUS[error.code]
  const headers = refusalHeaders(error)
  headers.set('x-request-id', request_id)
  return Response.json(googleError(error, status), { status, headers })
}

/** The provider's own error as one of our stable classes. */
export function googleErrorClass({ code, status }: JsonObject): string {
  if (code === 429 || status === 'RESOURCE_EXHAUSTED') return 'upstream_rate_limited'
  if (code === 503 || status === 'UNAVAILABLE') return 'upstream_overloaded'
  return 'upstream_error'
}

/** `x-goog-api-key`, `?key=` or a bearer token. More than one of them is not one credential: joined, as headers are. */
export function readGoogleCredential(headers: Headers, url: string): string | null {
  const bearer = /^bearer +(.+)$/i.exec(headers.get('authorization') ?? '')?.[1]
  const inHeader = headers.get('x-goog-api-key')?.trim() || bearer
  const inQuery = url.includes('?') ? (URL.parse(url)?.searchParams.getAll('key') ?? []) : []
  const all = new Set([...(inHeader ? [inHeader] : []), ...inQuery.filter(Boolean)])
  return all.size > 0 ? [...all].join(', ') : null
}

export function setGoogleCredential(headers: Headers, credential: string): void {
  headers.delete('x-goog-api-key')
  headers.delete('authorization')
  // OAuth's access tokens are bearer tokens alone.
  if (credential.startsWith('ya29.')) headers.set('authorization', `Bearer ${credential}`)
  else headers.set('x-goog-api-key', credential)
}
