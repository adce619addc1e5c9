// The cells of the accuracy matrix, as data: what is offered, and exactly what must be admitted. Pure.
//
// Budgets and costs are in units. A call costs exactly `cost` units whenever it is looked at: its hold is what it is
// charged in the end, so that the number of calls that fit does not depend on timing. See `call.ts` for the unit of
// each dimension.

const DIMENSIONS = ['tokens', 'cost', 'requests'] as const
/** What the one cap of a cell limits. */
export type Dimension = (typeof DIMENSIONS)[number]

export interface Cell {
  /** Describes the whole cell, so that a failure can be found and repeated. */
  name: string
  nodes: number
  dimension: Dimension
  stream: boolean
  budget: number
  /** The limit is one token or nano-dollar below the budget. Only this finds a ledger that admits so little too much. */
  is_short: boolean
  cost: number
  /** Calls that are made, one by one, before the race. */
  spent: number
  /** Calls that race. */
  offered: number
  /** Calls that must be admitted, those before the race included. */
  admitted: number
}

const NODES = [1, 3, 5, 9]
const BUDGETS = [10, 100, 500, 1000]
const COSTS = [1, 5, 10, 20]
const LOADS_PERCENT = [80, 90, 100, 120, 150, 200, 300]

/** Every cell: the whole product, then the edges. */
export const allCells = (): Cell[] => NODES.flatMap((nodes) => [...productOf(nodes), ...edgesOf(nodes)])

/** A few seconds of the whole: small cells, and the edges of three nodes. */
export const sampleOf = (cells: Cell[]): Cell[] => [
  ...cells.filter(({ nodes, offered }) => nodes !== 5 && offered <= 100).filter((_, index) => index % 23 === 0),
  ...edgesOf(3),
]

/** Dimensions take turns. Only a call of one unit can be counted by a requests cap: a call is one request. */
function productOf(nodes: number): Cell[] {
  const cells: Cell[] = []
  for (const stream of [false, true]) {
    for (const [at, budget] of BUDGETS.entries()) {
      for (const cost of COSTS) {
        for (const [turn, load_percent] of LOADS_PERCENT.entries()) {
          const dimensions = cost === 1 ? DIMENSIONS : DIMENSIONS.slice(0, 2)
          const dimension = dimensions[(turn + at + nodes) % dimensions.length] ?? 'tokens'
          // Rounded up, so that even a budget below the cost of one call is tried.
          const offered = Math.ceil((load_percent * budget) / (100 * cost))
          const label = `load ${load_percent / 100}`
          cells.push(cellOf(label, { nodes, stream, dimension, budget, is_short: false, cost, spent: 0, offered }))
        }
      }
    }
  }
  return cells
}

function edgesOf(nodes: number): Cell[] {
  const cells: Cell[] = []
  for (const stream of [false, true]) {
    const edge = (
      label: string,
      of: Pick<Cell, 'dimension' | 'budget' | 'cost'>,
      { spent = 0, is_short = false } = {},
    ) => cells.push(cellOf(label, { nodes, stream, ...of, is_short, spent, offered: 100 }))
    for (const dimension of DIMENSIONS) edge('one unit left', { dimension, budget: 10, cost: 1 }, { spent: 9 })
    for (const dimension of DIMENSIONS.slice(0, 2)) {
      edge('a call larger than the budget', { dimension, budget: 10, cost: 11 })
      edge('a call larger than what is left', { dimension, budget: 20, cost: 11 }, { spent: 1 })
      const least = dimension === 'tokens' ? 'token' : 'nano-dollar'
      edge(`one ${least} short`, { dimension, budget: 10, cost: 1 }, { is_short: true })
      edge('not divisible', { dimension, budget: 10, cost: 3 })
      edge('not divisible', { dimension, budget: 100, cost: 7 })
      edge('not divisible', { dimension, budget: 1000, cost: 13 })
    }
    edge('no budget at all', { dimension: 'requests', budget: 0, cost: 1 })
  }
  return cells
}

function cellOf(label: string, cell: Omit<Cell, 'name' | 'admitted'>): Cell {
  const { nodes, dimension, stream, budget, is_short, cost, spent, offered } = cell
  const of = `a ${dimension} budget of ${budget}, ${cost} a call`
  const name = `${nodes} nodes, ${of}, ${label}, ${stream ? 'streaming' : 'JSON'} (${spent} spent, ${offered} racing)`
  const fit = is_short ? Math.ceil(budget / cost) - 1 : Math.floor(budget / cost)
  return { name, ...cell, admitted: Math.min(spent + offered, fit) }
}
