// Where the results of a message batch are, as seen through Tollgate. Anthropic's SDKs fetch them from the URL that the
// batch itself names: left as it is, they would take the Tollgate key to Anthropic and be refused there.

import type { MiddlewareHandler } from 'hono'
import { isObject, parseJsonOrUndefined } from '../providers/answer.ts'

const RESULTS = /^\/v1\/messages\/batches\/[^/]+\/results$/

/**
 * @example
 * ```ts
 * app.use('/anthropic/v1/messages/batches/*', batchResultsUrl())
 * app.use('/anthropic/v1/messages/batches', batchResultsUrl())
 * ```
 */
export function batchResultsUrl(): MiddlewareHandler {
  return async function batchResultsUrl(c, next) {
    await next()
    if (c.res.status !== 200 || !c.res.headers.get('content-type')?.startsWith('application/json')) return
    const text = await c.res.text()
    const batch = parseJsonOrUndefined(text)
    const results_url = isObject(batch) ? hereOf(batch.results_url, c.req.url) : null
    c.res = new Response(results_url ? JSON.stringify({ ...(batch as object), results_url }) : text, c.res)
  }
}

function hereOf(results_url: unknown, here: string): string | null {
  const path = typeof results_url === 'string' ? URL.parse(results_url)?.pathname : null
  return path && RESULTS.test(path) ? new URL(`/anthropic${path}`, here).href : null
}
