// Errors of the REST routes as problem documents (RFC 9457). Pure.

import { ERROR_STATUS, type ErrorCode, factsOf, type GatewayError } from './errors.ts'

/** `{ type, title, status, detail, code, field?, errors?, cap?, request_id? }` as `application/problem+json`. */
export function problemResponse(error: GatewayError, requestId?: string): Response {
  const { code, message, cap } = error
  const status = ERROR_STATUS[code]
  const problem = {
    type: `urn:tollgate:problem:${code}`,
    title: titleOf(code),
    status,
    detail: message,
    code,
    ...factsOf(error),
    ...(requestId !== undefined && { request_id: requestId }),
  }
  const headers = new Headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
  if (status === 401) headers.set('www-authenticate', 'Bearer')
  if (typeof cap?.retry_after_seconds === 'number') headers.set('retry-after', String(cap.retry_after_seconds))
  return new Response(JSON.stringify(problem), { status, headers })
}

function titleOf(code: ErrorCode): string {
  const words = code.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}
