// /admin/default-caps: the caps that are copied to new users.

import { createRoute, z } from '@hono/zod-openapi'
import { deleteDefaultCap, listDefaultCaps, putDefaultCap } from '../postgres/caps.ts'
import { answers, found, notFound, problems, restApp, takes } from '../rest/app.ts'
import { capType, defaultCapSchema, defaultCapView } from '../rest/caps.ts'
import { noQuery } from '../rest/fields.ts'
import { capSettings } from './caps.ts'
import type { AdminDeps } from './deps.ts'

const params = z.object({ cap_type: capType })

const list = createRoute({
  method: 'get',
  path: '/default-caps',
  operationId: 'listDefaultCaps',
  tags: ['default caps'],
  summary: 'List the caps that new users get',
  request: { query: noQuery },
  responses: { 200: answers(z.object({ data: z.array(defaultCapSchema) }), 'All default caps'), ...problems() },
})
const put = createRoute({
  method: 'put',
  path: '/default-caps/{cap_type}',
  operationId: 'setDefaultCap',
  tags: ['default caps'],
  summary: 'Set a cap that new users get; users that are there keep theirs',
  request: { params, query: noQuery, body: takes(capSettings) },
  responses: { 200: answers(defaultCapSchema, 'The default cap'), ...problems(413, 415) },
})
const remove = createRoute({
  method: 'delete',
  path: '/default-caps/{cap_type}',
  operationId: 'deleteDefaultCap',
  tags: ['default caps'],
  summary: 'Delete a default cap',
  request: { params, query: noQuery },
  responses: { 204: { description: 'Deleted' }, ...problems(404) },
})

export function defaultCapRoutes({ db }: AdminDeps) {
  return restApp()
    .openapi(list, async (c) => c.json({ data: (await listDefaultCaps(db)).map(defaultCapView) }, 200))
    .openapi(put, async (c) => {
      const { limits, ...settings } = c.req.valid('json')
      const row = await putDefaultCap(db, { cap_type: c.req.valid('param').cap_type, ...limits, ...settings })
      return c.json(defaultCapView(found(row, 'default cap')), 200)
    })
    .openapi(remove, async (c) => {
      if (!(await deleteDefaultCap(db, c.req.valid('param').cap_type))) throw notFound('default cap')
      return c.body(null, 204)
    })
}
