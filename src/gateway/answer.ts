// The provider's answer on its way to the client. No answer is whole before its call is on record:
//
//   a short JSON:  upstream -> meter -> settle -> client
//   a stream:      upstream -> meter -> (filter) -> client, and settle before the bytes that end it
//   no marked end: upstream -> meter -> (filter) -> client, one piece late, and settle before the last piece
//
// A pump rather than `pipeThrough` or `tee`: it goes on when the client goes away, and it keeps backpressure.

import { concatBytes } from '../providers/bytes.ts'
import type { Meter, Metered, StreamFilter } from '../providers/dialect.ts'
import { type ClientBody, openClientBody } from './client-body.ts'
import type { SilenceWatch } from './silence.ts'

/** How long an answer is read on after its client has gone: a little less than the platform's 30 seconds. */
const READ_ON_MS = 25_000

export type Cut = 'upstream_cut' | 'upstream_timeout' | 'client_gone' | 'no_longer_allowed' | 'not_recorded'

export interface AnswerEnd {
  metered: Metered
  /** Why the answer was not read to its end; null where it was. */
  cut: Cut | null
  client_gone: boolean
  /** Null where no byte came. */
  first_byte_at: number | null
}

/** No provider answers more JSON; many of these have to fit into a Worker's memory at once. */
export const MAX_KEPT_BYTES = 32 * 1024 * 1024

/**
 * An answer that is kept until it is whole, or null where it broke off or is too long for that.
 *
 * @param length as announced; NaN where it is not known.
 */
export async function readAnswer(answer: Response, length: number, silence: SilenceWatch): Promise<Uint8Array | null> {
  if (answer.body === null) return NOTHING
  try {
    if (!(length <= MAX_KEPT_BYTES)) return await readParts(answer.body, silence)
    // A provider that announces the length has it all, so one limit does; one for each part would cost more than they do.
    silence.begin('first_byte')
    return new Uint8Array(await answer.arrayBuffer())
  } catch {
    return null
  } finally {
    silence.end()
  }
}

async function readParts(body: ReadableStream<Uint8Array>, silence: SilenceWatch): Promise<Uint8Array | null> {
  const parts: Uint8Array[] = []
  let length = 0
  const reader = body.getReader()
  for (;;) {
    // Slow is not silent: the limit is for each part.
    silence.begin('idle')
    const { done, value } = await reader.read()
    if (done) return concatBytes(parts)
    length += value.length
    parts.push(value)
    if (length > MAX_KEPT_BYTES) {
      await reader.cancel()
      return null
    }
  }
}

export interface PumpOptions {
  meter: Meter
  filter: StreamFilter | null
  /** Ends the upstream request when it falls silent. */
  silence: SilenceWatch
  /** Ends the upstream request. */
  abort: () => void
  /** What tells the client that a stream ended badly; null for answers that are not streams: those are cut. */
  errorEvent: ((cut: Cut | null) => Uint8Array) | null
  /** Asked now and then: whether the caller may still have the answer. Must not reject. */
  mayGoOn: () => Promise<boolean>
  /** Called once, with how the call ended: is it on record? The client's last bytes wait for it. Must not reject. */
  settle: (end: AnswerEnd) => Promise<boolean>
}

/** Returns at once: the body for the client, and `done`, which resolves once nothing is left to do and never rejects. */
export function pumpAnswer(
  upstream: ReadableStream<Uint8Array>,
  options: PumpOptions,
): { body: ReadableStream<Uint8Array>; done: Promise<void> } {
  const client = openClientBody()
  return { body: client.body, done: pump(upstream.getReader(), client, options) }
}

