// /admin/prices/csv: many prices at once. A column is a field as JSON has it (`usd_per_mtok.input`). All rows are taken or
// none; a row whose model and instant have a price replaces it, and prices without a row stay.

import { createRoute, z } from '@hono/zod-openapi'
import { type GatewayError, GatewayFault } from '../errors.ts'
import { changePrices, listLivePrices, type NewPrice } from '../postgres/prices.ts'
import type { PriceRow } from '../postgres/schema.ts'
import { isObject } from '../providers/answer.ts'
import { problems, restApp } from '../rest/app.ts'
import { type CsvRow, formatCsv, guardedCell, parseCsv, unguardedCell } from '../rest/csv.ts'
import { endedEarly } from '../rest/empty-body.ts'
import { noQuery } from '../rest/fields.ts'
import { invalidRequest } from '../rest/invalid-request.ts'
import { newPriceSchema, RATE_KINDS } from '../rest/new-price.ts'
import { priceView } from '../rest/prices.ts'
import type { AdminDeps } from './deps.ts'
import { isSame } from './prices.ts'
import { authorOf } from './prices-author.ts'
import { inForceBy, saveAndPublish, sayInForceBy } from './prices-publish.ts'

export const MOST_CSV_BYTES = 1024 * 1024
const MOST_ROWS = 1_000
const MOST_FAULTS = 100

const RATES = 'usd_per_mtok'
const TIERS = 'tier_percent'
const COLUMNS = [
  'provider',
  'model',
  'effective_from',
  ...RATE_KINDS.map((kind) => `${RATES}.${kind}`),
  'usd_per_request',
  'usd_per_unit',
  'usd_per_thousand_web_searches',
  'long_context',
  'context_window',
  'note',
]
const TIER_COLUMN = /^tier_percent\.[a-z][a-z0-9_]*$/

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
      description: `RFC 4180 in UTF-8, at most ${MOST_ROWS} rows. Columns: ${COLUMNS.join(', ')} (as JSON has them; long_context is JSON) and tier_percent.NAME; provider and model are required.`,
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
      const prices = readPrices(await readText(c.req.raw), new Date(now()))
      const counts = await saveAndPublish(deps, async () => {
        const identity = () => ({ id: newId(), created_by: by })
        const { added, replaced, unchanged } = compare(await listLivePrices(db), prices, identity)
        await changePrices(db, { added, replaced, by })
        return { created: added.length - replaced.length, replaced: replaced.length, unchanged }
      })
      sayInForceBy(c, deps)
      return c.json(counts, 200)
    })
    .openapi(download, async (c) =>
      c.body(toCsv(await listLivePrices(db)), 200, {
        'content-type': 'text/csv; charset=utf-8; header=present',
        'content-disposition': 'attachment; filename="prices.csv"',
        'x-content-type-options': 'nosniff',
      }),
    )
}

/** @throws {GatewayFault} `unsupported_media_type`, `invalid_request` */
async function readText(request: Request): Promise<string> {
  const type = request.headers.get('content-type') ?? ''
  if (!/^text\/csv\s*(;|$)/i.test(type) || !/^(utf-8)?$/i.test(/charset="?([^";]*)/i.exec(type)?.[1] ?? ''))
    throw new GatewayFault({
      code: 'unsupported_media_type',
      message: 'Send the body as text/csv in UTF-8.',
      field: 'content-type',
    })
  const bytes = await request.arrayBuffer().catch((error) => {
    throw endedEarly(error)
  })
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes)
  } catch (cause) {
    throw new GatewayFault({ code: 'invalid_request', message: 'The body is not UTF-8.' }, { cause })
  }
}

type ReadPrice = Omit<NewPrice, 'id' | 'created_by'>
type Fault = { field: string; message: string }

/** @throws {GatewayFault} `invalid_request`, with a fault for each line and column. */
function readPrices(text: string, now: Date): ReadPrice[] {
  const table = parseCsv(text)
  if (!Array.isArray(table)) throw refused([{ field: `line ${table.line}`, message: table.fault }])
  const [header, ...rows] = table
  if (!header) throw refused([{ field: 'line 1', message: 'must name the columns' }])
  const columns = header.cells.map((cell) => cell.trim())
  const wrong = faultsOfHeader(columns)
  if (wrong.length > 0) throw refused(wrong)
  if (rows.length > MOST_ROWS)
    throw refused([{ field: `line ${rows[MOST_ROWS]?.line}`, message: `is past the limit of ${MOST_ROWS} rows` }])

  const faults: Fault[] = []
  const prices = new Map<string, ReadPrice>()
  for (const row of rows) {
    const read = readRow(row, columns, now)
    const found = Array.isArray(read) ? read : prices.has(keyOf(read)) ? [REPEATED] : []
    for (const { field, message } of found)
      faults.push({ field: field === '' ? `line ${row.line}` : `line ${row.line}, ${field}`, message })
    if (!Array.isArray(read)) prices.set(keyOf(read), read)
    if (faults.length >= MOST_FAULTS) break
  }
  if (faults.length > 0) throw refused(faults.slice(0, MOST_FAULTS))
  return [...prices.values()]
}

