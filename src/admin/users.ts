// /admin/users: create, list, get, change, suspend, activate, delete.

import { createRoute, z } from '@hono/zod-openapi'
import { USER_STATUSES } from '../../durable-objects/ledger/types.ts'
import type { UserRow } from '../postgres/schema.ts'
import { changeUser, createUser, deleteUser, findUser, listUsers, type UserChange } from '../postgres/users.ts'
import { answers, created, creates, found, notFound, problems, restApp, takes } from '../rest/app.ts'
import { emptyBodyIsNone } from '../rest/empty-body.ts'
import {
  email,
  id,
  name,
  noQuery,
  pageQuery,
  pageRequest,
  pageSchema,
  pageView,
  text,
  timeZone,
} from '../rest/fields.ts'
import { pushSnapshot } from '../rest/in-force.ts'
import { changeAndPush } from './change.ts'
import type { AdminDeps } from './deps.ts'

const userSchema = z
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

const newUserSchema = z.strictObject({
  name,
  email: email.nullable().default(null),
  time_zone: timeZone.default('UTC'),
})

const userChangeSchema = z.strictObject({
  name: name.optional(),
  email: email.nullable().optional(),
  time_zone: timeZone.optional(),
})

const params = z.object({ id })
/** Refuses every field: a suspension sent with an end, say, must not seem to have one. */
const nothing = { ...takes(z.strictObject({})), required: false }

const create = createRoute({
  method: 'post',
  path: '/users',
  operationId: 'createUser',
  tags: ['users'],
  summary: 'Create a user with the default caps',
  request: { query: noQuery, body: takes(newUserSchema) },
  responses: { 201: creates(userSchema, 'The user'), ...problems(413, 415) },
})
const list = createRoute({
  method: 'get',
  path: '/users',
  operationId: 'listUsers',
  tags: ['users'],
  summary: 'List users, newest first, deleted ones too',
  request: {
    query: z.strictObject({
      status: z.enum(USER_STATUSES).optional(),
      email: email.optional(),
      subject: text(255).optional().openapi({ description: "The `sub` of the user's JWTs." }),
      ...pageQuery,
    }),
  },
  responses: { 200: answers(pageSchema(userSchema), 'A page'), ...problems() },
})
const get = createRoute({
  method: 'get',
  path: '/users/{id}',
  operationId: 'getUser',
  tags: ['users'],
  summary: 'Get a user',
  request: { params, query: noQuery },
  responses: { 200: answers(userSchema, 'The user'), ...problems(404) },
})
const change = createRoute({
  method: 'patch',
  path: '/users/{id}',
  operationId: 'changeUser',
  tags: ['users'],
  summary: 'Change a user',
  request: { params, query: noQuery, body: takes(userChangeSchema) },
  responses: { 200: answers(userSchema, 'The user as changed'), ...problems(404, 409, 413, 415) },
})
const suspend = createRoute({
  method: 'post',
  path: '/users/{id}/suspend',
  operationId: 'suspendUser',
  tags: ['users'],
  summary: 'Refuse all calls of a user',
  middleware: emptyBodyIsNone,
  request: { params, query: noQuery, body: nothing },
  responses: { 200: answers(userSchema, 'The user as changed'), ...problems(404, 409, 413, 415) },
})
const activate = createRoute({
  method: 'post',
  path: '/users/{id}/activate',
  operationId: 'activateUser',
  tags: ['users'],
  summary: 'End a suspension',
  middleware: emptyBodyIsNone,
  request: { params, query: noQuery, body: nothing },
  responses: { 200: answers(userSchema, 'The user as changed'), ...problems(404, 409, 413, 415) },
})
const remove = createRoute({
  method: 'delete',
  path: '/users/{id}',
  operationId: 'deleteUser',
  tags: ['users'],
  summary: 'Delete a user: keys end; name, email and usage events stay',
  request: { params, query: noQuery },
  responses: { 204: { description: 'Deleted, or deleted before' }, ...problems(404) },
})

export function userRoutes(deps: AdminDeps) {
  const { db } = deps

  async function changed(userId: string, fields: UserChange) {
    const old = await findUser(db, userId)
    const change = () => (old && isAlready(old, fields) ? Promise.resolve(old) : changeUser(db, userId, fields))
    return userView(found(await changeAndPush(deps, userId, change), 'user'))
  }

  return restApp()
    .openapi(create, async (c) => {
      // Nothing to push: a ledger that has no snapshot refuses, or asks for one with the first call.
      const user = await createUser(db, { id: deps.newId(), ...c.req.valid('json') })
      return created(c, userView(found(user, 'user')))
    })
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query')
      return c.json(pageView(await listUsers(db, pageRequest({ limit, cursor }), filter), userView), 200)
    })
    .openapi(get, async (c) => {
      return c.json(userView(found(await findUser(db, c.req.valid('param').id), 'user')), 200)
    })
    .openapi(change, async (c) => c.json(await changed(c.req.valid('param').id, c.req.valid('json')), 200))
    .openapi(suspend, async (c) => c.json(await changed(c.req.valid('param').id, { status: 'suspended' }), 200))
    .openapi(activate, async (c) => c.json(await changed(c.req.valid('param').id, { status: 'active' }), 200))
    .openapi(remove, async (c) => {
      const userId = c.req.valid('param').id
      const isDeleted = await deleteUser(db, userId)
      await pushSnapshot(deps, userId)
      if (!isDeleted) throw notFound('user')
      return c.body(null, 204)
    })
}

/** Whether a change would change nothing. False for a deleted user, whose changes are all refused. */
function isAlready(user: UserRow, fields: UserChange): boolean {
  if (user.status === 'deleted') return false
  const { name = user.name, email = user.email, time_zone = user.time_zone, status = user.status } = fields
  return name === user.name && email === user.email && time_zone === user.time_zone && status === user.status
}

function userView({ version: _, ...row }: UserRow) {
  return { ...row, created_at: row.created_at.toISOString(), updated_at: row.updated_at.toISOString() }
}
