// Errors that a provider bills all the same, by their code or their status. Pure; must never throw.

import { bufferAnswer, isObject } from '../answer.ts'
import type { AnswerHead, Meter } from '../dialect.ts'
import type { Quirks } from './provider.ts'

export function withBilledErrors(meter: Meter, { status }: AnswerHead, { billed_errors }: Quirks): Meter {
  if (status < 400 || billed_errors.length === 0) return meter
  const answer = bufferAnswer()
  return {
    push(bytes) {
      meter.push(bytes)
      answer.push(bytes)
    },
    end() {
      const metered = meter.end()
      // Refused for what it was given, the model has read that and written nothing.
      if (billed_errors.includes(codeOf(answer.end()))) {
        return { ...metered, is_billed: true, complete: true, may_hide_output: false }
      }
      return { ...metered, is_billed: billed_errors.includes(String(status)) }
    },
  }
}

function codeOf(answer: unknown): string {
  const error = isObject(answer) ? answer.error : null
  return isObject(error) ? String(error.code) : ''
}
