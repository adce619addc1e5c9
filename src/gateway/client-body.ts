// The client's side of an answer that is written piece by piece. A stream that the client pulls from, because a pipe with
// two ends costs workerd one more task per piece.

export interface ClientBody {
  body: ReadableStream<Uint8Array>
  /** Whether the client has left or was given up. workerd notices with the next piece that it has left. */
  readonly isGone: boolean
  /** Called when `isGone` becomes true. */
  onGone: () => void
  /** Whether a piece waits for the client to ask for it. */
  readonly isAwaited: boolean
  /** Waits until the client asks for this piece; drops it at once where the client is gone. */
  write(bytes: Uint8Array): Promise<void>
  /** Stops waiting for the client, which counts as gone from now on, unless it has all of the body. */
  giveUp(): void
  /** With an error the body is cut. */
  close(error: Error | null): void
}

export function openClientBody(): ClientBody {
  /** Null once the client has left or has all of it. */
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null
  let isAsking = false
  let isGone = false
  /** Ends the wait of `write`. */
  let letGo: (() => void) | null = null
  const body = new ReadableStream<Uint8Array>(
    {
      start(opened) {
        controller = opened
      },
      pull() {
        isAsking = true
        letGo?.()
      },
      cancel() {
        client.giveUp()
        controller = null
      },
    },
    { highWaterMark: 0 },
  )
  const client: ClientBody = {
    body,
    get isGone() {
      return isGone
    },
    onGone: () => undefined,
    get isAwaited() {
      return letGo !== null
    },
    async write(bytes) {
      if (isGone || bytes.length === 0) return
      if (!isAsking) {
        await new Promise<void>((resolve) => {
          letGo = resolve
        })
        letGo = null
      }
      if (isGone) return
      isAsking = false
      controller?.enqueue(bytes)
    },
    giveUp() {
      if (isGone || controller === null) return
      isGone = true
      client.onGone()
      letGo?.()
    },
    close(error) {
      if (error) controller?.error(error)
      else controller?.close()
      controller = null
    },
  }
  return client
}
