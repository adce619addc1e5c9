// Gives every request an id of Tollgate's own making, and every answer that id.

import type { Context, MiddlewareHandler } from 'hono'
import { v7 } from 'uuid'
import { setHeaders } from './answers.ts'

const REQUEST_ID_HEADER = 'x-tollgate-request-id'

/** Not by `c.var.request_id`: something else may have set that, to what its client has sent. */
const withId = new WeakSet<Context>()

/**
 * Sets `c.var.request_id`, once a request, however many apps inside one another use it. The client never chooses it: it is
 * what calls are counted by.
 *
 * @param newId makes UUIDs.
 */
export function requestId(newId: () => string = v7): MiddlewareHandler<{ Variables: { request_id: string } }> {
  return async function requestId(c, next) {
    if (withId.has(c)) return next()
    withId.add(c)
    const id = newId()
    c.set('request_id', id)
    await next()
    setHeaders(c, { [REQUEST_ID_HEADER]: id })
  }
}
