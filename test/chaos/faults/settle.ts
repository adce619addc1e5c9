// Reserves and settles that are lost, lose their answer, come twice or come late: the worker and its ledgers are real,
// the network between them misbehaves.

import { audit, type Counted, must } from '../audit.ts'
import { sendTo, startLoad } from '../load.ts'
import { ask, fourUsers, openStage } from '../stage.ts'

const CALLS = 600
/** Clients of each user. Many, because an answer waits for its settle, which may take all of its tries. */
const CLIENTS = 12
const WITHIN_MS = 90_000

export async function settleTroubles(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stage = await openStage()
  try {
    const users = await fourUsers(stage.admin)
    const load = startLoad(sendTo(stage), users, { clients: CLIENTS })
    await ask(stage, '/chaos/network', true)
    await load.more(CALLS, WITHIN_MS)
    const accidents = await ask<Record<string, number>>(stage, '/chaos/network', false)
    const seen = await load.stop()
    const { counted, events } = await audit(stage, users, seen, { some_break_off: true })
    const expired = events.filter(({ outcome }) => outcome === 'expired').length
    must(expired > 0, 'calls whose settle never arrived are charged their hold')
    tell('ledger calls lost, repeated, late', { ...counted, ...accidents, 'charged their hold': expired })
  } finally {
    await stage.close()
  }
}
