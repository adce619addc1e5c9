// The provider's answer once its headers are here, or why there is none and whether it may have been billed. I/O: fetch.

import type { GatewayError } from '../errors.ts'
import { denoFetch } from './deno-fetch.ts'
import { type SilenceLimits, type SilenceWatch, watchSilence } from './silence.ts'
import type { Outgoing } from './upstream-request.ts'

const PROBE_TIMEOUT_MS = 2_000
/** A connection that is refused is refused at once. */
const REFUSED_WITHIN_MS = 3_000

export interface NoAnswer {
  error: GatewayError
  /** For the event. */
  error_class: string
  /** False only where the connection was never made. */
  was_sent: boolean
}

/** A request on its way. */
export interface Sent {
  answering: Promise<Response | NoAnswer>
  /** Ends the request when the provider falls silent, or when the client has been gone for too long. */
  silence: SilenceWatch
  /** Ends the request. */
  abort: () => void
}

/** Keeps nothing of the request while its answer is awaited: its body may be large, and the wait long. */
export function sendUpstream(outgoing: Outgoing | Request, limits: SilenceLimits): Sent {
  const controller = new AbortController()
  const abort = () => controller.abort()
  const silence = watchSilence(limits)
  silence.onSilence(abort)
  silence.begin('first_byte')
  return { answering: untilAnswered(send(outgoing, controller.signal), outgoing.url, silence), silence, abort }
}

async function send(outgoing: Outgoing | Request, signal: AbortSignal): Promise<Response> {
  const fetchOnce = 'Deno' in globalThis ? denoFetch : fetch
  return outgoing instanceof Request
    ? fetchOnce(outgoing, { signal })
    : fetchOnce(outgoing.url, { ...outgoing.init, signal })
}

async function untilAnswered(
  answering: Promise<Response>,
  url: string,
  silence: SilenceWatch,
): Promise<Response | NoAnswer> {
  const started_at = Date.now()
  try {
    return await answering
  } catch (error) {
    const { host } = new URL(url)
    console.warn(JSON.stringify({ message: 'no answer from upstream', host, error: String(error) }))
    if (silence.cut) {
      const message = 'The provider did not answer in time.'
      return { error: { code: 'upstream_timeout', message }, error_class: silence.cut, was_sent: true }
    }
    const message = 'The provider could not be reached.'
    return {
      error: { code: 'upstream_unreachable', message },
      error_class: 'upstream_unreachable',
      was_sent: Date.now() - started_at > REFUSED_WITHIN_MS || (await isThere(url)),
    }
  } finally {
    silence.end()
  }
}

/**
 * Runtimes do not say whether a connection was refused or was lost after the request had gone out. A provider that answers
 * now, or is too busy to, was most likely there before: the call may have been billed.
 */
async function isThere(url: string): Promise<boolean> {
  const probe = { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) } as const
  return fetch(new URL('/', url), probe).then(
    () => true,
    (error) => error instanceof Error && error.name === 'TimeoutError',
  )
}
