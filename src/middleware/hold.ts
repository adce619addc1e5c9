// The hold of an admitted call, from its admission to its settlement: settled once, whoever asks first, and never forgotten
// by its ledger meanwhile.

import { NOTHING } from '../../durable-objects/ledger/amounts.ts'
import { NO_FACTS } from '../../durable-objects/ledger/no-facts.ts'
import type {
  Admission,
  Amount,
  Ask,
  Continuation,
  EventFacts,
  LedgerOf,
  Settlement,
  UsageSource,
} from '../../durable-objects/ledger/types.ts'
import { checkUuid, isCount, MAX_TEXT_LENGTH } from './call-ask.ts'
import { mayGoOn, settle } from './ledger-calls.ts'

/** How a call ended. What is left out is nothing, or what the middleware itself saw. */
export interface CallEnd {
  /** `released`: nothing was used, charge nothing. Default `settled`. */
  outcome?: Settlement['outcome']
  /** Null: unknown, charge what was asked. Left out parts are 0, but for `requests`: as asked. */
  usage: Partial<Amount> | null
  usage_source?: UsageSource
  /** Texts are cut at 500 characters, numbers rounded; one that no event can hold is left out, and logged. */
  facts?: Partial<EventFacts>
  /** The call goes on elsewhere: what is left of its hold is kept under another id, until the ledger hears of that. The id is a UUID. */
  continues?: Continuation | null
}

export interface Hold {
  admission: Admission
  /** Says what the call really used, now or when a promise resolves. The last report counts, once the handler returns. */
  report(end: CallEnd | Promise<CallEnd>): void
  /**
   * The same, not waiting for the handler: true when the call is on record, false when its ledger could not be reached.
   * Never rejects. Reports are void then.
   */
  settle(end: CallEnd | Promise<CallEnd>): Promise<boolean>
  /**
   * False once the caller would not be let in any more: key revoked, user suspended, a cap lowered to 0 of something that was
   * asked. Never rejects; true where the ledger cannot be asked.
   */
  mayGoOn(): Promise<boolean>
}

/** A hold whose call is out. */
export interface OpenHold extends Hold {
  /** Settles as was reported, else as told, unless that has begun already. Until it resolves, its host must stay. Never rejects. */
  close(unreported: CallEnd, seen: Partial<EventFacts>): Promise<boolean>
}

/** When a ledger hears of a call that is still out, until it answers once: if a crash took the call, it holds it again. */
const TELL_MS = 30_000

/** Of a call that was just admitted. */
export function openHold(ledgerOf: LedgerOf, asked: Ask, admission: Admission): OpenHold {
  let reported: CallEnd | Promise<CallEnd> | null = null
  let settled: Promise<boolean> | null = null
  const settleAs = (end: CallEnd | Promise<CallEnd>, seen: Partial<EventFacts> = {}) => {
    const settlementOf = (known: CallEnd) => toSettlement(asked, admission, known, seen)
    // Also where the report came and is none, as of a handler without types.
    const ended = Promise.resolve(end)
      .then(settlementOf)
      .catch((error) => {
        logFault('a report of usage failed', asked.request_id, error)
        return settlementOf({ usage: null })
      })
    settled = settle(ledgerOf, ended).finally(stopTelling)
    return settled
  }
  const ask = async () => {
    const answer = await mayGoOn(ledgerOf, { ...asked, ...admission })
    if (answer !== null) stopTelling()
    return answer ?? true
  }
  // One that was written when it was admitted is not lost.
  const telling = admission.epoch === 0 ? null : setInterval(ask, TELL_MS)
  const stopTelling = () => {
    if (telling !== null) clearInterval(telling)
  }
  return {
    admission,
    report(end) {
      handled(end)
      reported = end
    },
    settle(end) {
      handled(end)
      return settled ?? settleAs(end)
    },
    close: (unreported, seen) => settled ?? settleAs(reported ?? unreported, seen),
    mayGoOn: ask,
  }
}

