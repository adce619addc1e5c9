// /admin/prices: the operator's own prices. Each is a version that never changes: a change adds one in its place, so that
// what was applied to a call can be looked up forever.

import { createRoute, z } from '@hono/zod-openapi'
import { GatewayFault } from '../fault.ts'
import {
  changePrices,
  endPrice,
  findPrice,
  findPriceInForce,
  isSecondPrice,
  listPrices,
  type NewPrice,
  replacePrice,
} from '../postgres/prices.ts'
import type { PriceRow } from '../postgres/schema.ts'
import { isObject } from '../providers/answer.ts'
import { answers, conflict, created, creates, found, problems, restApp, takes } from '../rest/app.ts'
import { id, noQuery, pageQuery, pageRequest, pageSchema, pageView, text, truth } from '../rest/fields.ts'
import { fieldFault, invalidRequest } from '../rest/invalid-request.ts'
import { providerFault } from '../rest/known-provider.ts'
import { documentedPriceChange, newPriceSchema, priceChangeSchema } from '../rest/new-price.ts'
import { priceSchema, priceView } from '../rest/prices.ts'
import type { AdminDeps } from './deps.ts'
import { authorOf } from './prices-author.ts'
import { inForceBy, saveAndPublish, sayInForceBy } from './prices-publish.ts'

const params = z.object({ id })
const made = creates(priceSchema, 'The price')

const create = createRoute({
  method: 'post',
  path: '/prices',
  operationId: 'createPrice',
  tags: ['prices'],
  summary: 'Set the price of a model, from now or from an instant on',
  request: { query: noQuery, body: takes(newPriceSchema) },
  responses: {
    200: { ...answers(priceSchema, 'The price in force says the same and stays: none was made'), ...inForceBy },
    201: { ...made, headers: { ...made.headers, ...inForceBy.headers } },
    ...problems(409, 413, 415),
  },
})
const list = createRoute({
  method: 'get',
  path: '/prices',
  operationId: 'listPrices',
  tags: ['prices'],
  summary: 'List prices, newest first',
  request: {
    query: z.strictObject({
      provider: text(64).optional(),
      model: text(500).optional(),
      history: truth.optional().openapi({ description: 'Whether to list those too that were deleted or replaced.' }),
      ...pageQuery,
    }),
  },
  responses: { 200: answers(pageSchema(priceSchema), 'A page'), ...problems() },
})
const get = createRoute({
  method: 'get',
  path: '/prices/{id}',
  operationId: 'getPrice',
  tags: ['prices'],
  summary: 'Get a price, also one that was deleted or replaced',
  request: { params, query: noQuery },
  responses: { 200: answers(priceSchema, 'The price'), ...problems(404) },
})
const change = createRoute({
  method: 'patch',
  path: '/prices/{id}',
  operationId: 'changePrice',
  tags: ['prices'],
  summary: 'Put a changed version, with an id of its own, in the place of a price',
  request: { params, query: noQuery, body: takes(documentedPriceChange) },
  responses: {
    200: { ...answers(priceSchema, 'The version that applies instead'), ...inForceBy },
    ...problems(404, 409, 413, 415),
  },
})
const changeAsSent = createRoute({
  ...change,
  request: { ...change.request, body: takes(priceChangeSchema) },
  hide: true,
})
const remove = createRoute({
  method: 'delete',
  path: '/prices/{id}',
  operationId: 'deletePrice',
  tags: ['prices'],
  summary: 'End a price: an earlier one of the model applies again, or the catalogue',
  request: { params, query: noQuery },
  responses: { 204: { description: 'Ended, or ended before', ...inForceBy }, ...problems(404, 409) },
})

