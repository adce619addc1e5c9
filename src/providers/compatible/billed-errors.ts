// Errors that a provider bills all the same, by their code or their status. Pure; must never throw.

import { bufferAnswer, changeEnd, isTurnedAway, objectOrEmpty } from '../answer.ts'
import type { AnswerHead, Meter } from '../dialect.ts'
import { textOrNone } from '../fields.ts'
import type { Quirks } from './provider.ts'

export function withBilledErrors(meter: Meter, { status }: AnswerHead, { billed_errors }: Quirks): Meter {
  if (billed_errors.length === 0) return meter
  // One that only the stream tells of may be among the billed ones, unless the call was turned away for want of quota or room.
  if (status < 400)
    return changeEnd(meter, ({ is_turned_away, error_class, ...metered }) => ({
      ...metered,
      error_class,
      is_turned_away: is_turned_away && isTurnedAway(error_class),
    }))
  const answer = bufferAnswer()
  return {
    push(bytes) {
      meter.push(bytes)
      answer.push(bytes)
    },
    end() {
      const metered = meter.end()
      if (billed_errors.includes(String(status))) return { ...metered, is_billed: true }
      if (!billed_errors.includes(codeOf(answer.end()))) return metered
      // It was refused for its input: the model has read that and written nothing.
      return { ...metered, is_billed: true, complete: true, may_hide_output: false }
    },
  }
}

/** The error for embeddings whose input is too long has a message and no code. */
function codeOf(answer: unknown): string {
  const { code, message } = objectOrEmpty(objectOrEmpty(answer).error)
  if (typeof code === 'string') return code
  return /maximum context length/.test(textOrNone(message)) ? 'context_length_exceeded' : ''
}
