// The provider's answer once its headers are here, or why there is none and whether it may have been billed. I/O: fetch.

import { mediaTypeOf } from '../body-type.ts'
import type { GatewayError } from '../errors.ts'
import type { AnswerHead } from '../providers/dialect.ts'
import type { SilenceWatch } from './silence.ts'
import type { Outgoing } from './upstream-request.ts'

const PROBE_TIMEOUT_MS = 2_000
/** A connection that is refused is refused at once. */
const REFUSED_WITHIN_MS = 3_000

export interface NoAnswer {
  error: GatewayError
  /** False only where the connection was never made. */
  was_sent: boolean
}

export async function fetchAnswer(
  outgoing: Outgoing | Request,
  signal: AbortSignal,
  silence: SilenceWatch,
): Promise<Response | NoAnswer> {
  const started_at = Date.now()
  silence.begin('first_byte')
  try {
    if (outgoing instanceof Request) return await fetch(outgoing, { signal })
    return await fetch(outgoing.url, { ...outgoing.init, signal })
  } catch (error) {
    console.warn(JSON.stringify({ message: 'no answer from upstream', error: String(error) }))
    if (silence.broken) {
      const message = 'The provider did not answer in time.'
      return { error: { code: 'upstream_timeout', message }, was_sent: true }
    }
    const message = 'The provider could not be reached.'
    return {
      error: { code: 'upstream_unreachable', message },
      was_sent: Date.now() - started_at > REFUSED_WITHIN_MS || (await isThere(outgoing.url)),
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

export function headOf({ status, headers }: Response): AnswerHead {
  const type = mediaTypeOf(headers)
  return { status, headers, format: (type && FORMATS[type]) || 'other' }
}

const FORMATS: Partial<Record<string, AnswerHead['format']>> = {
  'application/json': 'json',
  'text/event-stream': 'sse',
  'application/vnd.amazon.eventstream': 'eventstream',
}
