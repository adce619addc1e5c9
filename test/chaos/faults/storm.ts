// Faults overlap: each track breaks one thing and mends it, again and again, while the others do the same. What breaks, how
// and when is drawn from a seed; which calls it meets is not.

import { setTimeout as sleep } from 'node:timers/promises'
import { audit, type Counted, must } from '../audit.ts'
import { merged, type Send, sendTo, startLoad } from '../load.ts'
import type { LedgerLoss } from '../match.ts'
import { openStage, WIDE } from '../stage.ts'
import { exceedsNo, IN_UTC } from './clock.ts'
import { adminTracks } from './storm-admin.ts'
import { AFTERWARDS, HOUR, pick, type Random, systemTracks, type Track } from './storm-tracks.ts'

const STORM_MS = 40_000
const CALLS_BEFORE = 40
const CALLS_AFTER = 100
/** Clients of each user. Many, because some wait for a ledger that cannot be reached. */
const CLIENTS = 6
const HOURLY = 40
const FEW = 60
/** This share of calls is left by its client, within this time. */
const LEFT_SHARE = 0.05
const LEFT_WITHIN_MS = 100
const OVER = ': over'

export async function storm(tell: (part: string, counted: Counted) => void, seed: number): Promise<void> {
  console.log(`      storm: --seed ${seed}`)
  const stage = await openStage({ vars: { FIRST_BYTE_TIMEOUT_SECONDS: '4', IDLE_TIMEOUT_SECONDS: '3' } })
  const program: string[] = []
  const ledger_losses: LedgerLoss[] = []
  try {
    const capped = (cap_type: string, limits: object) => stage.admin.user([{ cap_type, limits }], IN_UTC)
    const users = {
      wide: await stage.admin.user([WIDE]),
      own_key: await stage.admin.user([{ cap_type: 'monthly', limits: WIDE.limits }, WIDE]),
      suspended: await stage.admin.user([WIDE]),
      hourly: await capped('hourly', { requests: HOURLY }),
      few: await capped('total', { requests: FEW }),
      cheap: await capped('total', { cost_cents: 0.05 }),
    }
    const { own_key, ...others } = users
    const all = Object.values(users)
    const loads = [
      startLoad(leaving(sendTo(stage), randomOf(seed)), Object.values(others), { clients: CLIENTS }),
      startLoad(withOwnKey(sendTo(stage)), [own_key], { clients: CLIENTS }),
    ]
    await Promise.all(loads.map((load) => load.more(CALLS_BEFORE)))

    const admin = await adminTracks(stage, { key: users.wide, cap: users.few, status: users.suspended }, FEW)
    const tracks = [...systemTracks(stage, all, randomOf(seed + 1), ledger_losses), ...admin.tracks]
    const started = Date.now()
    const say = (what: string) => {
      program.push(`${((Date.now() - started) / 1_000).toFixed(1)} s  ${what}`)
    }
    const until = started + STORM_MS
    await Promise.all(tracks.map((track, index) => play(track, randomOf(seed + 2 + index), until, say)))

    await stage.moveClock(AFTERWARDS)
    await Promise.all(loads.map((load) => load.more(CALLS_AFTER)))
    const seen = [...(await Promise.all(loads.map((load) => load.stop()))), ...admin.seen].reduce(merged)
    const { counted, events } = await audit(stage, all, seen, { some_break_off: true, ledger_losses })
    const shutOut = admin.check()
    must(seen.refused.length > shutOut, 'caps were met')
    exceedsNo(HOUR, HOURLY, events, users.hourly)
    const kills = stage.kills.length
    const troubles = program.filter((line) => !line.endsWith(OVER)).length
    tell(`a storm of ${troubles} troubles`, { kills, ...counted, 'shut out by admins': shutOut })
  } catch (error) {
    const why = error instanceof Error ? error.stack : error
    throw new Error(`--seed ${seed}: ${why}\nits program:\n${program.join('\n')}`)
  } finally {
    await stage.close()
  }
}

async function play(track: Track, random: Random, until: number, say: (what: string) => void): Promise<void> {
  const { troubles, quiet_ms, lasts_ms } = track
  for (;;) {
    await sleep(random() * quiet_ms)
    if (Date.now() > until) return
    const { name, begin, end } = pick(troubles, random)
    const lasts = random() * lasts_ms
    say(name)
    await begin()
    if (!end) continue
    await sleep(lasts)
    await end()
    say(name + OVER)
  }
}

/** Clients that go away before they have their answer. */
const leaving =
  (send: Send, random: Random): Send =>
  (path, init) =>
    send(
      path,
      random() < LEFT_SHARE ? { ...init, signal: AbortSignal.timeout(Math.floor(random() * LEFT_WITHIN_MS)) } : init,
    )

/** Clients with a provider key of their own. */
const withOwnKey =
  (send: Send): Send =>
  (path, init) => {
    const headers = new Headers(init.headers)
    headers.set('x-tollgate-key', headers.get('authorization')?.replace('Bearer ', '') ?? '')
    headers.set('authorization', `Bearer ${path.startsWith('/openai') ? 'sk-own' : 'sk-ant-own'}`)
    return send(path, { ...init, headers })
  }

/** The same numbers for the same seed (mulberry32). */
function randomOf(seed: number): Random {
  let state = Math.imul(seed, 0x9e3779b9)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
