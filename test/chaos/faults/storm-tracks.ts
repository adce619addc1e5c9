// What a storm breaks: workerd, ledgers' memory, the network before them, Postgres, the clock, the provider.

import { HANG, type Script, type Step } from '../../../src/local/fake-script.ts'
import type { User } from '../load.ts'
import type { LedgerLoss } from '../match.ts'
import { ask, type Stage } from '../stage.ts'
import { TROUBLES } from './postgres.ts'
import { PHASES } from './upstream.ts'

/** In [0, 1). */
export type Random = () => number

export interface Trouble {
  name: string
  begin(): Promise<unknown>
  end?(): Promise<unknown>
}

/** Troubles that come one at a time. Several tracks run at once. */
export interface Track {
  troubles: Trouble[]
  /** The longest pause before one. */
  quiet_ms: number
  /** The longest that a trouble with an `end` lasts. */
  lasts_ms: number
}

const MINUTE = 60_000
export const HOUR = 60 * MINUTE
/** How far ahead of the true time the clock is. Always within a day: for so long a ledger knows how its calls have ended. */
const JUMPS = [0, 5 * MINUTE, HOUR, -2 * HOUR, 3 * HOUR, 20 * HOUR]
/** Later than all holds and waits. */
export const AFTERWARDS = 21.5 * HOUR
const SHARE = 0.5
const SLOW_MS = 2_500
const ERRORS = [400, 500, 503, 529]

/** @param losses is filled with which ledger died when. */
export function systemTracks(stage: Stage, users: User[], random: Random, losses: LedgerLoss[]): Track[] {
  return [
    ...workerd(stage, users, losses),
    { quiet_ms: 2_000, lasts_ms: 4_000, troubles: postgres(stage, random) },
    { quiet_ms: 6_000, lasts_ms: 0, troubles: JUMPS.map((ahead_ms) => jump(stage, ahead_ms)) },
    { quiet_ms: 2_000, lasts_ms: 4_000, troubles: provider(stage, random) },
  ]
}

function workerd(stage: Stage, users: User[], losses: LedgerLoss[]): Track[] {
  let isBad = false
  const setNetwork = (bad: boolean) => {
    isBad = bad
    return ask(stage, '/chaos/network', bad).catch(() => undefined)
  }
  const kill: Trouble = {
    name: 'kill',
    async begin() {
      await stage.restart()
      await setNetwork(isBad)
    },
  }
  const loseMemory = ({ id }: User, index: number) => ({
    name: `memory lost, ledger ${index}`,
    async begin() {
      const from = Date.now()
      await ask(stage, '/chaos/die', id).catch(() => undefined)
      losses.push({ user_id: id, from, to: Date.now() })
    },
  })
  const network = { name: 'network bad', begin: () => setNetwork(true), end: () => setNetwork(false) }
  return [
    { quiet_ms: 8_000, lasts_ms: 0, troubles: [kill] },
    { quiet_ms: 2_000, lasts_ms: 0, troubles: users.map(loseMemory) },
    { quiet_ms: 5_000, lasts_ms: 5_000, troubles: [network] },
  ]
}

function postgres(stage: Stage, random: Random): Trouble[] {
  const { hooks } = stage.postgres.server
  const losing = (name: string, when: 'beforeQuery' | 'afterQuery'): Trouble => ({
    name,
    async begin() {
      hooks[when] = async () => {
        if (random() < SHARE) throw new Error('a wire broke')
      }
    },
    async end() {
      delete hooks[when]
    },
  })
  const known = Object.entries(TROUBLES).filter(([name]) => !name.startsWith('dropping'))
  return [
    ...known.map(([name, { begin, end }]) => ({
      name: `Postgres ${name}`,
      begin: () => begin(stage),
      end: () => end(stage),
    })),
    losing('Postgres loses queries', 'beforeQuery'),
    losing('Postgres loses answers', 'afterQuery'),
  ]
}

/** While workerd is down the clock cannot be moved; the one that is started next is told. */
const jump = (stage: Stage, ahead_ms: number): Trouble => ({
  name: `clock ${ahead_ms / MINUTE} min ahead`,
  begin: () => stage.moveClock(ahead_ms).catch(() => undefined),
})

function provider({ provider }: Stage, random: Random): Trouble[] {
  const changing = (name: string, change: (usual: Script) => Script): Trouble => ({
    name: `provider ${name}`,
    async begin() {
      // Tollgate's question whether the provider is there (HEAD) is always answered.
      provider.reply = ({ method }, usual) => (method === 'POST' && random() < SHARE ? change(usual()) : undefined)
    },
    async end() {
      provider.reply = undefined
    },
  })
  const before = (step: Step, usual: Script) => ({ ...usual, steps: [step, ...usual.steps] })
  const within = (step: Step, usual: Script) => ({ ...usual, steps: usual.steps.toSpliced(1, 0, step) })
  const slow = () => ({ delay_ms: random() * SLOW_MS })
  return [
    changing('cuts', (usual) => pick(Object.values(PHASES), random)(usual)),
    changing('fails', () => ({ status: pick(ERRORS, random), steps: ['{"error":{"message":"made by a test"}}'] })),
    changing('slow to begin', (usual) => before(slow(), usual)),
    changing('slow to end', (usual) => within(slow(), usual)),
    changing('silent', (usual) => within(HANG, usual)),
  ]
}

export function pick<T>(choices: T[], random: Random): T {
  const [first, ...rest] = choices.slice(Math.floor(random() * choices.length))
  if (first === undefined) throw new Error(`nothing to choose from, ${rest}`)
  return first
}
