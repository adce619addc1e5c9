// The network between the worker and its ledgers, as it may be: messages are lost, lose their answer, come twice or late.

import type { LedgerRpc } from '../../../durable-objects/ledger/types.ts'

type Verb = 'reserve' | 'settle'
/** `unreachable` meets every try of a call, the others only its first. */
type Accident = 'lost' | 'answer lost' | 'twice' | 'late' | 'unreachable'

/** In turn; most messages arrive as they should. */
const PLAN: Record<Verb, (Accident | null)[]> = {
  reserve: [null, 'lost', null, 'twice', null, null, 'answer lost', null, null, null, 'unreachable'],
  settle: [null, 'lost', 'twice', null, 'answer lost', null, 'late', null, null, null, null, null, 'unreachable'],
}
const LATE_MS = 3_000

let isBad = false
const turns = { reserve: 0, settle: 0 }
const met = new Map<string, Accident | null>()

/** Good or bad from now on. Returns how often each accident has happened. */
export function setNetwork(bad: boolean): Record<string, number> {
  isBad = bad
  const counts: Record<string, number> = {}
  for (const [message, accident] of met) {
    const name = `${message.split(' ')[0]}s ${accident}`
    if (accident) counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

/** The namespace of the ledgers with this network before it. */
export function overNetwork<Namespace extends { get(id: never): LedgerRpc }>(ledgers: Namespace): Namespace {
  return new Proxy(ledgers, {
    get: (target, name) => {
      if (name === 'get') return (id: never) => troubled(target.get(id))
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const troubled = (ledger: LedgerRpc): LedgerRpc => ({
  reserve: (ask) => through('reserve', ask.request_id, () => ledger.reserve(ask)),
  mayGoOn: (call) => ledger.mayGoOn(call),
  settle: (settlement) => through('settle', settlement.request_id, () => ledger.settle(settlement)),
  requestModels: (ids) => ledger.requestModels(ids),
  conclude: (conclusions) => ledger.conclude(conclusions),
  configure: (snapshot) => ledger.configure(snapshot),
  status: (caller) => ledger.status(caller),
})

async function through<T>(verb: Verb, requestId: string, deliver: () => Promise<T>): Promise<T> {
  const message = `${verb} ${requestId}`
  const isFirst = !met.has(message)
  if (isBad && isFirst) met.set(message, PLAN[verb][turns[verb]++ % PLAN[verb].length] ?? null)
  const accident = met.get(message)
  if (accident === 'unreachable') throw new Error('the ledger cannot be reached')
  if (!isFirst) return deliver()
  if (accident === 'lost') throw new Error('the message was lost')
  if (accident === 'late') await new Promise((resolve) => setTimeout(resolve, LATE_MS))
  if (accident === 'twice') await deliver()
  const answer = await deliver()
  if (accident === 'answer lost') throw new Error('the answer was lost')
  return answer
}
