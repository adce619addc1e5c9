// The hold of an admitted call, from admission to settlement. It is settled once, by whoever asks first. A ledger that
// could lose it in a crash is reminded of it meanwhile.

import { NOTHING } from '../../durable-objects/ledger/amounts.ts'
import { NO_FACTS } from '../../durable-objects/ledger/no-facts.ts'
import {
  type Admission,
  type Amount,
  type Ask,
  type Continuation,
  type EventFacts,
  type LedgerOf,
  type Settlement,
  USAGE_SOURCES,
  type UsageSource,
} from '../../durable-objects/ledger/types.ts'
import { isObject } from '../providers/answer.ts'
import { checkUuid, isCount, MAX_TEXT_LENGTH } from './call-ask.ts'
import { mayGoOn, settle } from './ledger-calls.ts'

/** How a call ended. */
export interface CallEnd {
  /** `released`: nothing was used, so nothing is charged. Default `settled`. */
  outcome?: Settlement['outcome']
  /** Null: unknown, so the hold is charged. A part that is left out is 0; `requests`, as asked. */
  usage: Partial<Amount> | null
  usage_source?: UsageSource
  /**
   * What is left out is unknown, except a report's status and latency, which are then as the middleware saw them. Texts are
   * cut at 500 characters, numbers rounded; a fact that no event can hold is left out, and logged.
   */
  facts?: Partial<EventFacts>
  /** Where the call goes on elsewhere: the rest of its hold is kept under this id, a UUID, until it is concluded or expires. */
  continues?: Continuation | null
}

export interface Hold {
  admission: Admission
  /**
   * Says what the call really used, at once or by a promise. When the handler returns, the last report is settled. One that
   * comes later does not count, and is logged.
   */
  report(end: CallEnd | Promise<CallEnd>): void
  /**
   * Settles now, without waiting for the handler; reports no longer count. True when the call is on record, false when its
   * ledger could not be reached. Never rejects.
   */
  settle(end: CallEnd | Promise<CallEnd>): Promise<boolean>
  /**
   * False once the caller would be refused: key revoked, user suspended, or a cap lowered to 0 on something that the call
   * uses. True where the ledger cannot be asked. Never rejects.
   */
  mayGoOn(): Promise<boolean>
}

/** A hold as the middleware has it, which closes it when the handler is done. */
export interface OpenHold extends Hold {
  /** Settles as reported, else as `unreported`, unless `settle` was called. Keep the Worker alive until it resolves. Never rejects. */
  close(unreported: CallEnd, seen: Partial<EventFacts>): Promise<boolean>
}

/** How often a call reminds its ledger, until the ledger answers: one that lost the hold in a crash then takes it again. */
const REMIND_EVERY_MS = 30_000

export function openHold(ledgerOf: LedgerOf, asked: Ask, admission: Admission): OpenHold {
  let reported: CallEnd | Promise<CallEnd> | null = null
  let settled: Promise<boolean> | null = null
  const settleAs = (end: CallEnd | Promise<CallEnd>, seen: Partial<EventFacts> = {}) => {
    const settlementOf = (known: CallEnd) => toSettlement(asked, admission, known, seen)
    // A report may fail, or be malformed, as from a handler without types.
    const ended = Promise.resolve(end)
      .then(settlementOf)
      .catch((error) => {
        logFault('a report of usage failed', asked.request_id, error)
        return settlementOf({ usage: null })
      })
    settled = settle(ledgerOf, ended).finally(stopReminding)
    return settled
  }
  const askMayGoOn = async () => {
    const answer = await mayGoOn(ledgerOf, { ...asked, ...admission })
    if (answer !== null) stopReminding()
    return answer ?? true
  }
  // A hold of epoch 0 was written when it was admitted: no crash can lose it.
  const reminding = admission.epoch === 0 ? null : setInterval(askMayGoOn, REMIND_EVERY_MS)
  const stopReminding = () => {
    if (reminding !== null) clearInterval(reminding)
  }
  return {
    admission,
    report(end) {
      handled(end)
      if (settled) logFault('a report came when its call was settled', asked.request_id, 'it does not count')
      reported = end
    },
    settle(end) {
      handled(end)
      return settled ?? settleAs(end)
    },
    close: (unreported, seen) => settled ?? settleAs(reported ?? unreported, seen),
    mayGoOn: askMayGoOn,
  }
}

