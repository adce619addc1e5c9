// What middleware does to answers, whatever the handler returned and wherever it runs.

import type { Context } from 'hono'

/** Puts headers on the answer of the handler. */
export function setHeaders(c: Context, headers: Record<string, string>): void {
  const answer = withHeaders(c.res, headers)
  // Setting it would also make an empty answer of none, of which Hono makes an error.
  if (answer === c.res) return
  // Otherwise Hono puts the headers of the answer so far over those of the new one.
  c.res = undefined
  c.res = answer
}

/** The answer with these headers: a copy where its own cannot be changed, as in what `fetch` returns. */
export function withHeaders(response: Response, headers: Record<string, string>): Response {
  try {
    for (const [name, value] of Object.entries(headers)) response.headers.set(name, value)
    return response
  } catch {
    return withHeaders(new Response(response.body, response), headers)
  }
}

/** Keeps the Worker alive until the work is done. Elsewhere nothing ends a promise early. */
export function keepAlive(c: Context, work: Promise<unknown>): void {
  executionOf(c)?.waitUntil(work)
}

/** What keeps work alive after the answer; Hono throws where the host has none. */
export function executionOf(c: Pick<Context, 'executionCtx'>): Context['executionCtx'] | undefined {
  try {
    return c.executionCtx
  } catch {
    return undefined
  }
}
