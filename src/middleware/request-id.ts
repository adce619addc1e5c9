// Gives every request an id of Tollgate's own making, and every answer that id.

import type { Context, MiddlewareHandler } from 'hono'
import { v7 } from 'uuid'
import { setHeaders } from './answers.ts'

const REQUEST_ID_HEADER = 'x-tollgate-request-id'

/** Requests whose id was made here. `c.var.request_id` does not tell: other code may have set it to what a client sent. */
const ids = new WeakMap<Context, string>()

/** The id that was made here, if the request still has it. */
export const idOf = (c: Context): string | undefined => {
  const id = ids.get(c)
  return id === c.get('request_id') ? id : undefined
}

/**
 * Sets `c.var.request_id`, once a request even where nested apps each use it. The client never chooses it, because calls
 * are counted by it.
 *
 * @param newId makes UUIDs.
 */
export function requestId(newId: () => string = v7): MiddlewareHandler<{ Variables: { request_id: string } }> {
  return async function requestId(c, next) {
    if (ids.has(c)) return next()
    const id = newId()
    ids.set(c, id)
    c.set('request_id', id)
    await next()
    setHeaders(c, { [REQUEST_ID_HEADER]: id })
  }
}
