// The clock of a worker and of its ledgers, moved by so many milliseconds.

const realNow = Date.now
let ahead_ms = 0

Date.now = () => realNow() + ahead_ms

/** The instant by this clock as one of the true clock. */
export const trueInstant = (at: number): number => at - ahead_ms
export const trueNow = (): number => realNow()

/** For all that runs in this process. */
export function moveClock(ms: number): void {
  ahead_ms = ms
}
