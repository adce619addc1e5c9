// /admin/usage: every call of every user, and what they add up to.

import { createRoute } from '@hono/zod-openapi'
import { listEvents } from '../postgres/events.ts'
import { answers, problems, restApp } from '../rest/app.ts'
import { eventsQuery, eventsSchema, eventsView } from '../rest/events.ts'
import { pageRequest } from '../rest/fields.ts'
import { totalsQuery, totalsSchema, totalsView } from '../rest/totals.ts'
import type { AdminDeps } from './deps.ts'

const list = createRoute({
  method: 'get',
  path: '/usage/events',
  operationId: 'listEvents',
  tags: ['usage'],
  summary: 'List usage events, newest first',
  request: { query: eventsQuery },
  responses: { 200: answers(eventsSchema, 'A page'), ...problems() },
})

const totals = createRoute({
  method: 'get',
  path: '/usage/totals',
  operationId: 'getTotals',
  tags: ['usage'],
  summary: 'What usage events add up to, by window and by what they have in common',
  request: { query: totalsQuery },
  responses: { 200: answers(totalsSchema, 'A row for each window and group that has events'), ...problems() },
})

export function usageRoutes({ db }: AdminDeps) {
  return restApp()
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query')
      return c.json(eventsView(await listEvents(db, pageRequest({ limit, cursor }), filter)), 200)
    })
    .openapi(totals, async (c) => c.json(await totalsView(db, c.req.valid('query')), 200))
}
