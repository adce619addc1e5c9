// What is said of a path and method that no operation has. Pure.

import type { GatewayError } from '../errors.ts'

/** 426 where a websocket is asked for: Codex then goes on with POST at once, and after a 404 only after seconds of tries. */
export function noRoute({ headers }: Request, message: string): GatewayError {
  if (headers.get('upgrade')?.toLowerCase() !== 'websocket') return { code: 'not_found', message }
  return { code: 'websocket_refused', message: `Tollgate does not meter websockets. ${message}` }
}
