// /admin/usage/events: every call of every user.

import { createRoute } from '@hono/zod-openapi'
import { listEvents } from '../postgres/events.ts'
import { answers, problems, restApp } from '../rest/app.ts'
import { eventsQuery, eventsSchema, eventsView } from '../rest/events.ts'
import { pageRequest } from '../rest/fields.ts'
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

export function eventRoutes({ db }: AdminDeps) {
  return restApp().openapi(list, async (c) => {
    const { limit, cursor, ...filter } = c.req.valid('query')
    return c.json(eventsView(await listEvents(db, pageRequest({ limit, cursor }), filter)), 200)
  })
}
