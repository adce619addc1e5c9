// Ledgers of one isolate write to Postgres together: with many users most inserts would otherwise hold a single event, and
// each is a whole request. Nobody depends on another for more than a delay: where the ledger that writes for all dies, or Postgres
// refuses the data of one of them, each writes its own. An event that is written twice does no harm.

import type { UsageEvent } from '../../durable-objects/ledger/types.ts'
import { openDatabase } from './client.ts'
import type { DatabaseConfig } from './sql.ts'
import { EventRejected, MOST_EVENTS, writeEvents } from './usage-writer.ts'

/** How long the one that writes first waits for others. */
const GATHER_MS = 20
/** Longer than a statement may take. */
const PATIENCE_MS = 15_000

/** Writes at most 100 events, all of them or none. */
export type Write = (events: UsageEvent[]) => Promise<void>

/**
 * Each member has a promise of its own, so that the runtime goes on in that member's context, though another's I/O settled
 * it.
 */
type Member = PromiseWithResolvers<'written' | 'each its own'>

interface Group {
  events: UsageEvent[]
  /** None once one of them writes. */
  members: Member[]
}

const writes = new Map<string, Write>()

/**
 * Writes to this database, together with whoever in this isolate does. The events must be on disk already: another ledger
 * may send them, and its output gate does not wait for what this one has yet to commit.
 * @throws {EventRejected} as `writeEvents` does.
 */
export function insertsInto({ DATABASE_URL, DATABASE_HTTP_URL }: DatabaseConfig): Write {
  const address = JSON.stringify([DATABASE_URL, DATABASE_HTTP_URL])
  const known = writes.get(address)
  if (known) return known
  const database = openDatabase({ DATABASE_URL, DATABASE_HTTP_URL })
  const write = together((events) => writeEvents(database, events))
  writes.set(address, write)
  return write
}

/** `write` must not depend on the I/O of one caller: it writes for all. */
export function together(write: Write): Write {
  let gathering: Group | null = null

  return async (events) => {
    // A full batch gains nothing from company, and a thousand batches of one outbox must not each wait.
    const isFull = events.length === MOST_EVENTS
    if (isFull || (await asMember(events)) === 'each its own') await write(events)
  }

  async function asMember(events: UsageEvent[]): Promise<'written' | 'each its own'> {
    if (!gathering || gathering.events.length + events.length > MOST_EVENTS) {
      gathering = { events: [], members: [] }
    }
    const group = gathering
    const member: Member = Promise.withResolvers()
    group.events.push(...events)
    group.members.push(member)
    // The first that is still alive writes for all.
    const turn = setTimeout(() => void writeGroup(group), GATHER_MS)
    const patience = setTimeout(() => member.resolve('each its own'), PATIENCE_MS)
    try {
      return await member.promise
    } finally {
      clearTimeout(turn)
      clearTimeout(patience)
    }
  }

  async function writeGroup(group: Group): Promise<void> {
    if (gathering === group) gathering = null
    const members = group.members.splice(0)
    if (members.length === 0) return
    try {
      await write(group.events)
      for (const member of members) member.resolve('written')
    } catch (error) {
      const isOneAtFault = error instanceof EventRejected && members.length > 1
      for (const member of members) isOneAtFault ? member.resolve('each its own') : member.reject(error)
    }
  }
}
