// Notices an upstream that has said nothing for too long: before its first byte, and between two. One timer a call, not
// one a chunk.

export interface SilenceWatch {
  /** From now on something is waited for. */
  begin(): void
  /** It came. */
  end(): void
  stop(): void
  /** True once it took too long. */
  readonly broken: boolean
}

export function watchSilence(limit_ms: number, onSilence: () => void): SilenceWatch {
  let waitingSince: number | null = null
  let broken = false
  let timer = setTimeout(check, limit_ms)
  function check() {
    const waited = waitingSince === null ? 0 : Date.now() - waitingSince
    if (waited < limit_ms) {
      timer = setTimeout(check, limit_ms - waited)
      return
    }
    broken = true
    onSilence()
  }
  return {
    begin() {
      waitingSince = Date.now()
    },
    end() {
      waitingSince = null
    },
    stop() {
      clearTimeout(timer)
    },
    get broken() {
      return broken
    },
  }
}
