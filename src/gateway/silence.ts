// Notices an upstream that has said nothing for too long: before its first byte, and between two. One timer a call, not
// one a chunk.

export interface SilenceWatch {
  /** From now on something is waited for: a first byte, or the next one. */
  begin(limit: 'first_byte' | 'idle'): void
  /** It came. */
  end(): void
  stop(): void
  /** True once it took too long. */
  readonly broken: boolean
}

export interface SilenceLimits {
  first_byte_ms: number
  idle_ms: number
}

export function watchSilence({ first_byte_ms, idle_ms }: SilenceLimits, onSilence: () => void): SilenceWatch {
  let overAt: number | null = null
  let broken = false
  let timer = setTimeout(check, Math.min(first_byte_ms, idle_ms))
  function check() {
    const left = overAt === null ? idle_ms : overAt - Date.now()
    if (left > 0) {
      timer = setTimeout(check, left)
      return
    }
    broken = true
    onSilence()
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
    get broken() {
      return broken
    },
  }
}
