// /admin/users: create, list, get, change, suspend, activate, delete.

import { createRoute, z } from '@hono/zod-openapi'
import { USER_STATUSES, type UserRow } from '../postgres/schema.ts'
import { changeUser, createUser, deleteUser, findUser, listUsers, type UserChange } from '../postgres/users.ts'
import { answers, notFound, problems, restApp, takes } from '../rest/app.ts'
import { email, encodeCursor, id, name, nextCursor, noQuery, pageQuery, pageRequest, timeZone } from '../rest/fields.ts'
import { pushSnapshot } from '../rest/in-force.ts'
import { changeAndPush } from './change.ts'
import type { AdminDeps } from './deps.ts'

export const userSchema = z
  .object({
    id: z.guid(),
    name: z.string(),
    email: z.string().nullable(),
    issuer: z.string().nullable(),
    subject: z.string().nullable(),
    time_zone: z.string(),
    status: z.enum(USER_STATUSES),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .openapi('User')

export const newUserSchema = z.strictObject({
  name,
  email: email.nullable().default(null),
  time_zone: timeZone.default('UTC'),
})

export const userChangeSchema = z.strictObject({
  name: name.optional(),
  email: email.nullable().optional(),
  time_zone: timeZone.optional(),
})

const params = z.object({ id })

const create = createRoute({
  method: 'post',
  path: '/users',
  summary: 'Create a user with the default caps',
  request: { body: takes(newUserSchema) },
  responses: { 201: answers(userSchema, 'The user'), ...problems(400, 413, 415, 503) },
})
const list = createRoute({
  method: 'get',
  path: '/users',
  summary: 'List users, newest first, deleted ones too',
  request: { query: z.strictObject({ status: z.enum(USER_STATUSES).optional(), ...pageQuery }) },
  responses: {
    200: answers(z.object({ data: z.array(userSchema), next_cursor: nextCursor }), 'A page'),
    ...problems(400, 503),
  },
})
const get = createRoute({
  method: 'get',
  path: '/users/{id}',
  summary: 'Get a user',
  request: { params, query: noQuery },
  responses: { 200: answers(userSchema, 'The user'), ...problems(400, 404, 503) },
})
const change = createRoute({
  method: 'patch',
  path: '/users/{id}',
  summary: 'Change a user',
  request: { params, body: takes(userChangeSchema) },
  responses: { 200: answers(userSchema, 'The user as changed'), ...problems(400, 404, 409, 413, 415, 503) },
})
const suspend = createRoute({
  method: 'post',
  path: '/users/{id}/suspend',
  summary: 'Refuse all calls of a user',
  request: { params },
  responses: { 200: answers(userSchema, 'The user as changed'), ...problems(400, 404, 409, 503) },
})
const activate = createRoute({
  method: 'post',
  path: '/users/{id}/activate',
  summary: 'End a suspension',
  request: { params },
  responses: { 200: answers(userSchema, 'The user as changed'), ...problems(400, 404, 409, 503) },
})
const remove = createRoute({
  method: 'delete',
  path: '/users/{id}',
  summary: 'Delete a user: keys end, usage events stay',
  request: { params },
  responses: { 204: { description: 'Deleted, or deleted before' }, ...problems(400, 404, 503) },
})

export function userRoutes(deps: AdminDeps) {
  const { db } = deps

  async function changed(userId: string, fields: UserChange) {
    const row = await changeAndPush(deps, userId, () => changeUser(db, userId, fields))
    if (!row) throw notFound('user')
    return userView(row)
  }

  return restApp()
    .openapi(create, async (c) => {
      const userId = deps.newId()
      // Nothing to push: a ledger that has no snapshot refuses, or asks for one with the first call.
      await createUser(db, { id: userId, ...c.req.valid('json') })
      const row = await findUser(db, userId)
      if (!row) throw notFound('user')
      return c.json(userView(row), 201)
    })
    .openapi(list, async (c) => {
      const { status, ...query } = c.req.valid('query')
      const { rows, next } = await listUsers(db, pageRequest(query), status)
      return c.json({ data: rows.map(userView), next_cursor: encodeCursor(next) }, 200)
    })
    .openapi(get, async (c) => {
      const row = await findUser(db, c.req.valid('param').id)
      if (!row) throw notFound('user')
      return c.json(userView(row), 200)
    })
    .openapi(change, async (c) => c.json(await changed(c.req.valid('param').id, c.req.valid('json')), 200))
    .openapi(suspend, async (c) => c.json(await changed(c.req.valid('param').id, { status: 'suspended' }), 200))
    .openapi(activate, async (c) => c.json(await changed(c.req.valid('param').id, { status: 'active' }), 200))
    .openapi(remove, async (c) => {
      const userId = c.req.valid('param').id
      if (!(await deleteUser(db, userId))) throw notFound('user')
      await pushSnapshot(deps, userId)
      return c.body(null, 204)
    })
}

function userView({ version: _, ...row }: UserRow) {
  return { ...row, created_at: row.created_at.toISOString(), updated_at: row.updated_at.toISOString() }
}
