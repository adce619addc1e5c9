// npm run test:matrix -- [--only TEXT]: every cell of the accuracy matrix (those whose name contains TEXT) against the
// built worker, in one to nine isolates and one to three workerd processes that share the ledgers.

import { readArguments, refuseArguments } from '../../src/local/arguments.ts'
import { endWellOnSignals } from '../support/temporary.ts'
import { allCells } from './cells.ts'

const USAGE = 'Usage: npm run test:matrix -- [--only TEXT], the cells whose name contains TEXT'
const { values } = readArguments(USAGE, { options: { only: { type: 'string' } } })
const all = allCells()
const cells = all.filter(({ name }) => name.includes(values.only ?? ''))
if (cells.length === 0)
  refuseArguments(USAGE, `No cell's name contains "${values.only}"; they are like "${all[0]?.name}"`)

endWellOnSignals()

// Loaded only now, so that `--help` and wrong arguments are answered at once.
const { buildWorker } = await import('../support/build.ts')
const { playMatrix } = await import('./matrix.ts')

buildWorker()
const started = performance.now()
const { stages, failures } = await playMatrix(cells)
console.table(
  stages.map(({ spread: [least, most], ...stage }) => ({ ...stage, 'spread, least': least, 'spread, most': most })),
)
for (const { cell, faults } of failures) console.error(`NOT EXACT: ${cell.name}\n  ${faults.join('\n  ')}`)
const seconds = Math.round((performance.now() - started) / 1000)
const exact = failures.length === 0 ? 'all exact' : `${failures.length} not exact`
const played = stages.reduce((sum, stage) => sum + stage.cells, 0)
const skipped = played < cells.length ? `, ${cells.length - played} not played` : ''
console.log(`${played} cells, ${exact}${skipped} (${seconds} s)`)
process.exit(failures.length === 0 ? 0 : 1)
