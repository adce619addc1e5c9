// The client's side of an answer that is written piece by piece. A stream that is pulled from, rather than a pipe with two
// ends: that is a task more for workerd with each piece.

export interface ClientBody {
  body: ReadableStream<Uint8Array>
  /** Whether the client waits for the next piece. */
  readonly isAsking: boolean
  /** Called when it asks for the next piece. */
  onAsk: () => void
  /** Called when it leaves. On workerd that is noticed with the next piece that is given. */
  onLeave: () => void
  /** To a client that has left nothing is given. */
  give(bytes: Uint8Array): void
  /** With an error the body is cut. */
  close(error: Error | null): void
}

export function openClientBody(): ClientBody {
  /** Null once the client has left or has all of it. */
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null
  let isAsking = false
  const body = new ReadableStream<Uint8Array>(
    {
      start(its) {
        controller = its
      },
      pull() {
        isAsking = true
        client.onAsk()
      },
      cancel() {
        controller = null
        client.onLeave()
      },
    },
    { highWaterMark: 0 },
  )
  const client: ClientBody = {
    body,
    get isAsking() {
      return isAsking
    },
    onAsk: ignore,
    onLeave: ignore,
    give(bytes) {
      isAsking = false
      controller?.enqueue(bytes)
    },
    close(error) {
      if (error) controller?.error(error)
      else controller?.close()
      controller = null
    },
  }
  return client
}

const ignore = () => undefined
