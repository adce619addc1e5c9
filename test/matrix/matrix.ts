// Plays cells, one number of nodes after the other, several cells at once: each has a user, and so a ledger, of its own.

import { startNodes } from '../support/nodes.ts'
import { openTestDatabase } from '../support/postgres.ts'
import type { Cell } from './cells.ts'
import { startGates } from './gates.ts'
import { play } from './play.ts'

/** Isolates of each workerd process. */
const PROCESSES: Record<number, number[]> = { 1: [1], 3: [3], 5: [3, 2], 9: [3, 3, 3] }
const CELLS_AT_ONCE = 4
/** Beyond this, the other cells would say nothing new, and a cell that fails may take minutes. */
const MOST_FAILURES = 20

export interface Failure {
  cell: Cell
  faults: string[]
}

export interface Stage {
  nodes: number
  processes: number
  cells: number
  calls: number
  admitted: number
  /** How many calls the node that admitted fewest admitted, and the one that admitted most. */
  spread: [least: number, most: number]
  seconds: number
}

/** Ends early where too many cells fail. */
export async function playMatrix(cells: Cell[]): Promise<{ stages: Stage[]; failures: Failure[] }> {
  const [postgres, gates] = await Promise.all([openTestDatabase(), startGates()])
  const stages: Stage[] = []
  const failures: Failure[] = []
  try {
    for (const [count, ofCount] of Map.groupBy(cells, ({ nodes }) => nodes)) {
      const started = performance.now()
      const processes = PROCESSES[count] ?? [count]
      const nodes = await startNodes({ processes, postgres, provider: gates.provider })
      const admitted = nodes.urls.map(() => 0)
      let [cellsPlayed, calls] = [0, 0]
      const queue = [...ofCount]
      const player = async () => {
        while (failures.length < MOST_FAILURES) {
          const cell = queue.shift()
          if (!cell) return
          const played = await play(cell, nodes, gates).catch((error) => ({
            calls: 0,
            admitted: [],
            faults: [`it could not be played: ${error}`],
          }))
          cellsPlayed += 1
          calls += played.calls
          for (const [node, count] of played.admitted.entries()) admitted[node] = (admitted[node] ?? 0) + count
          if (played.faults.length > 0) failures.push({ cell, faults: played.faults })
        }
      }
      try {
        await Promise.all(Array.from({ length: CELLS_AT_ONCE }, player))
      } finally {
        await nodes.close()
      }
      stages.push({
        nodes: count,
        processes: processes.length,
        cells: cellsPlayed,
        calls,
        admitted: admitted.reduce((sum, of) => sum + of, 0),
        spread: [Math.min(...admitted), Math.max(...admitted)],
        seconds: Math.round((performance.now() - started) / 1000),
      })
    }
  } finally {
    await Promise.all([gates.provider.close(), postgres.close()])
  }
  return { stages, failures }
}
