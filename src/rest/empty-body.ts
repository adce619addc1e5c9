// For routes whose body is optional: clients that label every request as JSON may still send nothing.

import type { MiddlewareHandler } from 'hono'

/** Takes the content type off a request that has no content. */
export const emptyBodyIsNone: MiddlewareHandler = async function emptyBodyIsNone(c, next) {
  if ((await c.req.text()) === '') {
    const { url, method } = c.req
    const headers = new Headers(c.req.raw.headers)
    headers.delete('content-type')
    c.req.raw = new Request(url, { method, headers })
  }
  await next()
}
