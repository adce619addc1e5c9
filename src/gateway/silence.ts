// Notices a call that has been kept waiting for too long: by a provider, before its first byte or between two, or by a client
// that does not read. One timer per call, not per chunk.

export interface SilenceWatch {
  /** From now on something is waited for: a first byte, or the next one. */
  begin(limit: 'first_byte' | 'idle'): void
  /** It came. */
  end(): void
  stop(): void
  /** Sets what is called whenever a wait has taken too long. Replaces what was set before. */
  onSilence(handle: () => void): void
  /** True once a wait took too long. */
  readonly broken: boolean
}

export interface SilenceLimits {
  first_byte_ms: number
  idle_ms: number
}

/** How often it looks within a limit: silence is noticed at the limit at the earliest, one look later at the latest. */
const LOOKS = 8

/** Counts looks, because reading the clock twice per chunk would cost more than everything else here. */
export function watchSilence({ first_byte_ms, idle_ms }: SilenceLimits): SilenceWatch {
  const step_ms = Math.min(first_byte_ms, idle_ms) / LOOKS
  let limit_ms: number | null = null
  let looks = 0
  let broken = false
  let handle = () => {}
  let timer = setTimeout(look, step_ms)
  function look() {
    timer = setTimeout(look, step_ms)
    looks += 1
    // The first look may come the moment after the wait began.
    if (limit_ms === null || (looks - 1) * step_ms < limit_ms) return
    broken = true
    limit_ms = null
    handle()
  }
  return {
    begin(limit) {
      limit_ms = limit === 'idle' ? idle_ms : first_byte_ms
      looks = 0
    },
    end() {
      limit_ms = null
    },
    stop() {
      clearTimeout(timer)
    },
    onSilence(next) {
      handle = next
    },
    get broken() {
      return broken
    },
  }
}
