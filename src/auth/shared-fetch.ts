// One fetch of a JWKS for all who want it at once. jose does so everywhere but in a Worker, where a fetch ends with the
// request that began it. There each token with an unknown `kid`, which anybody can make, would be one more call to the
// identity provider, until that refuses all calls.

/** Whoever fetches may be gone before the answer is there: after this long another fetches, too. */
const PATIENCE_MS = 1_000
/** Whoever has waited this often fetches in any case. */
const MOST_WAITS = 3

interface Answer {
  status: number
  text: string
}

/** For one address: whoever asks while another does has the first answer that comes, whoever's it is. */
export function sharedFetch(fetchOne: typeof fetch): typeof fetch {
  let began_at = Number.NEGATIVE_INFINITY
  /** Each has a promise of its own, so that the runtime goes on in its request's context, though another's I/O settled it. */
  const waiting: PromiseWithResolvers<Answer | null>[] = []

  return async (...request) => {
    for (let waits = 0; waits < MOST_WAITS; waits++) {
      const left_ms = PATIENCE_MS - Math.abs(Date.now() - began_at)
      if (left_ms <= 0) break
      const answer = await answerWithin(left_ms)
      if (answer) return responseOf(answer)
    }
    const mine = Date.now()
    began_at = mine
    try {
      const response = await fetchOne(...request)
      const answer = { status: response.status, text: await response.text() }
      for (const { resolve } of waiting.splice(0)) resolve(answer)
      return responseOf(answer)
    } catch (error) {
      // Whoever waits now waits for the latest.
      if (began_at === mine) for (const { reject } of waiting.splice(0)) reject(error)
      throw error
    } finally {
      if (began_at === mine) began_at = Number.NEGATIVE_INFINITY
    }
  }

  /** Null where none came. */
  async function answerWithin(ms: number): Promise<Answer | null> {
    const waiter = Promise.withResolvers<Answer | null>()
    waiting.push(waiter)
    const timer = setTimeout(() => waiter.resolve(null), ms)
    try {
      return await waiter.promise
    } finally {
      clearTimeout(timer)
    }
  }
}

const responseOf = ({ status, text }: Answer) => new Response(text, { status })
