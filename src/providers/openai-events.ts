// The events of OpenAI's streams: JSON each, and `[DONE]` where an API ends with it. Pure, and never throws.

import { isObject, parseJsonOrUndefined } from './answer.ts'
import type { JsonObject } from './dialect.ts'
import { createSseReader } from './sse.ts'

export interface EventReader {
  push(bytes: Uint8Array): void
  /** True once `[DONE]` came. */
  readonly done: boolean
  /** True once a string was too long to be read whole: the bytes of strings counted from then on are too few. */
  readonly shortened: boolean
  /** Reads what is left. True where all events could be read. */
  end(): boolean
}

/** @param isKnown says of an event that it need not be parsed: it is known, or behind the end. */
export function readEvents(
  onEvent: (event: JsonObject, json: string) => void,
  isKnown: (json: string) => boolean = () => false,
): EventReader {
  let done = false
  let readable = true
  const sse = createSseReader((data) => {
    if (done) return
    // Blanks may be around it: OpenAI's own SDKs look at how it begins alone.
    if (data.trimStart().startsWith('[DONE]')) {
      done = true
      return
    }
    if (isKnown(data)) return
    const event = parseJsonOrUndefined(data)
    if (isObject(event)) onEvent(event, data)
    else readable = false
  })
  return {
    push: sse.push,
    get done() {
      return done
    },
    get shortened() {
      return sse.shortened
    },
    end() {
      sse.end()
      return readable && !sse.broken
    },
  }
}
