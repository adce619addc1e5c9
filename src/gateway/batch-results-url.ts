// Where the results of a message batch are, as seen through Tollgate. Anthropic's SDKs fetch them from the URL that the
// batch names. Unless it is rewritten, they ask Anthropic itself, which refuses a Tollgate key.

import type { MiddlewareHandler } from 'hono'
import { mediaTypeOf } from '../body-type.ts'
import type { GatewayError } from '../errors.ts'
import { isObject, parseJsonOrUndefined } from '../providers/answer.ts'
import { anthropic } from '../providers/anthropic.ts'
import { utf8Decoder } from '../providers/bytes.ts'
import type { JsonObject } from '../providers/dialect.ts'

/** Headers that the middleware has put on the provider's answer: where pages may read it, and how full the tightest cap is. */
const OURS = /^(access-control-|vary$|ratelimit)/

/** A batch takes less than a KiB. */
const MAX_BYTES = 1_048_576

/**
 * Behind `requestId()`. An answer that breaks off, is compressed or far too long for a batch becomes an error of Anthropic's.
 *
 * @example
 * ```ts
 * app.use('/anthropic/v1/messages/batches/*', batchResultsUrl())
 * ```
 */
export function batchResultsUrl(): MiddlewareHandler<{ Variables: { request_id: string } }> {
  return async function batchResultsUrl(c, next) {
    await next()
    const type = mediaTypeOf(c.res.headers)
    if (c.req.path.endsWith('/results') || c.res.status !== 200 || type !== 'application/json') return
    const text = await readText(c.res)
    if (typeof text !== 'string') {
      const answer = anthropic.errorResponse(text, c.var.request_id)
      for (const [name, value] of c.res.headers) if (OURS.test(name)) answer.headers.set(name, value)
      // Else Hono puts the headers of the answer that it replaces over those of the new one.
      c.res = undefined
      c.res = answer
      return
    }
    const batch = parseJsonOrUndefined(text)
    const results_url = isObject(batch) ? hereOf(batch, c.req.url) : null
    c.res = new Response(results_url ? JSON.stringify({ ...(batch as object), results_url }) : text, c.res)
  }
}

async function readText({ body, headers }: Response): Promise<string | GatewayError> {
  if (headers.has('content-encoding'))
    return unreachable('The provider answered in a compression that is not known here.')
  const decode = utf8Decoder()
  let text = ''
  let bytes = 0
  try {
    for await (const chunk of body ?? []) {
      bytes += chunk.length
      if (bytes > MAX_BYTES) return unreachable('The provider answered with more than a batch.')
      text += decode(chunk)
    }
  } catch {
    return unreachable('The provider ended the answer early.')
  }
  return text + decode()
}

const unreachable = (message: string): GatewayError => ({ code: 'upstream_unreachable', message })

/** By the batch's own id, whatever URL the provider, or a proxy before it, names. Null where there are no results yet. */
function hereOf({ id, results_url }: JsonObject, here: string): string | null {
  if (typeof results_url !== 'string') return null
  return new URL(`/anthropic/v1/messages/batches/${encodeURIComponent(String(id))}/results`, here).href
}
