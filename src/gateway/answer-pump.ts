// An answer on its way to the client, piece by piece. None is whole before its call is on record:
//
//   a stream:      upstream -> meter -> (filter) -> client, and settle before the bytes that end it
//   no marked end: upstream -> meter -> (filter) -> client, one piece late, and settle before the last piece
//
// A pump rather than `pipeThrough` or `tee`: it goes on when the client goes away, and it keeps backpressure.

import type { Meter, Metered, StreamFilter } from '../providers/dialect.ts'
import type { AnswerEnd, Cut } from './answer.ts'
import { type ClientBody, openClientBody } from './client-body.ts'
import type { SilenceWatch } from './silence.ts'

export interface PumpOptions {
  /** The request's own: whether the client has left. */
  signal: AbortSignal
  meter: Meter
  filter: StreamFilter | null
  /** Ends the upstream request when it falls silent, or when its client has been gone for too long. */
  silence: SilenceWatch
  /** Ends the upstream request. */
  abort: () => void
  /** What tells the client that a stream ended badly; null for answers that are not streams: those are cut. */
  errorEvent: ((cut: Cut | null) => Uint8Array) | null
  /** Asked now and then: whether the caller may still have the answer. Must not reject. */
  mayGoOn: () => Promise<boolean>
  /** Called once, with how the call ended: is that on record? The client's last bytes wait for it. Must not reject. */
  settle: (end: AnswerEnd) => Promise<boolean>
}

/** Returns at once: the body for the client, and `done`, which resolves once nothing is left to do and never rejects. */
export function pumpAnswer(
  upstream: ReadableStream<Uint8Array>,
  options: PumpOptions,
): { body: ReadableStream<Uint8Array>; done: Promise<void> } {
  const client = openClientBody()
  const pump = new Pump(client, options)
  // Nothing else tells: of an answer that it cannot begin to send, workerd neither asks for the body nor cancels it. Later
  // nothing else tells while the provider is silent, and the platform ends all work 30 seconds after the client has left.
  if (options.signal.aborted) client.giveUp()
  else options.signal.addEventListener('abort', client.giveUp)
  return { body: client.body, done: pump.run(upstream.getReader()) }
}

const NOTHING = new Uint8Array()

/** The call is over: what it used, and whether that is on record. */
interface Ended {
  metered: Metered
  isRecorded: boolean
}

class Pump {
  readonly #client: ClientBody
  readonly #options: PumpOptions
  #cut: Cut | null = null
  #first_byte_at: number | null = null
  #ended: Ended | null = null
  /** A piece that may be the last, though nothing marks it as such: it goes to the client with the next, or once settled. */
  #kept: Uint8Array = NOTHING

  constructor(client: ClientBody, options: PumpOptions) {
    this.#client = client
    this.#options = options
    client.onGone = options.silence.clientLeft
    options.silence.onSilence(() => this.#onSilence())
  }

  async run(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    try {
      await this.#passAll(reader)
    } catch {
      // After the answer's own end nothing is missing, even where that end was an error.
      if (this.#ended === null) this.#cut ??= this.#options.silence.cut ?? 'upstream_cut'
    }
    await this.#close(await this.#settleOnce())
  }

  async #passAll(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const { meter, filter, silence, abort, mayGoOn } = this.#options
    const askAgain = askNowAndThen(mayGoOn, () => this.#withdraw())
    for (;;) {
      silence.begin('idle')
      const { done, value } = await reader.read()
      silence.end()
      if (done) return
      this.#first_byte_at ??= Date.now()
      askAgain()
      if (this.#ended === null) meter.push(value)
      if (meter.ending === 'over' && !(await this.#settleOnce()).isRecorded) return abort()
      await this.#pass(filter ? filter.push(value) : value)
    }
  }

  async #pass(bytes: Uint8Array): Promise<void> {
    // The filter holds half an event, or dropped the one that only Tollgate asked for: what is kept may still be the last.
    if (bytes.length === 0) return
    const kept = this.#kept
    this.#kept = NOTHING
    await this.#write(kept)
    if (this.#mayBeLast) this.#kept = bytes
    else await this.#write(bytes)
  }

  /** True also where the meter cannot tell. A piece that marks the end is not kept: its call is settled by then. */
  get #mayBeLast(): boolean {
    const { meter, errorEvent } = this.#options
    return this.#ended === null && (errorEvent === null || meter.ending !== 'not_yet')
  }

  #write(bytes: Uint8Array): Promise<void> {
    this.#options.silence.begin('idle')
    return this.#client.write(bytes)
  }

  async #settleOnce(): Promise<Ended> {
    if (this.#ended !== null) return this.#ended
    const { meter, errorEvent, settle } = this.#options
    const metered = meter.end()
    // The stream stopped before its end.
    if (errorEvent && !metered.complete && metered.error_class === null) this.#cut ??= 'upstream_cut'
    // Set before the wait: what comes after is not metered any more.
    const ended = { metered, isRecorded: true }
    this.#ended = ended
    const client_gone = this.#client.isGone
    ended.isRecorded = await settle({ metered, cut: this.#cut, client_gone, first_byte_at: this.#first_byte_at })
    return ended
  }

  /** What was kept back and the answer's end, or the error in its place. */
  async #close({ metered, isRecorded }: Ended): Promise<void> {
    const { meter, filter, errorEvent, silence } = this.#options
    if (!isRecorded) this.#cut = 'not_recorded'
    // A meter that cannot tell the end may take an answer for complete that was cut.
    const isWhole = metered.complete && (this.#cut === null || meter.ending !== undefined)
    const endsBadly = !isRecorded || (!isWhole && (this.#cut !== null || metered.error_class === null))
    if (isRecorded) await this.#write(this.#kept)
    // Half an event is left out: after it the client could not read the error event.
    const isRestWanted = errorEvent === null ? isRecorded : !endsBadly
    if (filter && isRestWanted) await this.#write(filter.end())
    if (errorEvent && endsBadly) await this.#write(errorEvent(this.#cut))
    silence.stop()
    // A client that was given up is still connected, and must not take this for the end.
    const isCut = this.#client.isGone || (errorEvent === null && this.#cut !== null)
    this.#client.close(isCut ? new Error(this.#cut ?? 'client_gone') : null)
  }

  #withdraw(): void {
    // What is whole is on record as whole.
    if (this.#ended === null) this.#cut ??= 'no_longer_allowed'
    this.#options.abort()
  }

  #onSilence(): void {
    // The client is there but does not read. It could keep the hold, too, for as long as it likes.
    if (this.#client.isAwaited) {
      this.#cut ??= 'client_gone'
      this.#client.giveUp()
    }
    this.#options.abort()
  }
}

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
