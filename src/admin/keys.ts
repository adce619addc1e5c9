// /admin/users/{id}/keys: create (the only time that the key is shown), list, get, revoke, rotate.

import { createRoute, z } from '@hono/zod-openapi'
import { KEY_SCOPES } from '../../durable-objects/ledger/types.ts'
import { createKey, findKey, listKeys, MOST_ACTIVE_KEYS, type NewKey, revokeKey, rotateKey } from '../postgres/keys.ts'
import type { ApiKeyRow } from '../postgres/schema.ts'
import { findUser } from '../postgres/users.ts'
import { answers, conflict, created, creates, found, notFound, problems, restApp, takes } from '../rest/app.ts'
import { emptyBodyIsNone } from '../rest/empty-body.ts'
import { id, instant, name, noQuery, pageQuery, pageRequest, pageSchema, pageView } from '../rest/fields.ts'
import { pushSnapshot } from '../rest/in-force.ts'
import { fieldFault } from '../rest/invalid-request.ts'
import { changeAndPush } from './change.ts'
import type { AdminDeps } from './deps.ts'

const LONGEST_GRACE_SECONDS = 7 * 86_400

const scopes = z.array(z.enum(KEY_SCOPES)).min(1).max(KEY_SCOPES.length)

const keySchema = z
  .object({
    id: z.guid(),
    user_id: z.guid(),
    name: z.string(),
    last_four: z.string(),
    scopes,
    status: z.enum(['active', 'expired', 'revoked']),
    expires_at: z.iso.datetime().nullable(),
    revoked_at: z.iso
      .datetime()
      .nullable()
      .openapi({ description: 'Ahead where a rotated key is still in its grace.' }),
    created_at: z.iso.datetime(),
  })
  .openapi('Key')

const shownKeySchema = keySchema
  .extend({ key: z.string().openapi({ description: 'Shown this once.' }) })
  .openapi('ShownKey')

const newKeySchema = z.strictObject({
  name,
  scopes: scopes.transform((list) => [...new Set(list)]).default([...KEY_SCOPES]),
  expires_at: instant.nullish().openapi({ description: 'Null or absent: it does not expire.' }),
})

const rotationSchema = z.strictObject({ grace_seconds: z.int().min(0).max(LONGEST_GRACE_SECONDS).default(0) })

const user = z.object({ id })
const userAndKey = z.object({ id, key_id: id })

const create = createRoute({
  method: 'post',
  path: '/users/{id}/keys',
  operationId: 'createKey',
  tags: ['keys'],
  summary: 'Create a key',
  request: { params: user, query: noQuery, body: takes(newKeySchema) },
  responses: { 201: creates(shownKeySchema, 'The key, shown this once'), ...problems(404, 409, 413, 415) },
})
const list = createRoute({
  method: 'get',
  path: '/users/{id}/keys',
  operationId: 'listKeys',
  tags: ['keys'],
  summary: 'List the keys of a user, newest first',
  request: { params: user, query: z.strictObject(pageQuery) },
  responses: { 200: answers(pageSchema(keySchema), 'A page'), ...problems(404) },
})
const get = createRoute({
  method: 'get',
  path: '/users/{id}/keys/{key_id}',
  operationId: 'getKey',
  tags: ['keys'],
  summary: 'Get a key',
  request: { params: userAndKey, query: noQuery },
  responses: { 200: answers(keySchema, 'The key'), ...problems(404) },
})
const revoke = createRoute({
  method: 'delete',
  path: '/users/{id}/keys/{key_id}',
  operationId: 'revokeKey',
  tags: ['keys'],
  summary: 'Revoke a key',
  request: { params: userAndKey, query: noQuery },
  responses: { 204: { description: 'Revoked, or revoked before' }, ...problems(404, 409) },
})
const rotate = createRoute({
  method: 'post',
  path: '/users/{id}/keys/{key_id}/rotate',
  operationId: 'rotateKey',
  tags: ['keys'],
  summary: 'Make a key like this one, which ends now or after a grace',
  middleware: emptyBodyIsNone,
  request: { params: userAndKey, query: noQuery, body: { ...takes(rotationSchema), required: false } },
  responses: {
    201: creates(shownKeySchema, 'The new key, shown this once'),
    ...problems(404, 409, 413, 415),
  },
})

export function keyRoutes(deps: AdminDeps) {
  const { db, keys, now, newId } = deps

  const keyView = (row: ApiKeyRow) => ({
    ...row,
    status: statusOf(row, now()),
    expires_at: row.expires_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  })

  /** Signs a new key, lets `save` commit it, and shows it once the ledger knows it. Null where `save` did not commit. */
  async function issued(
    userId: string,
    like: Pick<NewKey, 'name' | 'scopes' | 'expires_at'>,
    save: (key: NewKey) => Promise<ApiKeyRow | null>,
  ) {
    const keyId = newId()
    const key = await keys.issue(userId, keyId)
    const { name, scopes, expires_at } = like
    const row = await changeAndPush(deps, userId, () =>
      save({ id: keyId, user_id: userId, name, last_four: key.slice(-4), scopes, expires_at }),
    ).catch(async (error) => {
      // It may be saved, but nobody has seen it, nor can. Where this fails, too, it stays, and harms nobody.
      await revokeKey(db, userId, keyId).catch(() => {})
      throw error
    })
    return row && { ...keyView(row), key }
  }

  return restApp()
    .openapi(create, async (c) => {
      const { expires_at = null, ...fields } = c.req.valid('json')
      if (expires_at && expires_at.getTime() <= now()) throw pastExpiry()
      const key = await issued(c.req.valid('param').id, { ...fields, expires_at }, (key) => createKey(db, key))
      if (!key) throw tooManyKeys()
      return created(c, key)
    })
    .openapi(list, async (c) => {
      const userId = c.req.valid('param').id
      found(await findUser(db, userId), 'user')
      return c.json(pageView(await listKeys(db, userId, pageRequest(c.req.valid('query'))), keyView), 200)
    })
    .openapi(get, async (c) => {
      const { id: userId, key_id } = c.req.valid('param')
      return c.json(keyView(found(await findKey(db, userId, key_id), 'key')), 200)
    })
    .openapi(revoke, async (c) => {
      const { id: userId, key_id } = c.req.valid('param')
      if (!(await changeAndPush(deps, userId, () => revokeKey(db, userId, key_id)))) throw notFound('key')
      return c.body(null, 204)
    })
    .openapi(rotate, async (c) => {
      const { id: userId, key_id } = c.req.valid('param')
      const { grace_seconds = 0 } = c.req.valid('json')
      const old = await findKey(db, userId, key_id)
      if (!old) {
        await pushSnapshot(deps, userId)
        throw notFound('key')
      }
      if (old.expires_at && old.expires_at.getTime() <= now()) throw conflict('The key has expired. Create a new one.')
      const key = await issued(userId, old, (key) => rotateKey(db, key_id, key, grace_seconds))
      if (key) return created(c, key, '..')
      const isEnding = (await findKey(db, userId, key_id))?.revoked_at
      throw isEnding ? conflict('The key is revoked (or already replaced). Create a new one.') : tooManyKeys()
    })
}

const tooManyKeys = () => conflict(`A user may have ${MOST_ACTIVE_KEYS} active keys. Revoke one first.`)

const pastExpiry = () => fieldFault('expires_at', 'must lie in the future')

function statusOf({ expires_at, revoked_at }: ApiKeyRow, now: number) {
  if (revoked_at && revoked_at.getTime() <= now) return 'revoked' as const
  return expires_at && expires_at.getTime() <= now ? ('expired' as const) : ('active' as const)
}
