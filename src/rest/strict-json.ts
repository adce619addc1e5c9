// Where JSON bodies of REST requests enter: read as strictly as those of calls, so that what is stored is what was sent.

import type { MiddlewareHandler } from 'hono'
import { encodingFault, mediaTypeOf } from '../body-type.ts'
import { accepted, GatewayFault } from '../fault.ts'
import { parseJsonBody } from '../providers/json-body.ts'
import { visit } from '../providers/text-bound.ts'
import { setType } from './empty-body.ts'
import { endedEarly, fieldFault } from './invalid-request.ts'

const JSON_TYPE = /^application\/([\w.-]+\+)?json$/

/**
 * Refuses a body that is compressed or not UTF-8, and JSON that is malformed, no object, begins with a byte order mark, names
 * a field twice or names `__proto__`, which the schema of a record would silently leave out.
 */
export const strictJson: MiddlewareHandler = async function strictJson(c, next) {
  const { headers, body } = c.req.raw
  if (body === null) return next()
  const fault = encodingFault(headers)
  if (fault) throw new GatewayFault(fault)
  if (JSON_TYPE.test(mediaTypeOf(headers) ?? '')) {
    // The validators read the same bytes again: Hono keeps them.
    const bytes = await c.req.arrayBuffer().catch((error) => {
      throw endedEarly(error)
    })
    // Clients that label every request as JSON may still send nothing.
    if (bytes.byteLength > 0)
      visit(accepted(parseJsonBody(new Uint8Array(bytes))).value, (_, name) => {
        if (name === '__proto__') throw fieldFault(name, 'is not a known field')
      })
    // The validators know fewer spellings of the type: none with a space before the semicolon, say.
    setType(c, 'application/json')
  }
  await next()
}