const REPEATED: Fault = { field: 'effective_from', message: 'repeats the model and the instant of a row before' }

function faultsOfHeader(columns: string[]): Fault[] {
  const faults: Fault[] = []
  for (const [at, column] of columns.entries()) {
    const field = `line 1, ${column.slice(0, 100)}`
    if (columns.indexOf(column) !== at) faults.push({ field, message: 'is there twice' })
    else if (!COLUMNS.includes(column) && !TIER_COLUMN.test(column))
      faults.push({ field, message: 'is not a known column' })
  }
  for (const column of ['provider', 'model'])
    if (!columns.includes(column)) faults.push({ field: `line 1, ${column}`, message: 'is required' })
  return faults.slice(0, MOST_FAULTS)
}

/** Empty cells are absent fields. */
function readRow({ cells }: CsvRow, columns: string[], now: Date): ReadPrice | Fault[] {
  if (cells.length !== columns.length)
    return [{ field: '', message: `has ${cells.length} cells, the first line ${columns.length}` }]
  const wire: Record<string, unknown> = {}
  const groups: Record<string, Record<string, unknown>> = { [RATES]: {}, [TIERS]: {} }
  for (const [at, column] of columns.entries()) {
    const cell = unguardedCell(cells[at] ?? '')
    if (cell === '') continue
    const [field = '', part] = column.split('.')
    if (part !== undefined && groups[field]) groups[field][part] = field === TIERS ? numberIn(cell) : cell
    else wire[field] = field === 'context_window' ? numberIn(cell) : field === 'long_context' ? jsonIn(cell) : cell
  }
  for (const [field, parts] of Object.entries(groups)) if (Object.keys(parts).length > 0) wire[field] = parts
  const checked = newPriceSchema.safeParse(wire)
  if (checked.success) return { ...checked.data, effective_from: checked.data.effective_from ?? now }
  const { errors = [], message } = invalidRequest(checked.error, wire)
  return errors.length > 0 ? errors : [{ field: '', message }]
}

/** What is no number, or no JSON, stays the text that it is: the schema says what is wrong with it. */
const numberIn = (cell: string): unknown => (/^\d{1,15}$/.test(cell.trim()) ? Number(cell) : cell)

function jsonIn(cell: string): unknown {
  try {
    return JSON.parse(cell)
  } catch {
    return cell
  }
}

function refused(errors: Fault[]): GatewayFault {
  const [first] = errors
  const error: GatewayError = {
    code: 'invalid_request',
    message: `Nothing was saved. ${first?.field}: ${first?.message}`,
    ...(first && { field: first.field }),
    errors,
  }
  return new GatewayFault(error)
}

const keyOf = ({ provider, model, effective_from }: ReadPrice | PriceRow) =>
  JSON.stringify([provider, model.toLowerCase(), effective_from.getTime()])

/** What must be saved so that each row's price is the one of its model and instant. */
function compare(rows: PriceRow[], wanted: ReadPrice[], identity: () => Pick<NewPrice, 'id' | 'created_by'>) {
  const known = new Map(rows.map((row) => [keyOf(row), row]))
  const added: NewPrice[] = []
  const replaced: { id: string; replaced_by: string }[] = []
  let unchanged = 0
  for (const price of wanted) {
    const old = known.get(keyOf(price))
    if (old && isSame(old, price)) {
      unchanged += 1
      continue
    }
    const one = { ...price, ...identity() }
    added.push(one)
    if (old) replaced.push({ id: old.id, replaced_by: one.id })
  }
  return { added, replaced, unchanged }
}

function toCsv(rows: PriceRow[]): string {
  const tiers = [...new Set(rows.flatMap(({ price }) => Object.keys(price.tier_percent ?? {})))].sort()
  const columns = [...COLUMNS.slice(0, -1), ...tiers.map((tier) => `${TIERS}.${tier}`), ...COLUMNS.slice(-1)]
  return formatCsv([columns, ...rows.map((row) => cellsOf(row, columns))])
}

function cellsOf(row: PriceRow, columns: string[]): string[] {
  const view: Record<string, unknown> = priceView(row)
  return columns.map((column) => {
    const [field = '', part] = column.split('.')
    const value = view[field]
    if (field === 'long_context') return Array.isArray(value) && value.length > 0 ? JSON.stringify(value) : ''
    const shown = part === undefined || !isObject(value) ? value : Object.hasOwn(value, part) ? value[part] : null
    return guardedCell(shown === null || shown === undefined ? '' : String(shown))
  })
}
