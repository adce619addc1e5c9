// The answer where no route is: 404, or 405 where the path has routes of other methods. Pure.

import type { Context, Hono } from 'hono'
import { problemResponse } from '../problem.ts'

/**
 * @example
 * ```ts
 * app.notFound(answerNoRoute(app))
 * ```
 */
export function answerNoRoute(app: Routed) {
  return function answerNoRoute(c: Context): Response {
    const { method, path } = c.req
    const allowed = methodsOf(app, path)
    if (allowed === '') {
      const message = `There is no ${method} ${path} here.`
      return problemResponse({ code: 'not_found', message }, c.get('request_id'))
    }
    const message = `There is no ${method} ${path} here, only ${allowed}.`
    const answer = problemResponse({ code: 'method_not_allowed', message }, c.get('request_id'))
    answer.headers.set('allow', allowed)
    return answer
  }
}

type Routed = Pick<Hono, 'routes' | 'router'>

/** `GET, HEAD, POST`; empty where nothing is at the path but middleware, whose method is `ALL`. */
function methodsOf({ routes, router }: Routed, path: string): string {
  // The router is asked, because only it knows what its patterns match.
  const all = new Set(routes.map(({ method }) => method))
  const found = new Set([...all].flatMap((method) => router.match(method, path)[0].map(([[, route]]) => route)))
  const here = routes.filter((route) => route.method !== 'ALL' && found.has(route))
  // A route with this last part as it is goes before one with a parameter there: `/users/{id}/caps/status` is no cap.
  const named = here.filter((route) => lastOf(route.path) === lastOf(path))
  const methods = (named.length > 0 ? named : here).map(({ method }) => method)
  // Hono answers HEAD where there is a GET.
  return [...new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : method)))].join(', ')
}

const lastOf = (path: string) => path.slice(path.lastIndexOf('/'))
