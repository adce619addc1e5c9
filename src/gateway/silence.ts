// Notices a call that has been kept waiting for too long: by a provider, before its first byte or between two, or by a client
// that does not read; and one that goes on for too long once its client has left. One timer per call, not per chunk.

/** How long a call goes on after its client has left: a little less than the platform's 30 seconds. */
const WITHOUT_CLIENT_MS = 25_000

export interface SilenceWatch {
  /** From now on something is waited for: a first byte, with a limit that runs since the watch began, or the next one. */
  begin(limit: 'first_byte' | 'idle'): void
  /** It came. */
  end(): void
  /** Nobody waits for the answer any more. Said twice, or once all is over, it changes nothing. */
  clientLeft(): void
  stop(): void
  /** Sets what is called whenever something has taken too long. Replaces what was set before. */
  onSilence(handle: () => void): void
  /** What took too long first: a wait, or what goes on without a client. */
  readonly cut: 'upstream_timeout' | 'client_gone' | null
}

export interface SilenceLimits {
  first_byte_ms: number
  idle_ms: number
}

/** How often it looks within a limit: silence is noticed at the limit at the earliest, two looks later at the latest. */
const LOOKS = 32

/** Counts looks, because reading the clock twice per chunk would cost more than everything else here. */
export function watchSilence({ first_byte_ms, idle_ms }: SilenceLimits): SilenceWatch {
  const step_ms = Math.min(first_byte_ms, idle_ms) / LOOKS
  let limit_ms: number | null = null
  let looks = 0
  let cut: SilenceWatch['cut'] = null
  let isStopped = false
  let leaving: ReturnType<typeof setTimeout> | undefined
  let handle = () => {}
  let timer = setTimeout(look, step_ms)
  function look() {
    timer = setTimeout(look, step_ms)
    looks += 1
    // The first look may come the moment after the wait began.
    if (limit_ms === null || (looks - 1) * step_ms < limit_ms) return
    cut ??= 'upstream_timeout'
    limit_ms = null
    handle()
  }
  return {
    begin(limit) {
      limit_ms = limit === 'idle' ? idle_ms : first_byte_ms
      // Of a short answer the client has nothing until it is whole, and its own limit runs since it asked.
      if (limit === 'idle') looks = 0
    },
    end() {
      limit_ms = null
    },
    clientLeft() {
      if (isStopped) return
      leaving ??= setTimeout(() => {
        cut ??= 'client_gone'
        handle()
      }, WITHOUT_CLIENT_MS)
    },
    stop() {
      isStopped = true
      clearTimeout(timer)
      clearTimeout(leaving)
    },
    onSilence(next) {
      handle = next
    },
    get cut() {
      return cut
    },
  }
}
