// The REST routes under /usage: callers read their own caps and usage. The ledger says whether they still may.

import { createRoute, z } from '@hono/zod-openapi'
import { listCaps } from '../postgres/caps.ts'
import { listEvents } from '../postgres/events.ts'
import { answers, callerSecurity, problems, restApp } from '../rest/app.ts'
import { capSchema, capView } from '../rest/caps.ts'
import { eventsSchema, eventsView, ownEventsQuery } from '../rest/events.ts'
import { noQuery, pageRequest } from '../rest/fields.ts'
import type { Deps } from '../rest/in-force.ts'
import { callerStatus, statusSchema, statusView, type UsageCaller } from '../rest/status.ts'
import { ownTotalsQuery, totalsSchema, totalsView } from '../rest/totals.ts'

const caps = createRoute({
  method: 'get',
  path: '/caps',
  operationId: 'listOwnCaps',
  tags: ['usage'],
  security: callerSecurity,
  summary: 'List your caps',
  request: { query: noQuery },
  responses: { 200: answers(z.object({ data: z.array(capSchema) }), 'All caps'), ...problems() },
})
const status = createRoute({
  method: 'get',
  path: '/caps/status',
  operationId: 'getOwnCapsStatus',
  tags: ['usage'],
  security: callerSecurity,
  summary: 'How full your caps are, as they are enforced',
  request: { query: noQuery },
  responses: { 200: answers(statusSchema, 'Active caps'), ...problems() },
})
const events = createRoute({
  method: 'get',
  path: '/events',
  operationId: 'listOwnEvents',
  tags: ['usage'],
  security: callerSecurity,
  summary: 'List your usage events, newest first',
  request: { query: ownEventsQuery },
  responses: { 200: answers(eventsSchema, 'A page'), ...problems() },
})
const totals = createRoute({
  method: 'get',
  path: '/totals',
  operationId: 'getOwnTotals',
  tags: ['usage'],
  security: callerSecurity,
  summary: 'What your usage events add up to, by window and by what they have in common',
  request: { query: ownTotalsQuery },
  responses: { 200: answers(totalsSchema, 'A row for each window and group that has events'), ...problems() },
})

/**
 * Expects `c.var.caller` from `authenticate`.
 *
 * @example
 * ```ts
 * app.use('/usage/*', authenticate({ keys, jwt: null }))
 * app.route('/usage', usageRoutes({ db, ledgerOf }))
 * ```
 */
export function usageRoutes(deps: Deps) {
  const { db } = deps
  return restApp<{ caller: UsageCaller }>()
    .openapi(caps, async (c) => {
      await callerStatus(deps, c.var.caller)
      return c.json({ data: (await listCaps(db, c.var.caller.user_id)).map(capView) }, 200)
    })
    .openapi(status, async (c) => c.json(statusView(await callerStatus(deps, c.var.caller)), 200))
    .openapi(events, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query')
      await callerStatus(deps, c.var.caller)
      const { user_id } = c.var.caller
      return c.json(eventsView(await listEvents(db, pageRequest({ limit, cursor }), { ...filter, user_id })), 200)
    })
    .openapi(totals, async (c) => {
      const status = await callerStatus(deps, c.var.caller)
      const { time_zone = status.time_zone, ...query } = c.req.valid('query')
      const { user_id } = c.var.caller
      return c.json(await totalsView(db, { ...query, time_zone, user_id }), 200)
    })
}
