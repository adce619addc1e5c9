// Errors as OpenAI's API writes them. Pure.

import { ERROR_STATUS, factsOf, type GatewayError } from '../errors.ts'
import { sseError } from './sse.ts'

/** The object that OpenAI's errors have in `error`. */
export function wireError(error: GatewayError) {
  const status = ERROR_STATUS[error.code]
  let type = status >= 500 ? 'server_error' : 'invalid_request_error'
  let code: string = error.code
  if (error.code === 'cap_exceeded') type = code = 'insufficient_quota'
  if (error.code === 'cap_busy') [type, code] = ['tokens', 'rate_limit_exceeded']
  if (error.code === 'unauthenticated') code = 'invalid_api_key'
  const { field: param = null, ...facts } = factsOf(error)
  return { message: error.message, type, param, code, ...facts }
}

/**
 * The documented event (`type`, `code`, `message`) does not make SDKs throw: they look for an `error` inside, which OpenAI
 * sends as well. The `sequence_number` is 0: how many events came before is not known here.
 */
export function responsesStreamError(error: GatewayError): Uint8Array {
  const wire = wireError(error)
  const { code, message, param } = wire
  return sseError({ type: 'error', sequence_number: 0, code, message, param, error: wire }, 'error')
}
