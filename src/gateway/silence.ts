// Notices who has kept a call waiting for too long: a provider before its first byte or between two, a client that does not
// read. One timer a call, not one a chunk.

export interface SilenceWatch {
  /** From now on something is waited for: a first byte, or the next one. */
  begin(limit: 'first_byte' | 'idle'): void
  /** It came. */
  end(): void
  stop(): void
  /** Called once it took too long. Replaces who was called before. */
  onSilence(handle: () => void): void
  /** True once it took too long. */
  readonly broken: boolean
}

export interface SilenceLimits {
  first_byte_ms: number
  idle_ms: number
}

export function watchSilence({ first_byte_ms, idle_ms }: SilenceLimits): SilenceWatch {
  let overAt: number | null = null
  let broken = false
  let handle = () => {}
  let timer = setTimeout(check, Math.min(first_byte_ms, idle_ms))
  function check() {
    const left = overAt === null ? idle_ms : overAt - Date.now()
    if (left > 0) {
      // The shorter limit may begin before the longer one is over.
      timer = setTimeout(check, Math.min(left, idle_ms))
      return
    }
    broken = true
    handle()
  }
  return {
    begin(limit) {
      overAt = Date.now() + (limit === 'idle' ? idle_ms : first_byte_ms)
    },
    end() {
      overAt = null
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
