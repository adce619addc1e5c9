// What is said of a path and method that no operation has. Pure.

import type { HonoRequest } from 'hono'
import type { GatewayError } from '../errors.ts'
import type { Dialect, Operation } from '../providers/dialect.ts'

/** 426 where a websocket is asked for: Codex then goes on with POST at once, and after a 404 only after seconds of tries. */
export function noRoute({ headers }: Request, message: string): GatewayError {
  if (headers.get('upgrade')?.toLowerCase() !== 'websocket') return { code: 'not_found', message }
  return { code: 'websocket_refused', message: `Tollgate does not meter websockets. ${message}` }
}

/** For a provider's own paths. */
export function notMetered({ raw, method, path }: HonoRequest, dialect: Dialect): GatewayError {
  const hint = hintFor(method, path, dialect)
  return noRoute(raw, `Tollgate does not meter ${method} ${path}, so it is not passed through.${hint}`)
}

/** What precedes a known ending that belongs to another resource: `/v1/vector_stores/vs_1` before `/files`. */
const BELOW_ANOTHER = /\/v\d\w*(?:\/+(?!v\d\w*(?:\/|$))[^/]+)+\/*$/

/** Helps with base URLs that lack their version or have it twice, Azure's deployments, and paths with an extra slash. */
function hintFor(method: string, path: string, { provider, operations }: Dialect): string {
  const sent = path.slice(provider.length + 1).replace(/\/+$/, '')
  const isMeant = ({ path: known }: Operation) => {
    const end = known.replace(/^\/v1/, '')
    return known.endsWith(sent) || (sent.endsWith(end) && !BELOW_ANOTHER.test(sent.slice(0, -end.length)))
  }
  const meant = sent && operations.find((operation) => operation.method === method && isMeant(operation))
  return meant ? ` Did you mean /${provider}${meant.path}?` : ''
}
