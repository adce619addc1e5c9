// Where a fault happens: a whole Tollgate whose clock can be moved, users with wide caps, and users who meet theirs.

import { bundle } from '../support/build.ts'
import { type Admin, type Gateway, startGateway } from '../support/gateway.ts'
import type { Witnessed } from './audit.ts'
import type { User } from './load.ts'
import type { Kill } from './match.ts'
import { recordProvider } from './provider-record.ts'

export interface Stage extends Gateway, Pick<Witnessed, 'record' | 'kills'> {
  /** Moves the clock of the worker and its ledgers so far from the true time. A restart keeps it there. */
  moveClock(ahead_ms: number): Promise<void>
}

/** Holds end after two seconds, so that calls that never come back are charged while the fault is watched. */
const HOLD_TTL_SECONDS = '2'

export interface StageOptions {
  vars?: Record<string, string>
  /** Opens V8's inspector, to look at the heap. */
  inspect?: boolean
}

export async function openStage({ vars = {}, inspect = false }: StageOptions = {}): Promise<Stage> {
  const gateway = await startGateway({
    worker: bundle('test/chaos/worker/entry.ts'),
    vars: { HOLD_TTL_SECONDS, ...vars },
    onLog: () => undefined,
    inspect,
  })
  const record = recordProvider()
  record.watch(gateway.provider)
  const kills: Kill[] = []
  const { restart } = gateway
  let ahead_ms = 0
  const tell = () => ask(gateway, '/chaos/clock', ahead_ms)
  return Object.assign(gateway, {
    record,
    kills,
    async moveClock(ms: number) {
      ahead_ms = ms
      await tell()
    },
    async restart() {
      const from = Date.now()
      await restart()
      kills.push({ from, to: Date.now() })
      if (ahead_ms !== 0) await tell()
    },
  })
}

/** Through one of the doors in worker/entry.ts. */
export async function ask<T = null>({ url }: Pick<Gateway, 'url'>, path: string, body: unknown): Promise<T> {
  const response = await fetch(url + path, { method: 'POST', body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return (await response.json()) as T
}

export const WIDE = { cap_type: 'total', limits: { requests: 1e6, tokens: 1e9, cost_usd: 1_000 } }

/** Two users with room for everything, two who meet their caps while the fault lasts. */
export async function fourUsers(admin: Admin): Promise<User[]> {
  const caps = [
    [WIDE],
    [{ cap_type: 'monthly', limits: WIDE.limits }, WIDE],
    [{ cap_type: 'total', limits: { requests: 60 } }],
    [{ cap_type: 'total', limits: { cost_cents: 0.05 } }],
  ]
  return Promise.all(caps.map((each) => admin.user(each)))
}
