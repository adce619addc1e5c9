// For routes whose body is optional: clients that label every request as JSON may still send nothing.

import type { Context, MiddlewareHandler } from 'hono'
import { endedEarly } from './invalid-request.ts'

/** Takes the content type off a request that has no content. */
export const emptyBodyIsNone: MiddlewareHandler = async function emptyBodyIsNone(c, next) {
  const text = await c.req.text().catch((error) => {
    throw endedEarly(error)
  })
  if (text === '') setType(c, null)
  await next()
}

/** To be called once the body has been read: the new request has none, but Hono keeps what was read. */
export function setType(c: Context, type: string | null): void {
  const { url, method } = c.req
  const headers = new Headers(c.req.raw.headers)
  headers.delete('content-type')
  if (type !== null) headers.set('content-type', type)
  c.req.raw = new Request(url, { method, headers })
}