/** A rejection that nobody awaits yet, or ever, would end the process of Deno or Node. */
function handled(end: CallEnd | Promise<CallEnd>): void {
  if (end instanceof Promise) end.catch(() => undefined)
}

/** Releases the hold that a ledger may have taken though it did not answer. */
export function releaseOf(ask: Ask, started_at: number): Settlement {
  const seen = { status: 503, error_class: 'ledger_unavailable' }
  const admission = { hold: NOTHING, reserved_at: started_at, epoch: 0 }
  return toSettlement(ask, admission, { outcome: 'released', usage: null }, seen)
}

/** @throws {TypeError} for what no settlement can be. */
function toSettlement(
  ask: Ask,
  { hold, reserved_at, epoch }: Pick<Admission, 'hold' | 'reserved_at' | 'epoch'>,
  end: CallEnd,
  seen: Partial<EventFacts>,
): Settlement {
  const { outcome = 'settled', facts, continues = null } = end
  checkOneOf('outcome', outcome, ['settled', 'released'])
  if (end.usage_source) checkOneOf('usage_source', end.usage_source, USAGE_SOURCES)
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

/** Events and totals could not be filtered by another word, and a ledger might take it for one of its own. */
function checkOneOf<T>(name: string, word: T, words: readonly T[]): void {
  if (!words.includes(word)) throw new TypeError(`usageCaps: ${name} must be one of ${words.join(', ')}, not ${word}`)
}

/** @throws {TypeError} for a time that no ledger can keep, or an id that no event can have. */
function toContinuation({ request_id, for_ms, provider_id }: Continuation): Continuation {
  checkUuid('continues.request_id', request_id)
  const whole_ms = Math.ceil(for_ms)
  if (!isCount(whole_ms)) throw new TypeError(`usageCaps: continues.for_ms must be a number of ms, not ${for_ms}`)
  return { request_id, for_ms: whole_ms, provider_id }
}

/** Null, which charges the hold, for a malformed amount: a negative one would refund, a misnamed one would be free. */
function amountReported({ requests, request_id }: Ask, usage: Partial<Amount>): Amount | null {
  const amount = { requests, input_tokens: 0, output_tokens: 0, cost_nano_usd: 0, ...usage }
  const isAmount = ([name, count]: [string, unknown]) => Object.hasOwn(NOTHING, name) && isCount(count)
  if (isObject(usage) && Object.entries(amount).every(isAmount)) return amount
  logFault('a report of usage is no amount', request_id, Object.entries(usage))
  return null
}

/** Three digits. Its column has four bytes, those of the other numbers have eight. */
const MAX_STATUS = 999

/** Only the facts that Postgres can take: a single other one would make it refuse the whole event. */
function storable(request_id: string, facts: CallEnd['facts'] = {}): Partial<EventFacts> {
  const given = Object.entries(facts).filter(([, fact]) => fact !== undefined)
  const odd = given.filter(([name, fact]) => !isStorable(name, fact))
  if (odd.length > 0) logFault('a report has facts that no event can hold', request_id, odd)
  const stored = given.filter((fact) => !odd.includes(fact))
  return Object.fromEntries(stored.map(([name, fact]) => [name, asStored(fact)]))
}

const NUMBERS_OR_NULL = new Set(['status', 'latency_ms', 'time_to_first_byte_ms', 'clamped_output_tokens'])

/** Facts that are 0 by default must be numbers. The others may be null, and only some of them are texts. */
function isStorable(name: string, fact: unknown): boolean {
  if (!Object.hasOwn(NO_FACTS, name)) return false
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
