// Every call one by one, by its marker: what its client saw, what the provider was sent and said, what its event says.
// Pure.
//
//   | the client had                          | the provider saw it | events |
//   |-----------------------------------------|---------------------|--------|
//   | a whole 200                             | once                | 1, of just what the provider said |
//   | a 200 that ended in an error event      | once                | 1, of no less |
//   | one that lacks its [DONE] alone         | once, cut just then | 1, of no less |
//   | a refusal                               | never               | 0 |
//   | another whole answer (502, 503, 504)    | once                | 1, of no less |
//   |                                         | never               | 1; where the ledger did not answer 0 or 1 |
//   | an answer that broke off, or none       | once or never       | 0 or 1; where nothing was killed, as above |
//
// A call that was forwarded and has no event is *lost*. Nothing stricter can hold than that it had no whole answer and
// was under way for less than a second when everything died: its hold was in memory alone, and what a crash takes with it
// is held as a part of its remnant until the holds' time to live has passed, then dropped (durable-objects/ledger/schema.ts),
// so that a user may then have as many calls more forwarded as were lost. Since it holds for each call, it holds for each
// user: what was forwarded is at most what is recorded and what nobody has had the whole answer of.
//
// Where only the ledger dies so soon, the call's worker, which lives on, brings it back on record when it ends or after half
// a minute: it is lost only if everything dies before that, or if that worker cannot reach the ledger until it gives up.

import type { EventRow } from '../support/books.ts'
import type { Call, Seen } from './load.ts'
import type { Forwarded } from './provider-record.ts'
import { lacksMark } from './request.ts'

/** When everything died, by the clock of the clients and the provider. */
export interface Kill {
  from: number
  to: number
}

/** When one ledger died, with its memory. */
export interface LedgerLoss extends Kill {
  user_id: string
}

/** Classes of calls, in the order in which they are printed. */
export const CLASSES = [
  'answered whole, one event',
  'ended in an error event, one event',
  'ended without its mark, one event',
  'refused, no event',
  'failed, one event',
  'failed before they were held, no event',
  'given up, no event',
  'broke off, one event',
  'broke off, no event',
  'unanswered, one event',
  'unanswered, no event',
] as const
type Class = (typeof CLASSES)[number]

interface Matched {
  classes: Partial<Record<Class, number>>
  /** How many were forwarded and have no event. */
  lost: number
  faults: string[]
}

export interface Evidence {
  seen: Seen
  /** All of these users. */
  events: EventRow[]
  /** All that reached the provider from these users. */
  forwarded: Forwarded[]
  /** Where there are none, every call must have had its answer, and its event. */
  kills: Kill[]
  ledger_losses?: LedgerLoss[]
  /** The provider itself went away for a while: calls that it was sent just then may have been taken back. */
  provider_went?: boolean
  /** Answers may break off though nothing was killed: the provider's do, or their calls cannot be recorded. */
  some_break_off?: boolean
  /** Ids of events that no client's call made: each has one. */
  besides?: Set<string>
}

/** A hold that is out for longer than 40 ms is written; on a busy machine it may take a little more. */
const WRITTEN_WITHIN_MS = 1_000
/** A request may be in the provider's socket when its sender dies. */
const LATE_ARRIVAL_MS = 250
/** A worker asks for its call after half a minute, and so brings it back. */
const BACK_WITHIN_MS = 31_000
/** A worker whose ledger does not hear how a call ended gives up after so long: its five tries, see SETTLE_PAUSES_MS. */
const GIVES_UP_AFTER_MS = 7_600

export function matchCalls(evidence: Evidence): Matched {
  const {
    seen,
    events,
    forwarded,
    kills,
    ledger_losses = [],
    provider_went = false,
    some_break_off = false,
    besides = new Set(),
  } = evidence
  const faults: string[] = []
  const classes: Partial<Record<Class, number>> = {}
  const count = (name: Class) => {
    classes[name] = (classes[name] ?? 0) + 1
  }
  const byMarker = Map.groupBy(
    events.filter(({ id }) => !besides.has(id)),
    ({ job_id }) => job_id ?? '',
  )
  const sent = Map.groupBy(forwarded, ({ marker }) => marker)
  const made = new Set<string>()
  let lost = 0

  /** The call's one event, or undefined. */
  const eventOf = (call: Call, say: (fault: string) => void): EventRow | undefined => {
    made.add(call.marker)
    const its = byMarker.get(call.marker) ?? []
    if (its.length > 1) say(`has ${its.length} events`)
    const [event] = its
    if (event && event.user_id !== call.user_id) say("has an event of another user's")
    if (event && call.request_id !== null && event.id !== call.request_id) say('has an event under another id')
    if (event?.overrun) say('is an overrun')
    return event
  }
  const sentOf = (call: Call, say: (fault: string) => void): Forwarded | undefined => {
    const its = sent.get(call.marker) ?? []
    if (its.length > 1) say(`was forwarded ${its.length} times`)
    return its[0]
  }
  const each = (calls: Call[], fate: string, judge: Judge) => {
    for (const call of calls) {
      const found: string[] = []
      const say = (fault: string) => found.push(fault)
      const [event, sent] = [eventOf(call, say), sentOf(call, say)]
      const named = judge({ call, event, sent, say })
      if (named) count(named)
      if (event) {
        if (sent?.is_billed && event.outcome === 'released' && !provider_went)
          say('is free, though the provider had it')
        if (sent && event.outcome !== 'released') found.push(...amountFaults(event, sent, fate === 'was answered'))
      } else if (sent && named) {
        lost += 1
        if (!mayBeLost(sent, call, kills, ledger_losses))
          say('was lost, though it was under way for long or nothing was killed')
      }
      if (found.length > 0)
        faults.push(`a call that ${fate} ${found.join(', ')}: ${JSON.stringify({ call, event, sent })}`)
    }
  }

  each(seen.answered, 'was answered', judgeAnswered)
  each(seen.ended_badly, 'ended in an error event', judgeEndedBadly)
  each(seen.refused, 'was refused', judgeRefused)
  each(seen.failed, 'failed', judgeFailed)
  each(seen.broken_off, 'broke off', judgeUnheard('broke off', evidence))
  each(seen.unanswered, 'had no answer', judgeUnheard('unanswered', evidence))
  // Cut where nothing but its mark was to come: nothing is added.
  const lacksOnlyItsMark = ({ said }: Call) => some_break_off && lacksMark(said ?? '')
  each(seen.cut_short.filter(lacksOnlyItsMark), 'ended without its mark', judgeUnmarked)
  const cut_short = seen.cut_short.filter((call) => !lacksOnlyItsMark(call))
  each(cut_short, 'ended early as if it were whole', () => null)
  faults.push(...cut_short.map((call) => `an answer ended early as if it were whole: ${JSON.stringify(call)}`))

  for (const [marker, its] of byMarker)
    if (!made.has(marker)) faults.push(`an event is of no call that a client made: ${JSON.stringify(its)}`)
  for (const marker of sent.keys())
    if (!made.has(marker)) faults.push(`the provider saw ${marker}, which no client made`)
  const ids = new Set(events.map(({ id }) => id))
  if (ids.size < events.length) faults.push('two events have the same id')
  const missing = [...besides].filter((id) => !ids.has(id)).length
  if (missing > 0) faults.push(`${missing} events that were waiting did not arrive`)
  return { classes, lost, faults }
}

