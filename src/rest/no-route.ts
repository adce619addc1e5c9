// The answer where no route is: 404, or 405 where the path has routes of other methods. Pure.

import type { Context } from 'hono'
import type { RouterRoute } from 'hono/types'
import { problemResponse } from '../problem.ts'

/**
 * @example
 * ```ts
 * app.notFound(answerNoRoute(app))
 * ```
 */
export function answerNoRoute(app: { routes: RouterRoute[] }) {
  return function answerNoRoute(c: Context): Response {
    const { method, path } = c.req
    const allowed = methodsOf(app.routes, path)
    if (allowed === '') {
      const message = `There is no ${method} ${path} here.`
      return problemResponse({ code: 'not_found', message }, c.get('request_id'))
    }
    const message = `There is no ${method} ${path} here, but ${allowed}.`
    const answer = problemResponse({ code: 'method_not_allowed', message }, c.get('request_id'))
    answer.headers.set('allow', allowed)
    return answer
  }
}

/** `GET, HEAD, POST`; empty where nothing is at the path but middleware, whose method is `ALL`. */
function methodsOf(routes: RouterRoute[], path: string): string {
  const methods = new Set<string>()
  for (const route of routes) {
    if (route.method === 'ALL' || !isAt(route.path, path)) continue
    methods.add(route.method)
    // Hono answers HEAD where there is a GET.
    if (route.method === 'GET') methods.add('HEAD')
  }
  return [...methods].join(', ')
}

function isAt(pattern: string, path: string): boolean {
  const [wanted, parts] = [pattern.split('/'), path.split('/')]
  return (
    wanted.length === parts.length && wanted.every((part, i) => (part.startsWith(':') ? parts[i] : part === parts[i]))
  )
}
