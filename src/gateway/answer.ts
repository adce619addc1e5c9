// The provider's answer on its way to the client: bytes first, metering from the side, read to its end whatever happens.
//
//   upstream -> (filter) -> client
//        \-> meter
//
// A pump rather than `pipeThrough` or `tee`: it goes on when the client goes away, and it keeps backpressure.

import type { Meter, Metered } from '../providers/dialect.ts'
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
  /** The longest silence between two chunks. */
  idle_timeout_ms: number
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
    const metered = options.meter.end()
    return { body: null, ended: Promise.resolve({ metered, cut: null, client_gone: false, first_byte_at: null }) }
  }
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  return { body: readable, ended: pump(upstream.getReader(), writable.getWriter(), options) }
}

async function pump(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  { meter, filter, idle_timeout_ms, abort, errorEvent }: AnswerOptions,
): Promise<AnswerEnd> {
  let cut: Cut | null = null
  let readOn: ReturnType<typeof setTimeout> | null = null
  let first_byte_at: number | null = null
  const stop = (reason: Cut) => {
    cut ??= reason
    abort()
    reader.cancel().catch(ignore)
  }
  const clientLeft = () => {
    readOn ??= setTimeout(() => stop('client_gone'), READ_ON_MS)
  }
  const write = (bytes: Uint8Array) =>
    readOn === null && bytes.length > 0 ? writer.write(bytes).catch(clientLeft) : undefined
  writer.closed.catch(clientLeft)
  const silence = watchSilence(idle_timeout_ms, () => stop('upstream_timeout'))

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
    cut ??= 'upstream_cut'
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
  if (endsBadly && !errorEvent && cut !== null) await writer.abort(new Error(cut)).catch(ignore)
  else await writer.close().catch(ignore)

  const client_gone = readOn !== null
  if (readOn !== null) clearTimeout(readOn)
  return { metered, cut, client_gone, first_byte_at }
}

/** Calls `onSilence` when a read has waited too long. One timer an answer, not one a chunk. */
function watchSilence(limit_ms: number, onSilence: () => void) {
  let waitingSince: number | null = null
  let timer = setTimeout(check, limit_ms)
  function check() {
    const waited = waitingSince === null ? 0 : Date.now() - waitingSince
    if (waited >= limit_ms) return onSilence()
    timer = setTimeout(check, limit_ms - waited)
  }
  return {
    begin() {
      waitingSince = Date.now()
    },
    end() {
      waitingSince = null
    },
    stop() {
      clearTimeout(timer)
    },
  }
}

/** For promises that are only told something: their other end is gone, and that is noticed elsewhere. */
const ignore = () => undefined
