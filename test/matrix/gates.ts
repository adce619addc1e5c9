// The provider of the matrix, and its gates: it holds the answers of a cell back until enough of the cell's calls have
// been decided (forwarded or refused), so that they race with nothing settled.

import { type FakeProvider, startFakeProvider } from '../../src/local/fake-provider.ts'
import { answerOf } from './call.ts'

interface Gate {
  close(): void
  /** A call was decided without reaching the provider. */
  decided(): void
  open(): void
}

export interface Gates {
  provider: FakeProvider
  /** The gate of a user's calls, open at first. Once closed, it opens when `calls` calls are decided. */
  of(user: string, calls: number): Gate
}

interface State {
  shut: boolean
  missing: number
  opened: PromiseWithResolvers<void>
}

export async function startGates(): Promise<Gates> {
  const states = new Map<string, State>()
  const count = (state: State) => {
    if (!state.shut) return
    state.missing -= 1
    if (state.missing <= 0) open(state)
  }
  const open = (state: State) => {
    state.shut = false
    state.opened.resolve()
  }
  const provider = await startFakeProvider({
    reply: ({ method, body }) => {
      // Tollgate sends a HEAD when it has lost a call, to see whether its provider is there.
      if (method !== 'POST') return undefined
      const request: { max_tokens: number; stream?: boolean; user: string } = JSON.parse(body.toString())
      const script = answerOf(request)
      const state = states.get(request.user)
      if (!state?.shut) return script
      count(state)
      return { ...script, steps: [{ until: state.opened.promise }, ...script.steps] }
    },
  })
  return {
    provider,
    of(user, calls) {
      const state: State = { shut: false, missing: calls, opened: Promise.withResolvers() }
      states.set(user, state)
      return {
        close() {
          state.shut = true
        },
        decided: () => count(state),
        open() {
          open(state)
          states.delete(user)
        },
      }
    },
  }
}