interface Judged {
  call: Call
  event: EventRow | undefined
  sent: Forwarded | undefined
  say: (fault: string) => void
}

/** Says what is wrong with a call, if anything is. Returns the call's class; null where it is in none. */
type Judge = (judged: Judged) => Class | null

const judgeAnswered: Judge = ({ call, event, sent, say }) => {
  if (!sent) say('was never forwarded')
  else if (sent.answer_id === null || call.answer_id !== sent.answer_id) say("had another call's answer")
  if (!event) say('has no event')
  else if (event.outcome !== 'settled' || event.usage_source !== 'reported') say('is not charged as reported')
  return event ? 'answered whole, one event' : null
}

const judgeEndedBadly: Judge = ({ call, event, sent, say }) => {
  if (event) return 'ended in an error event, one event'
  if (sent && isGivenUp(call)) return 'given up, no event'
  say('has no event')
  return null
}

const judgeRefused: Judge = ({ event, sent, say }) => {
  if (event) say('has an event')
  if (sent) say('was forwarded')
  return event || sent ? null : 'refused, no event'
}

const judgeFailed: Judge = ({ call, event, sent, say }) => {
  if (sent?.is_billed !== false && !FAILURES.has(call.status)) say(`has a ${call.status}, which nobody sent`)
  if (event) return 'failed, one event'
  if (!sent && call.status === LEDGER_UNAVAILABLE) return 'failed before they were held, no event'
  if (sent && isGivenUp(call)) return 'given up, no event'
  say('has no event')
  return null
}

function judgeUnheard(name: 'broke off' | 'unanswered', { kills, some_break_off }: Evidence): Judge {
  return ({ event, sent, say }) => {
    if (kills.length === 0 && !(some_break_off && sent)) say('happened, though nothing was killed')
    if (kills.length === 0 && !event) say('has no event')
    return `${name}, ${event ? 'one' : 'no'} event`
  }
}

const judgeUnmarked: Judge = ({ event, say }) => {
  if (!event) say('has no event')
  return event ? 'ended without its mark, one event' : null
}

const LEDGER_UNAVAILABLE = 503
/** What Tollgate answers by itself where its ledger, the provider or both are in trouble. All else is the provider's to say. */
const FAILURES = new Set<number | null>([502, LEDGER_UNAVAILABLE, 504])

/** To the token and the nano-dollar where the usage was reported; else no less, for unknown never means free. */
function amountFaults(event: EventRow, sent: Forwarded, isWhole: boolean): string[] {
  const exactly = isWhole || event.usage_source === 'reported'
  const faults = event.requests === 1 ? [] : [`counts as ${event.requests} requests`]
  for (const part of ['input_tokens', 'output_tokens', 'cost_nano_usd'] as const) {
    const [charged, said] = [event[part], sent[part]]
    const isRight = exactly ? charged === said : charged >= said
    if (!isRight) faults.push(`is charged ${charged} ${part}, not ${said}`)
  }
  return faults
}

const isGivenUp = ({ took_ms }: Call) => took_ms >= GIVES_UP_AFTER_MS

/** Was it forwarded just before everything died, or its ledger died, and then everything or its worker gave up? */
function mayBeLost({ at, user_id }: Forwarded, call: Call, kills: Kill[], losses: LedgerLoss[]): boolean {
  const wasYoung = ({ from, to }: Kill) => from - WRITTEN_WITHIN_MS <= at && at <= to + LATE_ARRIVAL_MS
  const diedThen = (loss: Kill) => kills.some(({ from, to }) => loss.from <= to && from <= loss.to + BACK_WITHIN_MS)
  const isLostWith = (loss: LedgerLoss) => wasYoung(loss) && (isGivenUp(call) || diedThen(loss))
  return kills.some(wasYoung) || losses.some((loss) => loss.user_id === user_id && isLostWith(loss))
}
