// Plays a fault on a subject: a user of its own makes one call, the provider misbehaves, and then what the client saw,
// what was charged and what the event says are compared with what the table says. Cells of one stage run at the same time.

import { expect } from 'vitest'
import { type RecordedRequest, THINGS_CREDENTIAL } from '../../src/local/fake-provider.ts'
import type { Outcome, Script, Step } from '../../src/local/fake-script.ts'
import { statusOf } from './books.ts'
import {
  type Attempt,
  bytesOf,
  type CapStatusView,
  capOf,
  countingFetch,
  eventsOf,
  GENEROUS,
  NOTHING_USED,
  type UsageEventView,
} from './client-calls.ts'
import type { Charge, Subject } from './fault-subject.ts'
import { CLAUDE } from './fault-subjects-aws.ts'
import { thingsAt } from './fault-subjects-google.ts'
import { eventually, type Gateway, startGateway } from './gateway.ts'

/** A call while it goes on. */
export interface Cell {
  at: Gateway
  user: { id: string; key: string }
  /** The client goes away. */
  leave(): void
  /** Settles when the client has its answer, or its error. */
  over: Promise<unknown>
}

/** What the client had of it. */
export interface Seen {
  /** Null where it failed. */
  said: string | null
  error: unknown
  attempts: Attempt[]
  /** The bodies of answers that came through `fetch`; null for one that broke off. */
  texts: Promise<Text | null>[]
  /** What the provider sent last. */
  sent: Script | null
}

export interface Text {
  text: string
  /** False where its client hung up before the end. */
  is_whole: boolean
}

type Of<T> = T | ((subject: Subject) => T)

interface Acts {
  /** What the provider does instead of the usual. */
  sends?: (usual: Script, subject: Subject, cell: Cell) => Script
  /** What happens once the provider has the call. */
  asked?: (cell: Cell) => unknown
  /** What happens once the client has something of its answer. */
  piece?: (cell: Cell) => unknown
}

export interface Fault extends Acts {
  name: string
  /** Throws unless it is what the client should see. */
  sees: (seen: Seen, subject: Subject, usual: Usual) => void | Promise<void>
  /** How often the official client asks. Default 1. */
  attempts?: Of<number>
  charged: Of<Charge>
  event: Of<Partial<UsageEventView>>
  /** How the provider's answer ended. */
  upstream?: Outcome
}

/** A call without any fault. */
interface Usual {
  said: string
  event: UsageEventView | null
}

interface Asked {
  mark: string
  seen: Seen
}

export interface Stage {
  at: Gateway
  /** One call, whatever becomes of it. */
  ask(subject: Subject, user: Cell['user'], acts: Acts, max_tokens: number): Promise<Asked>
  /** One cell of the table: a call with its fault, and the checks of what came of it. */
  play(subject: Subject, fault: Fault): Promise<void>
  close(): Promise<void>
}

const UNKNOWN = Promise.resolve<Usual>({ said: '', event: null })
/** More than any answer has, so that a hold differs from what is seen. */
const MAX_TOKENS = 1_000
const MARK = /fault cell (\d{6})/
const marked = (body: Buffer) => MARK.exec(body.toString())?.[1] ?? ''

const ORIGINS = ['OPENAI', 'ANTHROPIC', 'BEDROCK', 'GEMINI', 'GOOGLE_PLACES'].map((name) => `${name}_BASE_URL`)

export interface StageOptions {
  vars?: Record<string, string>
  /** Where all providers are said to be, for faults in which they cannot be reached. Default: the fake provider. */
  origin?: string
}

