// One fetch of a JWKS for all who want it at once. jose does so everywhere but in a Worker, where a fetch ends with the
// request that began it: there each token with an unknown `kid`, which anybody can make, was one more call of the identity
// provider, which then refuses all.

/** Whoever fetches may be gone before its answer is there. After so long another fetches in its place. */
const PATIENCE_MS = 1_000
/** Whoever has waited so often fetches in any case. */
const MOST_WAITS = 3

interface Answer {
  status: number
  text: string
}

/** For one address: whoever asks while another does has its answer. */
export function sharedFetch(fetchOne: typeof fetch): typeof fetch {
  let latest: { began_at: number; answer: Promise<Answer> } | null = null

  async function begin(...request: Parameters<typeof fetch>): Promise<Answer> {
    const response = await fetchOne(...request)
    return { status: response.status, text: await response.text() }
  }

  return async (...request) => {
    for (let waits = 0; latest && waits < MOST_WAITS; waits++) {
      const age_ms = Math.abs(Date.now() - latest.began_at)
      if (age_ms >= PATIENCE_MS) break
      const answer = await Promise.race([latest.answer, pause(PATIENCE_MS - age_ms)])
      if (answer) return responseOf(answer)
    }
    const mine = { began_at: Date.now(), answer: begin(...request) }
    latest = mine
    try {
      return responseOf(await mine.answer)
    } finally {
      if (latest === mine) latest = null
    }
  }
}

const responseOf = ({ status, text }: Answer) => new Response(text, { status })

const pause = (ms: number) => new Promise<null>((resolve) => setTimeout(() => resolve(null), ms))
