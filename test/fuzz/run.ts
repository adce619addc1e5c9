// npm run test:fuzz -- [--seed N] [--requests N] [--verbose]: fuzzes every public route of the built worker in workerd.
// --verbose prints what each route answered.

import { readArguments, wholeNumber } from '../../src/local/arguments.ts'
import { endWellOnSignals } from '../support/temporary.ts'
import type { Failure, FuzzReport } from './fuzz.ts'

const USAGE = 'Usage: npm run test:fuzz -- [--seed N] [--requests N] [--verbose]'
const { values } = readArguments(USAGE, {
  options: { seed: { type: 'string' }, requests: { type: 'string' }, verbose: { type: 'boolean', default: false } },
})
const seed = wholeNumber(USAGE, '--seed', values.seed ?? String(Date.now() % 2 ** 31))
const requests = wholeNumber(USAGE, '--requests', values.requests ?? '20000', 1)

endWellOnSignals()

// Loaded only now, so that `--help` and wrong arguments are answered at once.
const { buildWorker } = await import('../support/build.ts')
const { fuzz, LEAST_REQUESTS_FOR_WHOLE } = await import('./fuzz.ts')
const { MOST_HEAP_GROWTH_MB } = await import('./memory.ts')

console.log(`Fuzzing with --seed ${seed} --requests ${requests}`)
// In a folder of its own, so that no other build replaces it while it runs.
const worker = buildWorker('dist/fuzz')
const started = Date.now()
const report = await fuzz({ seed, requests, worker })
const { sent, failures, memory, races } = report
if (values.verbose) console.log(answersOf(report))
console.log(`${sent} requests to ${report.routes} routes in ${Math.round((Date.now() - started) / 1000)} s`)
console.log(memory.length > 0 ? memoryOf(report) : `Memory: measured from ${LEAST_REQUESTS_FOR_WHOLE} requests on`)
console.log(`${races.length} requests sent once more, on connections that ended as they came`)
if (values.verbose) for (const race of races) console.log(`  ${race}`)
for (const failure of failures) console.error(told(failure))
console.log(failures.length === 0 ? 'No failure.' : `${failures.length} failures with --seed ${seed}`)
process.exit(failures.length === 0 ? 0 : 1)

function memoryOf({ memory }: FuzzReport): string {
  const heap = memory.map(({ heap_mb, buffers_mb }) => (heap_mb + buffers_mb).toFixed(1)).join(' ')
  return `Live objects and their buffers, MB (may grow by ${MOST_HEAP_GROWTH_MB} in the second half): ${heap}
Resident memory, MB: ${memory.map(({ rss_mb }) => rss_mb).join(' ')}`
}

function answersOf({ answers }: FuzzReport): string {
  const kinds = ['2xx', '3xx', '4xx', '5xx', 'cut', 'hang', 'broken']
  const row = (name: string, cells: string[]) => `${cells.map((cell) => cell.padStart(6)).join('')}  ${name}`
  const rows = [...answers].sort().map(([route, counts]) =>
    row(
      route,
      kinds.map((kind) => String(counts[kind] ?? '-')),
    ),
  )
  return [row('route', kinds), ...rows].join('\n')
}

function told({ fault, request }: Failure): string {
  if (!request) return `\nFAILURE of the run: ${fault}`
  const text = JSON.stringify(request, null, 2)
  return `\nFAILURE: ${fault}\n${text.length > 3_000 ? `${text.slice(0, 3_000)}... (${text.length} characters)` : text}`
}