export async function startStage({ vars = {}, origin }: StageOptions = {}): Promise<Stage> {
  const at = await startGateway({
    onLog: () => undefined,
    vars: (url) => ({
      ...Object.fromEntries(ORIGINS.map((name) => [name, origin ?? url])),
      BEDROCK_MODELS: JSON.stringify({ 'claude-on-bedrock': CLAUDE }),
      GROQ_API_KEY: 'sk-own-groq',
      GROQ_BASE_URL: `${origin ?? url}/v1`,
      PER_CALL_SERVICES: JSON.stringify([thingsAt(`${origin ?? url}/things`)]),
      THINGS_API_KEY: THINGS_CREDENTIAL,
      ...vars,
    }),
  })
  const plots = new Map<string, (usual: Script) => Script>()
  at.provider.reply = ({ body }: RecordedRequest, usual) => plots.get(marked(body))?.(usual())
  const usuals = new Map<string, Promise<Usual>>()
  let cells = 0

  async function ask(subject: Subject, user: Cell['user'], acts: Acts, max_tokens: number): Promise<Asked> {
    const mark = String(cells++).padStart(6, '0')
    const client = new AbortController()
    const over = Promise.withResolvers<void>()
    const cell: Cell = { at, user, leave: () => client.abort(), over: over.promise }
    const { fetch: counted, attempts } = countingFetch()
    const texts: Seen['texts'] = []
    const fetch = async (...call: Parameters<typeof counted>) => {
      const answer = await counted(...call)
      texts.push(readText(answer.clone()))
      return answer
    }
    let sent: Script | null = null
    plots.set(mark, (usual) => {
      sent = acts.sends?.(usual, subject, cell) ?? usual
      const begun: Step[] = acts.asked ? [{ until: Promise.resolve(acts.asked(cell)) }] : []
      return { ...sent, steps: [...begun, ...sent.steps] }
    })
    let pieces = 0
    const onPiece = () => {
      if (pieces++ === 0) acts.piece?.(cell)
    }
    const { signal } = client
    const asking = { at, key: user.key, text: `fault cell ${mark}`, max_tokens, fetch, attempts, signal, onPiece }
    const answered = await subject.call(asking).then(
      (said) => ({ said, error: null }),
      (error: unknown) => ({ said: null, error }),
    )
    over.resolve()
    plots.delete(mark)
    return { mark, seen: { ...answered, attempts, texts, sent } }
  }

  /** One call by a user of its own, and that user's books once all is settled. */
  async function perform(subject: Subject, fault: Acts) {
    const user = await at.admin.user(GENEROUS)
    let held: CapStatusView['held'] | null = null
    async function asked(cell: Cell) {
      held = (await capOf(at, user.id)).held
      await fault.asked?.(cell)
    }
    const { mark, seen } = await ask(subject, user, { ...fault, asked }, MAX_TOKENS)
    const { events, used } = await ended(at, user.id)
    return { seen, held, events, used, requests: at.provider.requests.filter(({ body }) => marked(body) === mark) }
  }

  async function usualOf(subject: Subject): Promise<Usual> {
    const { seen, events } = await perform(subject, {})
    expect(events).toMatchObject([{ usage_source: 'reported', outcome: 'settled', error_class: null }])
    return { said: seen.said ?? expect.unreachable(String(seen.error)), event: events[0] ?? null }
  }

  return {
    at,
    ask,
    close: () => at.close(),
    async play(subject, fault) {
      // Nobody has a usual answer of a provider that is never reached.
      const usual = fault.sends || fault.asked ? (usuals.get(subject.name) ?? usualOf(subject)) : UNKNOWN
      usuals.set(subject.name, usual)
      const { seen, held, events, used, requests } = await perform(subject, fault)
      const of = <T>(value: Of<T>): T => (value instanceof Function ? value(subject) : value)
      const attempts = of(fault.attempts ?? 1)
      expect(seen.attempts, 'attempts').toHaveLength(attempts)
      expect(events, 'one event for each attempt').toHaveLength(attempts)
      await fault.sees(seen, subject, await usual)
      for (const event of events) {
        expect(event).toMatchObject({ overrun: false, stream: subject.stream !== null, ...of(fault.event) })
        checkCharge(event, of(fault.charged), subject, { held, usual: await usual })
      }
      expect(used, 'the ledger agrees').toMatchObject(sumOf(events))
      if (fault.upstream) expect(await requests[0]?.outcome).toBe(fault.upstream)
    },
  }
}

async function readText({ body }: Response): Promise<Text | null> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const bytes of body ?? []) text += decoder.decode(bytes, { stream: true })
    return { text, is_whole: true }
  } catch (error) {
    return error instanceof Error && error.name === 'AbortError' ? { text, is_whole: false } : null
  }
}

/** All events of a user whose calls are over and on record, and what the ledger says of them. */
async function ended(at: Gateway, userId: string) {
  const { data, outbox } = await eventually(
    () => statusOf(at, userId),
    ({ outbox, data: [cap] }) => outbox.waiting === 0 && cap?.held.requests === 0,
  )
  expect(outbox).toEqual({ waiting: 0, rejected: 0 })
  expect(data).toMatchObject([{ held: NOTHING_USED }])
  return { events: await eventsOf(at, userId), used: data[0]?.current_usage }
}

const amounts = ({ requests, input_tokens, output_tokens, cost_cents }: UsageEventView) => ({
  requests,
  tokens: input_tokens + output_tokens,
  cost_cents,
})

const sumOf = (events: UsageEventView[]) => {
  const all = events.map(amounts)
  const sum = (field: keyof ReturnType<typeof amounts>) => all.reduce((total, one) => total + one[field], 0)
  return { requests: sum('requests'), tokens: sum('tokens'), cost_cents: sum('cost_cents') }
}

/** Statuses of a call that was sent and never answered. */
const NO_ANSWER = new Set<number | null>([424, 502, 504])

function checkCharge(
  event: UsageEventView,
  charged: Charge,
  { is_per_call }: Subject,
  { held, usual }: { held: CapStatusView['held'] | null; usual: Usual },
): void {
  const { requests, tokens, cost_cents } = held ?? NOTHING_USED
  const hold = { requests, tokens, cost_cents }
  if (charged === 'hold') expect(requests, 'the provider was asked').toBe(1)
  expect(event.outcome).toBe(charged === 'nothing' ? 'released' : 'settled')
  if (charged === 'nothing') expect(amounts(event)).toEqual({ requests: 0, tokens: 0, cost_cents: 0 })
  if (charged === 'hold') expect(amounts(event)).toEqual(hold)
  if (charged === 'reported') expect(amounts(event)).toEqual(usual.event && amounts(usual.event))
  if (charged === 'estimated') {
    expect(event.cost_cents).toBeGreaterThan(0)
    expect(event.cost_cents).toBeLessThan(hold.cost_cents)
  }
  if (charged !== 'nothing')
    expect(event.usage_source).toBe(is_per_call && !NO_ANSWER.has(event.status) ? 'reported' : charged)
}

/** The bytes of a script as one text. */
export const textOf = (script: Script) => bytesOf(script).toString()