/** One that fails before it is read, or is void by then: Deno and Node would end their process. */
function handled(end: CallEnd | Promise<CallEnd>): void {
  if (end instanceof Promise) end.catch(() => undefined)
}

/** The hold of a ledger that did not answer, should it have taken one. */
export function releaseOf(ask: Ask, started_at: number): Settlement {
  const seen = { status: 503, error_class: 'ledger_unavailable' }
  const admission = { hold: NOTHING, reserved_at: started_at, epoch: 0 }
  return toSettlement(ask, admission, { outcome: 'released', usage: null }, seen)
}

function toSettlement(
  ask: Ask,
  { hold, reserved_at, epoch }: Pick<Admission, 'hold' | 'reserved_at' | 'epoch'>,
  end: CallEnd,
  seen: Partial<EventFacts>,
): Settlement {
  const { outcome = 'settled', facts, continues = null } = end
  const usage = end.usage ? amountReported(ask, end.usage) : null
  const usage_source = end.usage && !usage ? 'hold' : end.usage_source
  return {
    request_id: ask.request_id,
    reserved_at,
    epoch,
    outcome,
    usage,
    hold,
    // What is released is known to cost nothing.
    usage_source: usage_source ?? (usage || outcome === 'released' ? 'reported' : 'hold'),
    draft: ask.draft,
    facts: { ...NO_FACTS, ...seen, ...storable(ask.request_id, facts) },
    continues: continues && toContinuation(continues),
  }
}

/** @throws {TypeError} where no ledger could hold it, or no event have its id. */
function toContinuation({ request_id, for_ms }: Continuation): Continuation {
  checkUuid('continues.request_id', request_id)
  const whole_ms = Math.ceil(for_ms)
  if (!isCount(whole_ms)) throw new TypeError(`usageCaps: continues.for_ms must be a number of ms, not ${for_ms}`)
  return { request_id, for_ms: whole_ms }
}

/** Null, and so the hold, for what is no amount: a report can never refund. */
function amountReported({ requests, request_id }: Ask, usage: Partial<Amount>): Amount | null {
  const amount = { requests, input_tokens: 0, output_tokens: 0, cost_nano_usd: 0, ...usage }
  if (Object.values(amount).every(isCount)) return amount
  logFault('a report of usage is no amount', request_id, Object.entries(usage))
  return null
}

/** Three digits. Its column has four bytes, those of the other numbers have eight. */
const MAX_STATUS = 999

/** What Postgres can take of them: of an event that it refuses nothing would get there. */
function storable(request_id: string, facts: CallEnd['facts'] = {}): Partial<EventFacts> {
  const given = Object.entries(facts).filter(([, fact]) => fact !== undefined)
  const odd = given.filter(([name, fact]) => !isStorable(name, fact))
  if (odd.length > 0) logFault('a report has facts that no event can hold', request_id, odd)
  const stored = given.filter((fact) => !odd.includes(fact))
  return Object.fromEntries(stored.map(([name, fact]) => [name, asStored(fact)]))
}

const NUMBERS_OR_NULL = new Set(['status', 'latency_ms', 'time_to_first_byte_ms', 'clamped_output_tokens'])

/** What is 0 where nothing is known must be a number; so must some others, unless they are null. */
function isStorable(name: string, fact: unknown): boolean {
  if (typeof fact === 'number') return isCount(Math.round(fact)) && (name !== 'status' || fact <= MAX_STATUS)
  if (NO_FACTS[name as keyof EventFacts] !== null) return false
  return fact === null || (typeof fact === 'string' && !NUMBERS_OR_NULL.has(name))
}

function asStored(fact: string | number | null): string | number | null {
  if (typeof fact === 'string') return fact.slice(0, MAX_TEXT_LENGTH)
  return fact && Math.round(fact)
}

function logFault(message: string, request_id: string, error: unknown): void {
  console.error(JSON.stringify({ message, request_id, error: String(error) }))
}
