// /admin/prices/csv: many prices at once. A column is a field as JSON has it (`usd_per_mtok.input`). All rows are taken or
// none; a row whose model and instant have a price replaces it, and prices without a row stay.

import { createRoute, z } from '@hono/zod-openapi'
import { encodingFault, mediaTypeOf } from '../body-type.ts'
import { GatewayFault } from '../fault.ts'
import { changePrices, findVersions, listCurrentPrices, MOST_PRICES, type NewPrice } from '../postgres/prices.ts'
import type { PriceRow } from '../postgres/schema.ts'
import { problems, restApp } from '../rest/app.ts'
import { noQuery } from '../rest/fields.ts'
import { endedEarly } from '../rest/invalid-request.ts'
import type { AdminDeps } from './deps.ts'
import { COLUMNS, keyOf, type ReadPrice, readPrices, toCsv } from './price-sheet.ts'
import { isSame } from './prices.ts'
import { authorOf } from './prices-author.ts'
import { inForceBy, saveAndPublish, sayInForceBy } from './prices-publish.ts'

/** 2 KiB per row: ample (a plain one has 70 bytes), yet little enough to be in memory several times. */
const MOST_CSV_MIB = 4
export const MOST_CSV_BYTES = MOST_CSV_MIB * 1024 * 1024

const upload = createRoute({
  method: 'post',
  path: '/prices/csv',
  operationId: 'createPricesFromCsv',
  tags: ['prices'],
  summary: 'Set many prices: all of the rows, or none where one is wrong',
  request: {
    query: noQuery,
    body: {
      required: true,
      description: `RFC 4180 in UTF-8, at most ${MOST_PRICES} rows and ${MOST_CSV_MIB} MiB (prices without a row stay, so that more can be sent in parts); at most ${MOST_PRICES} prices may be in force or to come. Columns: ${COLUMNS.join(', ')} (as JSON has them; long_context is JSON) and tier_percent.NAME; provider and model are required. A row without effective_from is in force from now on, and changes nothing where the price in force says the same.`,
      content: { 'text/csv': { schema: z.string() } },
    },
  },
  responses: {
    200: {
      description: 'How many rows did what',
      content: {
        'application/json': { schema: z.object({ created: z.int(), replaced: z.int(), unchanged: z.int() }) },
      },
      ...inForceBy,
    },
    ...problems(409, 413, 415),
  },
})
const download = createRoute({
  method: 'get',
  path: '/prices/csv',
  operationId: 'getPricesCsv',
  tags: ['prices'],
  summary: 'All prices that are in force or to come, as they can be uploaded',
  request: { query: noQuery },
  responses: {
    200: { description: 'RFC 4180', content: { 'text/csv': { schema: z.string() } } },
    ...problems(),
  },
})

export function priceCsvRoutes(deps: AdminDeps) {
  const { db, newId, now } = deps
  return restApp()
    .openapi(upload, async (c) => {
      const by = authorOf(c.req.raw.headers)
      const text = await readText(c.req.raw)
      const now_ms = now()
      const known = await listCurrentPrices(db, now_ms)
      // A download can be uploaded again even where one of its providers is no longer configured.
      const prices = readPrices(text, new Set([...deps.providers, ...known.map(({ provider }) => provider)]))
      const counts = await saveAndPublish(deps, async () => {
        const others = await findVersions(db, prices.filter(hasInstant))
        const identity = () => ({ id: newId(), created_by: by })
        const { added, replaced, unchanged } = compare([...known, ...others], prices, now_ms, identity)
        await changePrices(db, { added, replaced, by, now_ms })
        return { created: added.length - replaced.length, replaced: replaced.length, unchanged }
      })
      sayInForceBy(c, deps)
      return c.json(counts, 200)
    })
    .openapi(download, async (c) =>
      c.body(toCsv(await listCurrentPrices(db, now())), 200, {
        'content-type': 'text/csv; charset=utf-8; header=present',
        'content-disposition': 'attachment; filename="prices.csv"',
        'x-content-type-options': 'nosniff',
      }),
    )
}

/** @throws {GatewayFault} `unsupported_media_type`, `invalid_request` */
async function readText(request: Request): Promise<string> {
  if (mediaTypeOf(request.headers) !== 'text/csv') {
    const message = 'Send the body as text/csv in UTF-8.'
    throw new GatewayFault({ code: 'unsupported_media_type', message, field: 'content-type' })
  }
  const fault = encodingFault(request.headers)
  if (fault) throw new GatewayFault(fault)
  const bytes = await request.arrayBuffer().catch((error) => {
    throw endedEarly(error)
  })
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes)
  } catch (cause) {
    throw new GatewayFault({ code: 'invalid_request', message: 'The body is not UTF-8.' }, { cause })
  }
}

type Dated = ReadPrice & { effective_from: Date }

const hasInstant = (price: ReadPrice): price is Dated => price.effective_from !== null

/**
 * What to save so that each row's price applies from its instant on, or from now where it has none. A price that already says
 * the same stays, so that a sheet can be uploaded again and again.
 */
function compare(
  rows: PriceRow[],
  wanted: ReadPrice[],
  now_ms: number,
  identity: () => Pick<NewPrice, 'id' | 'created_by'>,
) {
  const known = new Map(rows.map((row) => [keyOf(row), row]))
  const versions = new Map<string, Dated>(known)
  for (const price of wanted.filter(hasInstant)) versions.set(keyOf(price), price)
  const inForce = inForceAt(now_ms, versions.values())
  const added: NewPrice[] = []
  const replaced: { id: string; replaced_by: string }[] = []
  let unchanged = 0
  for (const price of wanted) {
    const current = hasInstant(price) ? undefined : inForce.get(keyOf(price))
    const effective_from = price.effective_from ?? new Date(now_ms)
    const old = known.get(keyOf({ ...price, effective_from }))
    const standing = current ?? old
    if (standing && isSame(standing, { ...price, effective_from: price.effective_from ?? standing.effective_from })) {
      unchanged += 1
      continue
    }
    const one = { ...price, effective_from, ...identity() }
    added.push(one)
    if (old) replaced.push({ id: old.id, replaced_by: one.id })
  }
  return { added, replaced, unchanged }
}

/** The latest of each model's prices that has begun. */
function inForceAt(now_ms: number, prices: Iterable<Dated>): Map<string, Dated> {
  const inForce = new Map<string, Dated>()
  for (const price of prices) {
    const key = keyOf({ ...price, effective_from: null })
    const at_ms = price.effective_from.getTime()
    const found = inForce.get(key)
    if (at_ms <= now_ms && !(found && found.effective_from.getTime() > at_ms)) inForce.set(key, price)
  }
  return inForce
}
