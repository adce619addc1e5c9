// A provider's answer: how it ended, and how to read one that is kept until it is whole. For one that is passed on piece by
// piece, see ./answer-pump.ts.

import type { GatewayError } from '../errors.ts'
import { concatBytes } from '../providers/bytes.ts'
import type { Metered } from '../providers/dialect.ts'
import type { SilenceWatch } from './silence.ts'

export type Cut = 'upstream_cut' | 'upstream_timeout' | 'client_gone' | 'no_longer_allowed' | 'not_recorded'

export interface AnswerEnd {
  metered: Metered
  /** Why the answer was not read to its end; null where it was. */
  cut: Cut | null
  client_gone: boolean
  /** Null where no byte came. */
  first_byte_at: number | null
}

/** The error for a client whose answer did not reach its end. */
export function cutError(cut: Cut | null): GatewayError {
  switch (cut) {
    case 'upstream_timeout':
      return { code: 'upstream_timeout', message: 'The provider fell silent, so the answer was ended.' }
    case 'not_recorded':
      return { code: 'not_recorded', message: 'The call could not be recorded, so its answer is withheld.' }
    case 'no_longer_allowed':
      return { code: 'forbidden', message: 'The key or a cap of its user was withdrawn, so the answer was ended.' }
    default:
      return { code: 'upstream_unreachable', message: 'The provider ended the answer early.' }
  }
}

/** No provider answers with more JSON; many such answers have to fit into a Worker's memory at once. */
export const MAX_KEPT_BYTES = 32 * 1024 * 1024

/**
 * An answer that is kept until it is whole, or null where it broke off or is too long for that.
 *
 * @param length as announced; NaN where it is not known.
 */
export async function readAnswer(answer: Response, length: number, silence: SilenceWatch): Promise<Uint8Array | null> {
  if (answer.body === null) return new Uint8Array()
  try {
    if (!(length <= MAX_KEPT_BYTES)) return await readParts(answer.body, silence)
    // A provider that announces the length has the whole answer, so one limit will do: one per part costs more than the part.
    silence.begin('first_byte')
    return new Uint8Array(await answer.arrayBuffer())
  } catch {
    // workerd cannot undo a compression of nothing, and some servers say that an empty answer is compressed.
    return length === 0 ? new Uint8Array() : null
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
