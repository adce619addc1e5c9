// A sheet of prices: a row is a price, a column a field as JSON has it (`usd_per_mtok.input`). Pure.

import { type GatewayError, isRefusal } from '../errors.ts'
import { GatewayFault } from '../fault.ts'
import { MOST_PRICES, type NewPrice } from '../postgres/prices.ts'
import type { PriceRow } from '../postgres/schema.ts'
import { isObject, parseJsonOrUndefined } from '../providers/answer.ts'
import { parseJsonBody } from '../providers/json-body.ts'
import { type CsvRow, formatCsv, guardedCell, parseCsv, unguardedCell } from '../rest/csv.ts'
import { invalidRequest } from '../rest/invalid-request.ts'
import { providerFault } from '../rest/known-provider.ts'
import { newPriceSchema, RATE_KINDS } from '../rest/new-price.ts'
import { priceView } from '../rest/prices.ts'

const MOST_FAULTS = 100
/** Rows: the header and the prices. Cells: enough for every known column, and for more tiers than any provider has. */
const MOST = { rows: 1 + MOST_PRICES, cells: 100 }

const RATES = 'usd_per_mtok'
const TIERS = 'tier_percent'
export const COLUMNS = [
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

/** `effective_from` is null where the row has none: it means now. */
export type ReadPrice = Omit<NewPrice, 'id' | 'created_by' | 'effective_from'> & { effective_from: Date | null }
type Fault = { field: string; message: string }

/**
 * `providers` are all that a row may name.
 * @throws {GatewayFault} `invalid_request`, with a fault for each line and column.
 */
export function readPrices(text: string, providers: ReadonlySet<string>): ReadPrice[] {
  const { rows: table, fault } = parseCsv(text, MOST)
  const malformed = fault && { field: `line ${fault.line}`, message: `${fault.fault}; nothing after it was read` }
  const [header, ...rows] = table
  if (!header) throw refused([malformed ?? { field: 'line 1', message: 'must name the columns' }])
  const columns = header.cells.map((cell) => cell.trim())
  const wrong = faultsOfHeader(columns)
  if (wrong.length > 0) throw refused(wrong)
  if (rows.length > MOST_PRICES)
    throw refused([{ field: `line ${rows[MOST_PRICES]?.line}`, message: `is past the limit of ${MOST_PRICES} rows` }])

  const faults: Fault[] = []
  const prices = new Map<string, ReadPrice>()
  for (const row of rows) {
    const read = readRow(row, columns, providers)
    const found = Array.isArray(read) ? read : prices.has(keyOf(read)) ? [REPEATED] : []
    for (const { field, message } of found)
      faults.push({ field: field === '' ? `line ${row.line}` : `line ${row.line}, ${field}`, message })
    if (!Array.isArray(read)) prices.set(keyOf(read), read)
  }
  if (malformed) faults.push(malformed)
  if (faults.length > 0) throw refused(faults.slice(0, MOST_FAULTS))
  return [...prices.values()]
}

const REPEATED: Fault = { field: 'effective_from', message: 'repeats the model and the instant of an earlier row' }

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
function readRow({ cells }: CsvRow, columns: string[], providers: ReadonlySet<string>): ReadPrice | Fault[] {
  if (cells.length !== columns.length)
    return [{ field: '', message: `has ${cells.length} cells, the first line ${columns.length}` }]
  const wire: Record<string, unknown> = {}
  const groups: Record<string, Record<string, unknown>> = { [RATES]: {}, [TIERS]: {} }
  for (const [at, column] of columns.entries()) {
    const cell = unguardedCell(cells[at] ?? '')
    if (cell === '') continue
    const [field = '', part] = column.split('.')
    const repeated = field === 'long_context' && repeatedNameIn(field, cell)
    if (repeated) return [repeated]
    const value = valueIn(field, cell)
    if (part !== undefined && groups[field]) groups[field][part] = value
    else wire[field] = value
  }
  for (const [field, parts] of Object.entries(groups)) if (Object.keys(parts).length > 0) wire[field] = parts
  const checked = newPriceSchema.safeParse(wire)
  const unknown = typeof wire.provider === 'string' ? providerFault(wire.provider, providers) : null
  if (checked.success) return unknown ? [unknown] : checked.data
  const { errors = [] } = invalidRequest(checked.error, wire)
  return unknown ? [unknown, ...errors.filter(({ field }) => field !== unknown.field)] : errors
}

/** A cell that is not the number or JSON it should be stays text: the schema says what is wrong with it. */
function valueIn(field: string, cell: string): unknown {
  if (field === TIERS || field === 'context_window') return /^\d{1,15}$/.test(cell.trim()) ? Number(cell) : cell
  const value = field === 'long_context' ? parseJsonOrUndefined(cell) : undefined
  return value === undefined ? cell : value
}

/** A cell's JSON is read as strictly as a body's. */
function repeatedNameIn(field: string, cell: string): Fault | null {
  if (parseJsonOrUndefined(cell) === undefined) return null
  const read = parseJsonBody(new TextEncoder().encode(`{"${field}":${cell}}`))
  return isRefusal(read) ? { field: read.field ?? field, message: read.message } : null
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

/** Equal for prices of the same model and instant. */
export const keyOf = ({ provider, model, effective_from }: ReadPrice | PriceRow) =>
  JSON.stringify([provider, model.toLowerCase(), effective_from?.getTime() ?? null])

/** As `readPrices` reads them. */
export function toCsv(rows: PriceRow[]): string {
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