async function pump(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  client: ClientBody,
  { meter, filter, silence, abort, errorEvent, mayGoOn, settle }: PumpOptions,
): Promise<void> {
  let cut: Cut | null = null
  let first_byte_at: number | null = null
  let ended: { metered: Metered; isRecorded: boolean } | null = null
  const giveUp = (why: Cut) => {
    cut ??= why
    abort()
  }
  const askAgain = askNowAndThen(mayGoOn, () => giveUp('no_longer_allowed'))
  let readOn: ReturnType<typeof setTimeout> | undefined
  client.onGone = () => {
    readOn = setTimeout(giveUp, READ_ON_MS, 'client_gone')
  }
  silence.onSilence(() => {
    // The client is there but does not read: for as long as it likes it would keep the hold, too.
    if (client.isAwaited) {
      cut ??= 'client_gone'
      client.giveUp()
    }
    abort()
  })
  const write = (bytes: Uint8Array) => {
    silence.begin('idle')
    return client.write(bytes)
  }
  /** Whether the meter can tell the answer's end. Else any piece may be the last, and `complete` does not rule out a cut. */
  const knowsEnd = (meter.finished ?? meter.may_be_over) !== undefined
  /** A piece that may be the last, though nothing marks it as such: it goes to the client with the next, or once settled. */
  let kept: Uint8Array = NOTHING
  const pass = async (bytes: Uint8Array) => {
    // The filter holds half an event, or dropped the one that only Tollgate asked for: what is kept may still be the last.
    if (bytes.length === 0) return
    const next = kept
    kept = NOTHING
    await write(next)
    if (ended === null && (!errorEvent || !knowsEnd || meter.may_be_over)) kept = bytes
    else await write(bytes)
  }
  const settleOnce = async () => {
    if (ended !== null) return ended
    const metered = meter.end()
    // The stream stopped before its end.
    if (errorEvent && !metered.complete && metered.error_class === null) cut ??= 'upstream_cut'
    // Set before the wait: what comes after is not metered any more.
    ended = { metered, isRecorded: true }
    ended.isRecorded = await settle({ metered, cut, client_gone: client.isGone, first_byte_at })
    return ended
  }

  try {
    for (;;) {
      silence.begin('idle')
      const { done, value } = await reader.read()
      silence.end()
      if (done) break
      first_byte_at ??= Date.now()
      askAgain()
      if (ended === null) meter.push(value)
      if (meter.finished && !(await settleOnce()).isRecorded) {
        abort()
        break
      }
      await pass(filter ? filter.push(value) : value)
    }
  } catch {
    // After the answer's own end nothing is missing, even where that end was an error.
    if (ended === null) cut ??= silence.broken ? 'upstream_timeout' : 'upstream_cut'
  }
  const { metered, isRecorded } = await settleOnce()
  if (!isRecorded) cut = 'not_recorded'
  const isWhole = metered.complete && (cut === null || knowsEnd)
  const endsBadly = !isRecorded || (!isWhole && (cut !== null || metered.error_class === null))
  if (isRecorded) await write(kept)
  // Half an event is left out: behind it the client could not read the error event.
  if (filter && !endsBadly) await write(filter.end())
  if (endsBadly && errorEvent) await write(errorEvent(cut))
  silence.stop()
  clearTimeout(readOn)
  // A client that was given up is still connected, and must not take this for the end.
  const isCut = client.isGone || (!errorEvent && cut !== null)
  client.close(isCut ? new Error(cut ?? 'client_gone') : null)
}

const NOTHING = new Uint8Array()

/**
 * A stream outlives a revoked key or a lowered cap by this long at most, or by a hundredth of its age, plus the provider's
 * pause between two chunks. It asks ever more rarely, because one request may call its ledger only a thousand times.
 */
const ASK_AGAIN_MS = 5_000
const ASK_AGAIN_SHARE = 1 / 100

/** To be called with every chunk. */
function askNowAndThen(mayGoOn: () => Promise<boolean>, onRefusal: () => void): () => void {
  const startedAt = Date.now()
  let askedAt = startedAt
  return () => {
    const now = Date.now()
    // `abs`: a clock that was set back must not end the asking.
    if (Math.abs(now - askedAt) <= Math.max(ASK_AGAIN_MS, (askedAt - startedAt) * ASK_AGAIN_SHARE)) return
    askedAt = now
    void mayGoOn().then((isAllowed) => {
      if (!isAllowed) onRefusal()
    })
  }
}
