// Reads server-sent events from bytes in any chunking. Pure, and never throws: what it cannot read makes it `broken`.

import { createParser } from 'eventsource-parser'
import { utf8Decoder } from './bytes.ts'
import { shortenStrings } from './long-strings.ts'

/** Characters of one event, once its long strings (images, documents) are shortened; providers' own are far smaller. */
const MAX_EVENT_LENGTH = 4 * 1024 * 1024

/** Characters of lines outside of any event; an error has far fewer. */
const MAX_STRAY_LENGTH = 64 * 1024

/** An error as an event of its own, whatever came before it: a blank line ends an event that was cut off. */
export function sseError(data: object, event?: string): Uint8Array {
  return new TextEncoder().encode(`\n\n${event ? `event: ${event}\n` : ''}data: ${JSON.stringify(data)}\n\n`)
}

export interface SseReader {
  push(bytes: Uint8Array): void
  /** Reads what is left, even an event that the stream did not terminate. */
  end(): void
  /** True once an event was too large to be read; nothing after it is read. */
  readonly broken: boolean
  /** True once a string was too long to be read whole: the bytes of strings counted from then on are too few. */
  readonly shortened: boolean
}

/** @param onStray called at the end with the lines that are of no event, where there are any. */
export function createSseReader(onData: (data: string) => void, onStray?: (lines: string) => void): SseReader {
  let broken = false
  let stray = ''
  const strings = shortenStrings()
  const decode = utf8Decoder()
  const parser = createParser({
    maxBufferSize: MAX_EVENT_LENGTH,
    // One without data is none, to browsers and here: some servers keep the connection alive with it. At the end it is half of
    // one that was cut off.
    onEvent: ({ data }) => {
      if (data !== '' || hasEnded) onData(data)
    },
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded') broken = true
      else if (onStray && stray.length < MAX_STRAY_LENGTH) stray += `${error.line ?? ''}\n`
    },
  })
  let hasEnded = false
  let endedInCr = false
  // The parser throws when it is fed after it gave up. After a CR it would wait for an LF, though the event may be whole.
  const feed = (text: string) => {
    if (broken || text === '') return
    const rest = endedInCr && text.startsWith('\n') ? text.slice(1) : text
    endedInCr = text.endsWith('\r')
    parser.feed(rest.includes('\r') ? rest.replace(/\r\n?/g, '\n') : rest)
  }
  return {
    push: (bytes) => feed(decode(strings.push(bytes))),
    end() {
      hasEnded = true
      feed(`${decode()}\n\n`)
      if (stray !== '') onStray?.(stray)
    },
    get broken() {
      return broken
    },
    get shortened() {
      return strings.shortened
    },
  }
}
