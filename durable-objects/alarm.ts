// The one alarm of a Durable Object, for all its duties: it rings no later than the earliest of them needs it. Its only I/O
// is storage; no clock: `now` is passed in.

/** An alarm is set at least this far ahead. */
const LEAST_SLEEP_MS = 10
/** An alarm that is this late has been lost. */
const LATE_MS = 5_000

/** The part of a Durable Object's storage that this needs. */
export interface AlarmStorage {
  getAlarm(): Promise<number | null>
  setAlarm(at: number): Promise<void>
}

export class Alarm {
  readonly #storage: AlarmStorage
  #at: number | null = null

  constructor(storage: AlarmStorage) {
    this.#storage = storage
  }

  /** Learns of the one that an earlier life has set. */
  async recall(): Promise<void> {
    this.#at = await this.#storage.getAlarm()
  }

  /** To be called first of all when it rings: what was set is spent. */
  rang(): void {
    this.#at = null
  }

  /** Makes sure that it rings no later than `at`; null: nothing is due. */
  wakeBy(at: number | null, now: number): void {
    if (at === null) return
    const isLost = this.#at !== null && now >= this.#at + LATE_MS
    // An alarm may ring a moment early: one set for the same instant meanwhile would be lost with it.
    const soon = isLost ? now + LEAST_SLEEP_MS : Math.max(at, now + LEAST_SLEEP_MS)
    if (this.#at !== null && this.#at <= soon && !isLost) return
    this.#at = soon
    void this.#storage.setAlarm(soon)
  }
}
