// What is said of a path and method that no operation has. Pure.

import type { GatewayError } from '../errors.ts'

/** Where a websocket is asked for, 426: at that Codex goes on with POST at once, at a 404 after tries of many seconds. */
export function noRoute({ headers }: Request, message: string): GatewayError {
  if (headers.get('upgrade')?.toLowerCase() !== 'websocket') return { code: 'not_found', message }
  return { code: 'websocket_refused', message: `Tollgate does not meter websockets. ${message}` }
}
