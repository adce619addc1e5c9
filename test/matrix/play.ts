// Plays one cell of the matrix and says what was not exact.

import { checkBooks, statusOf, sumOf } from '../support/books.ts'
import { eventually } from '../support/gateway.ts'
import type { Nodes } from '../support/nodes.ts'
import { bodyOf, limitsOf, markOf, usageOf } from './call.ts'
import type { Cell } from './cells.ts'
import type { Gates } from './gates.ts'

/** Calls of one cell in flight at once. Until so many (or all) are decided, the provider holds its answers back. */
const RACING = 100
const DONE_WITHIN_MS = 60_000
const MOST_FAULTS_TOLD = 5

interface Played {
  calls: number
  /** By node. */
  admitted: number[]
  faults: string[]
}

interface Outcome {
  node: number
  /** Null where the call was refused by the cell's cap. */
  admitted_id: string | null
  fault: string | null
}

export async function play(cell: Cell, nodes: Nodes, gates: Gates): Promise<Played> {
  const { id, key } = await nodes.admin.user([{ cap_type: 'total', limits: limitsOf(cell), on_exceed: 'refuse' }])
  const outcomes: Outcome[] = []
  const gate = gates.of(id, Math.min(cell.offered, RACING))
  const body = bodyOf(cell, id)
  const callOnce = async (number: number) => {
    const node = number % nodes.urls.length
    const outcome = await callAt(nodes.urls[node] ?? '', key, body, cell).catch((error) => ({
      admitted_id: null,
      fault: `a call failed: ${error?.cause ?? error}`,
    }))
    outcomes.push({ node, ...outcome })
    return outcome
  }
  for (let number = 0; number < cell.spent; number++) await callOnce(number)
  gate.close()
  let next = cell.spent
  const caller = async () => {
    while (next < cell.spent + cell.offered) {
      const { admitted_id } = await callOnce(next++)
      if (admitted_id === null) gate.decided()
    }
  }
  await within(DONE_WITHIN_MS, Promise.all(Array.from({ length: RACING }, caller)))
  // Where some calls hang, the callers make no more.
  next = Number.POSITIVE_INFINITY
  gate.open()

  const admitted = nodes.urls.map(
    (_, node) => outcomes.filter((outcome) => outcome.node === node && outcome.admitted_id !== null).length,
  )
  const faults = outcomes.flatMap(({ fault }) => fault ?? [])
  const ids = outcomes.flatMap(({ admitted_id }) => admitted_id ?? [])
  if (outcomes.length !== cell.spent + cell.offered) faults.push(`only ${outcomes.length} calls ended`)
  if (ids.length !== cell.admitted) faults.push(`${ids.length} calls were admitted, not ${cell.admitted}`)
  faults.push(...(await faultsInBooks(cell, nodes, id, ids)))
  return { calls: outcomes.length, admitted, faults: faults.slice(0, MOST_FAULTS_TOLD) }
}

/** One event for each admitted call and no others, with equal sums in the ledger and Postgres, which are the expected ones. */
async function faultsInBooks(cell: Cell, nodes: Nodes, userId: string, ids: string[]): Promise<string[]> {
  try {
    await eventually(
      () => statusOf(nodes, userId),
      ({ outbox, data }) => outbox.waiting === 0 && data.every(({ held }) => held.requests === 0),
      DONE_WITHIN_MS,
    )
    const { events } = await checkBooks(nodes, [userId], ids)
    const { tokens, cost_nano_usd } = usageOf(cell)
    const expected = {
      requests: cell.admitted,
      tokens: cell.admitted * tokens,
      cost_nano_usd: cell.admitted * cost_nano_usd,
    }
    const [there, wanted] = [JSON.stringify(sumOf(events)), JSON.stringify(expected)]
    const faults = there === wanted ? [] : [`Postgres has ${there}, not ${wanted}`]
    if (events.length !== cell.admitted) faults.push(`${events.length} events, not ${cell.admitted}`)
    const odd = events.find(({ outcome, usage_source }) => outcome !== 'settled' || usage_source !== 'reported')
    return odd ? [...faults, `not settled as reported: ${JSON.stringify(odd)}`] : faults
  } catch (error) {
    return [String(error)]
  }
}

async function callAt(url: string, key: string, body: string, cell: Cell): Promise<Omit<Outcome, 'node'>> {
  const response = await fetch(`${url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body,
  })
  const text = await response.text()
  const said = () => `${response.status} ${text.slice(0, 500)}`
  if (response.status === 200) {
    const whole = text.includes(markOf(cell)) && !response.headers.has('tollgate-clamped')
    const admitted_id = response.headers.get('x-tollgate-request-id')
    return { admitted_id, fault: whole && admitted_id ? null : `not a whole answer: ${said()}` }
  }
  const refused = response.status === 429 && text.includes(`"limit_type":"${cell.dimension}"`)
  return { admitted_id: null, fault: refused ? null : `not a refusal of the cap: ${said()}` }
}

/** A call that hangs must not hang the run: what has not ended by then is counted as missing. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  await Promise.race([work, promise])
  clearTimeout(timer)
}
