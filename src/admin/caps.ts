// /admin/users/{id}/caps: a user's caps, and how full they are.

import { createRoute, z } from '@hono/zod-openapi'
import { USER_STATUSES } from '../../durable-objects/ledger/types.ts'
import { changeCap, createCap, deleteCap, findCap, isSecondCap, isUnlimitedCap, listCaps } from '../postgres/caps.ts'
import { findUser } from '../postgres/users.ts'
import { limitsOfChangedCap, limitsOfNewCap } from '../rest/amounts.ts'
import { answers, conflict, created, creates, found, notFound, problems, restApp, takes } from '../rest/app.ts'
import { capSchema, capType, capView, onExceed } from '../rest/caps.ts'
import { id, noQuery } from '../rest/fields.ts'
import { fieldFault } from '../rest/invalid-request.ts'
import { statusSchema, statusView, userStatus } from '../rest/status.ts'
import { changeAndPush } from './change.ts'
import type { AdminDeps } from './deps.ts'

export const capSettings = z.strictObject({
  limits: limitsOfNewCap,
  on_exceed: onExceed.default('clamp'),
  is_active: z.boolean().default(true),
})

const newCapSchema = capSettings.extend({ cap_type: capType })

const capChangeSchema = z.strictObject({
  limits: limitsOfChangedCap.optional(),
  on_exceed: onExceed.optional(),
  is_active: z.boolean().optional(),
})

const userStatusSchema = statusSchema
  .extend({
    version: z.int().openapi({ description: 'Of the configuration that the ledger enforces.' }),
    status: z.enum(USER_STATUSES),
    outbox: z
      .object({ waiting: z.int(), rejected: z.int() })
      .openapi({ description: 'Usage events that are not yet in the database, and those that it rejected.' }),
  })
  .openapi('UserCapsStatus')

const user = z.object({ id })
const userAndCap = z.object({ id, cap_id: id })

const create = createRoute({
  method: 'post',
  path: '/users/{id}/caps',
  operationId: 'createCap',
  tags: ['caps'],
  summary: 'Create a cap',
  request: { params: user, query: noQuery, body: takes(newCapSchema) },
  responses: { 201: creates(capSchema, 'The cap'), ...problems(404, 409, 413, 415) },
})
const list = createRoute({
  method: 'get',
  path: '/users/{id}/caps',
  operationId: 'listCaps',
  tags: ['caps'],
  summary: 'List the caps of a user',
  request: { params: user, query: noQuery },
  responses: { 200: answers(z.object({ data: z.array(capSchema) }), 'All caps'), ...problems(404) },
})
const status = createRoute({
  method: 'get',
  path: '/users/{id}/caps/status',
  operationId: 'getCapsStatus',
  tags: ['caps'],
  summary: 'How full the caps of a user are, as they are enforced',
  request: { params: user, query: noQuery },
  responses: { 200: answers(userStatusSchema, 'Active caps'), ...problems(404) },
})
const get = createRoute({
  method: 'get',
  path: '/users/{id}/caps/{cap_id}',
  operationId: 'getCap',
  tags: ['caps'],
  summary: 'Get a cap',
  request: { params: userAndCap, query: noQuery },
  responses: { 200: answers(capSchema, 'The cap'), ...problems(404) },
})
const change = createRoute({
  method: 'patch',
  path: '/users/{id}/caps/{cap_id}',
  operationId: 'changeCap',
  tags: ['caps'],
  summary: 'Change a cap',
  request: { params: userAndCap, query: noQuery, body: takes(capChangeSchema) },
  responses: { 200: answers(capSchema, 'The cap as changed'), ...problems(404, 409, 413, 415) },
})
const remove = createRoute({
  method: 'delete',
  path: '/users/{id}/caps/{cap_id}',
  operationId: 'deleteCap',
  tags: ['caps'],
  summary: 'Delete a cap',
  request: { params: userAndCap, query: noQuery },
  responses: { 204: { description: 'Deleted' }, ...problems(404, 409) },
})

export function capRoutes(deps: AdminDeps) {
  const { db, newId } = deps
  return restApp()
    .openapi(create, async (c) => {
      const user_id = c.req.valid('param').id
      const { cap_type, limits, on_exceed, is_active } = c.req.valid('json')
      const row = await changeAndPush(
        deps,
        user_id,
        () => createCap(db, { id: newId(), user_id, cap_type, ...limits, on_exceed, is_active }),
        (error) => (isSecondCap(error) ? secondCap(cap_type) : null),
      )
      return created(c, capView(found(row, 'cap')))
    })
    .openapi(list, async (c) => {
      const userId = c.req.valid('param').id
      found(await findUser(db, userId), 'user')
      return c.json({ data: (await listCaps(db, userId)).map(capView) }, 200)
    })
    .openapi(status, async (c) => {
      const ledger = await userStatus(deps, c.req.valid('param').id)
      const { version, status, outbox } = ledger
      return c.json({ ...statusView(ledger), version, status, outbox }, 200)
    })
    .openapi(get, async (c) => {
      const { id: userId, cap_id } = c.req.valid('param')
      return c.json(capView(found(await findCap(db, userId, cap_id), 'cap')), 200)
    })
    .openapi(change, async (c) => {
      const { id: userId, cap_id } = c.req.valid('param')
      const { limits, ...settings } = c.req.valid('json')
      const fields = { ...limits, ...settings }
      const changesNothing = Object.values(fields).every((value) => value === undefined)
      // Whose user is deleted refuses all changes, this one too.
      const keeps = changesNothing && (await findUser(db, userId))?.status !== 'deleted'
      const row = await changeAndPush(
        deps,
        userId,
        () => (keeps ? findCap(db, userId, cap_id) : changeCap(db, userId, cap_id, fields)),
        (error) => (isUnlimitedCap(error) ? unlimitedCap() : null),
      )
      return c.json(capView(found(row, 'cap')), 200)
    })
    .openapi(remove, async (c) => {
      const { id: userId, cap_id } = c.req.valid('param')
      if (!(await changeAndPush(deps, userId, () => deleteCap(db, userId, cap_id)))) throw notFound('cap')
      return c.body(null, 204)
    })
}

const secondCap = (type: string) => conflict(`The user already has a ${type} cap. Change that one.`, 'cap_type')

const unlimitedCap = () =>
  fieldFault('limits', 'must leave at least one limit', '. Delete the cap or set is_active to false instead.')
