// A provider's gateway that is called from within another route: the same call at another path, under the same id.

import { type Context, Hono } from 'hono'
import { executionOf } from '../middleware/answers.ts'
import { requestId } from '../middleware/request-id.ts'
import type { GatewayEnv } from './call.ts'

/** What it needs of Hono's context, whatever else the app keeps there. */
interface Outer extends Pick<Context, 'executionCtx'> {
  var: { request_id: string }
}

/** Calls the gateway on behalf of the request of `c`. */
export type InnerGateway = (request: Request, c: Outer) => Response | Promise<Response>

/**
 * @param prefix where it is: `/groq`
 * @example
 * ```ts
 * const callGroq = innerGateway('/groq', gateway({ ...services, dialect: groq, upstream }))
 * app.post('/chat', async (c) => callGroq(innerRequest(url, c.req.raw, bytes), c))
 * ```
 */
export function innerGateway(prefix: string, gateway: Hono<GatewayEnv>): InnerGateway {
  const app = new Hono<GatewayEnv & { Bindings: { request_id: string } }>()
  app.use((c: Context, next) => requestId(() => c.env.request_id)(c, next))
  app.route(prefix, gateway)
  return (request, c) => app.fetch(request, { request_id: c.var.request_id }, executionOf(c))
}

/** A POST of these bytes on behalf of another request, whose headers need not tell their length. */
export function innerRequest(url: string, outer: Pick<Request, 'headers' | 'signal'>, bytes: Uint8Array): Request {
  const headers = new Headers(outer.headers)
  headers.delete('transfer-encoding')
  headers.set('content-length', String(bytes.length))
  return new Request(url, { method: 'POST', headers, body: bytes as BodyInit, signal: outer.signal })
}
