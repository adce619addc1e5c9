// The provider's answer on its way to the client: bytes first, metering from the side, read to its end whatever happens.
//
//   upstream -> (filter) -> client
//        \-> meter
//
// A pump rather than `pipeThrough` or `tee`: it goes on when the client goes away, and it keeps backpressure.

import type { Meter, Metered } from '../providers/dialect.ts'
import type { SilenceWatch } from './silence.ts'
import type { UsageChunkFilter } from './usage-chunk-filter.ts'

/** How long an answer is read on after its client has gone: a little less than the platform's 30 seconds. */
const READ_ON_MS = 25_000

const BLANK_LINES = new TextEncoder().encode('\n\n')

export type Cut = 'upstream_cut' | 'upstream_timeout' | 'client_gone'

export interface AnswerEnd {
  metered: Metered
  /** Why the answer was not read to its end; null where it was. */
  cut: Cut | null
  client_gone: boolean
  /** Null where no byte came. */
  first_byte_at: number | null
}

export interface AnswerOptions {
  meter: Meter
  filter: UsageChunkFilter | null
  /** Ends the upstream request when it falls silent. */
  silence: SilenceWatch
  /** Ends the upstream request. */
  abort: () => void
  /** What tells the client that a stream ended badly; null for answers that are not streams: those are cut. */
  errorEvent: ((cut: Cut | null) => Uint8Array) | null
}

/** Returns at once: the body for the client, and a promise of how the answer ended, which never rejects. */
export function passAnswer(
  upstream: ReadableStream<Uint8Array> | null,
  options: AnswerOptions,
): { body: ReadableStream<Uint8Array> | null; ended: Promise<AnswerEnd> } {
  if (!upstream) {
    options.silence.stop()
    const metered = options.meter.end()
    return { body: null, ended: Promise.resolve({ metered, cut: null, client_gone: false, first_byte_at: null }) }
  }
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  return { body: readable, ended: pump(upstream.getReader(), writable.getWriter(), options) }
}

async function pump(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  { meter, filter, silence, abort, errorEvent }: AnswerOptions,
): Promise<AnswerEnd> {
  let cut: Cut | null = null
  let readOn: ReturnType<typeof setTimeout> | null = null
  let first_byte_at: number | null = null
  let isOver = false
  const giveUp = () => {
    cut = 'client_gone'
    abort()
  }
  const clientLeft = () => {
    if (!isOver) readOn ??= setTimeout(giveUp, READ_ON_MS)
  }
  const write = (bytes: Uint8Array) =>
    readOn === null && bytes.length > 0 ? writer.write(bytes).catch(clientLeft) : undefined
  writer.closed.catch(clientLeft)

  try {
    for (;;) {
      silence.begin()
      const { done, value } = await reader.read()
      silence.end()
      if (done) break
      first_byte_at ??= Date.now()
      const written = write(filter ? filter.push(value) : value)
      meter.push(value)
      await written
    }
  } catch {
    cut ??= silence.broken ? 'upstream_timeout' : 'upstream_cut'
  }
  silence.stop()
  if (filter) await write(filter.end())

  const metered = meter.end()
  const endsBadly = cut !== null || (!metered.complete && metered.error_class === null)
  if (endsBadly && errorEvent) {
    // The last event may have been cut inside: what follows must not become a part of it.
    await write(BLANK_LINES)
    await write(errorEvent(cut))
  }
  isOver = true
  const client_gone = readOn !== null
  if (readOn !== null) clearTimeout(readOn)
  if (endsBadly && !errorEvent && cut !== null) await writer.abort(new Error(cut)).catch(ignore)
  // Not awaited: a slow reader must not keep a hold whose usage is known.
  else writer.close().catch(ignore)
  return { metered, cut, client_gone, first_byte_at }
}

/** For promises that are only told something: their other end is gone, and that is noticed elsewhere. */
const ignore = () => undefined