export function priceRoutes(deps: AdminDeps) {
  const { db, newId, now, providers } = deps
  const saved = <T>(change: () => Promise<T>) => saveAndPublish(deps, change)

  const app = restApp()
  app.openAPIRegistry.registerPath(change)
  return app
    .openapi(create, async (c) => {
      const { effective_from, ...price } = c.req.valid('json')
      const fault = providerFault(price.provider, providers)
      if (fault) throw fieldFault(fault.field, fault.message)
      const now_ms = now()
      const created_by = authorOf(c.req.raw.headers)
      const id = newId()
      const row = await saved(async () => {
        for (let at_ms = now_ms; ; at_ms += 1) {
          const old = effective_from ? null : await findPriceInForce(db, price, at_ms)
          if (old && isSame(old, { ...price, effective_from: old.effective_from })) return old
          const added = { ...price, id, effective_from: effective_from ?? new Date(at_ms), created_by }
          try {
            await changePrices(db, { added: [added], replaced: [], by: created_by, now_ms })
            return found(await findPrice(db, id), 'price')
          } catch (error) {
            // Who names no instant takes the next one where another has this.
            if (effective_from || !isSecondPrice(error)) throw error
          }
        }
      })
      sayInForceBy(c, deps)
      return row.id === id ? created(c, priceView(row)) : c.json(priceView(row), 200)
    })
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query')
      return c.json(pageView(await listPrices(db, pageRequest({ limit, cursor }), filter), priceView), 200)
    })
    .openapi(get, async (c) => {
      return c.json(priceView(found(await findPrice(db, c.req.valid('param').id), 'price')), 200)
    })
    .openapi(changeAsSent, async (c) => {
      const old = found(await findPrice(db, c.req.valid('param').id), 'price')
      const id = newId()
      const wanted = merged(old, c.req.valid('json'), now())
      const row = await saved(async () => {
        if (old.ended_at) throw ended(old)
        if (isSame(old, wanted)) return old
        const next: NewPrice = { ...wanted, id, created_by: authorOf(c.req.raw.headers) }
        const row = await replacePrice(db, old.id, next, now())
        if (!row) throw ended(await findPrice(db, old.id))
        return row
      })
      sayInForceBy(c, deps)
      return c.json(priceView(row), 200)
    })
    .openapi(remove, async (c) => {
      const priceId = c.req.valid('param').id
      await saved(async () => {
        if (await endPrice(db, priceId, authorOf(c.req.raw.headers))) return
        const row = found(await findPrice(db, priceId), 'price')
        if (row.replaced_by) throw ended(row)
      })
      sayInForceBy(c, deps)
      return c.body(null, 204)
    })
}

type Wanted = Omit<NewPrice, 'id' | 'created_by'>

/** @throws {GatewayFault} naming the field that the change would leave wrong. */
function merged(old: PriceRow, change: z.output<typeof priceChangeSchema>, now_ms: number): Wanted {
  const { id: _, created_at: _at, created_by: _by, ended_at, ended_by, replaced_by, ...whole } = priceView(old)
  const wire = { ...whole, ...change }
  for (const field of ['usd_per_mtok', 'tier_percent'] as const)
    if (isObject(whole[field]) && isObject(change[field])) wire[field] = { ...whole[field], ...change[field] }
  const checked = newPriceSchema.safeParse(wire)
  if (!checked.success) throw new GatewayFault(invalidRequest(checked.error, wire))
  return { ...checked.data, effective_from: checked.data.effective_from ?? new Date(now_ms) }
}

type Version = Pick<NewPrice, 'effective_from' | 'note' | 'price'>

/** Whether two versions of a model say the same. */
export function isSame(a: Version, b: Version): boolean {
  const sameTime = a.effective_from.getTime() === b.effective_from.getTime()
  return sameTime && a.note === b.note && fingerprint(a.price) === fingerprint(b.price)
}

/** `jsonb` does not keep the order of keys. */
function fingerprint(value: unknown): string {
  return JSON.stringify(value, (_, one) =>
    isObject(one) ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1))) : one,
  )
}

function ended(row: PriceRow | null): GatewayFault {
  const what = row?.replaced_by ? `was replaced by ${row.replaced_by}` : 'was deleted'
  return conflict(`This price ${what}.`)
}
