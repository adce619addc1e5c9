// CSV, read strictly by RFC 4180 (a fault names its line) and written. Pure.

export interface CsvRow {
  /** Where the row begins; the first line is 1. */
  line: number
  cells: string[]
}

export interface CsvFault {
  line: number
  fault: string
}

export interface Csv {
  /** All of them; where there is a fault, those before it. */
  rows: CsvRow[]
  fault: CsvFault | null
}

export interface MostOfCsv {
  rows: number
  /** Of one row. */
  cells: number
}

/**
 * Lines end with LF or CRLF; empty ones are skipped. Reading ends at a fault, because nobody can be sure where the next cell
 * begins, and one row beyond `most.rows`, because short rows take a hundred times as much memory as their text.
 */
export function parseCsv(text: string, most: MostOfCsv = { rows: Infinity, cells: Infinity }): Csv {
  const rows: CsvRow[] = []
  let at = 0
  let line = 1
  while (at < text.length && rows.length <= most.rows) {
    const row: CsvRow = { line, cells: [] }
    for (;;) {
      if (row.cells.length === most.cells) return faulty(line, `has more than ${most.cells} cells`)
      const cell = text[at] === '"' ? quotedCell(text, at) : plainCell(text, at)
      if ('fault' in cell) return faulty(line + linesIn(text.slice(at, cell.end)), cell.fault)
      row.cells.push(cell.value)
      line += linesIn(text.slice(at, cell.end))
      at = cell.end
      if (text[at] !== ',') break
      at += 1
    }
    if (text.startsWith('\r\n', at)) at += 2
    else if (text[at] === '\n') at += 1
    else if (at < text.length) return faulty(line, 'has a carriage return that ends no line')
    line += 1
    if (row.cells.length > 1 || row.cells[0] !== '') rows.push(row)
  }
  return { rows, fault: null }

  function faulty(line: number, fault: string): Csv {
    return { rows, fault: { line, fault } }
  }
}

type Cell = { value: string; end: number } | { fault: string; end: number }

function plainCell(text: string, start: number): Cell {
  let end = start
  while (end < text.length && !',\r\n'.includes(text.charAt(end))) {
    if (text[end] === '"') return { fault: 'has a quote inside a cell that is not quoted', end }
    end += 1
  }
  return { value: text.slice(start, end), end }
}

function quotedCell(text: string, start: number): Cell {
  const parts: string[] = []
  let from = start + 1
  for (;;) {
    const quote = text.indexOf('"', from)
    if (quote === -1) return { fault: 'has a quote that is never closed', end: start }
    parts.push(text.slice(from, quote))
    if (text[quote + 1] !== '"') {
      const end = quote + 1
      const isEnd = end === text.length || ',\r\n'.includes(text.charAt(end))
      return isEnd ? { value: parts.join('"'), end } : { fault: 'has text after a closing quote', end }
    }
    from = quote + 2
  }
}

function linesIn(text: string): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines += 1
  return lines
}

/** With CRLF after every row. */
export function formatCsv(rows: string[][]): string {
  return rows.map((cells) => `${cells.map(quoted).join(',')}\r\n`).join('')
}

const quoted = (cell: string) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)

/** What spreadsheets take for a formula; also an apostrophe, which `unguardedCell` would otherwise take off. */
const FORMULA = /^[=+\-@\t\r\n']/

/** A cell that no spreadsheet runs: an apostrophe goes before what might be a formula. */
export const guardedCell = (value: string) => (FORMULA.test(value) ? `'${value}` : value)

/** The cell without that apostrophe. */
export const unguardedCell = (cell: string) =>
  cell.startsWith("'") && FORMULA.test(cell.slice(1)) ? cell.slice(1) : cell
