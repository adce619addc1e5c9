// What admins do in a storm: they shut somebody out, and later let them in again. Each change is repeated until it is
// answered, as the errors of such changes say.

import { setTimeout as sleep } from 'node:timers/promises'
import { must } from '../audit.ts'
import { merged, nothingSeen, type Seen, sendTo, startLoad, type User } from '../load.ts'
import type { Stage } from '../stage.ts'
import type { Track, Trouble } from './storm-tracks.ts'

const IN_FORCE_WITHIN_MS = 60_000
const PAUSE_MS = 50
const RAISED_BY = 20

interface Victims {
  /** Gets a new key, and its old one is revoked. */
  key: User
  /** Its cap of requests is lowered to next to nothing, and then raised. */
  cap: User
  /** Is suspended and activated. */
  status: User
}

export async function adminTracks(
  stage: Stage,
  { key, cap, status }: Victims,
  limit: number,
): Promise<{ tracks: Track[]; seen: Seen[]; check(): number }> {
  const seen: Seen[] = []
  const call = (method: string, user: User, path: string, body?: unknown) =>
    insist(() => stage.admin.call<{ id: string; key: string }>(method, `/admin/users/${user.id}/${path}`, body))
  const first = async (user: User, what: 'caps' | 'keys') => {
    const { data } = await stage.admin.call<{ data: { id: string }[] }>('GET', `/admin/users/${user.id}/${what}`)
    return data[0]?.id ?? ''
  }
  /** `shut` returns whom it has shut out: that user calls from then on, until `open` lets them in again. */
  const shutting = (name: string, shut: () => Promise<User>, open?: () => Promise<unknown>): Trouble => {
    let stop = async () => nothingSeen()
    return {
      name,
      async begin() {
        const user = await shut()
        stop = startLoad(sendTo(stage), [user], { clients: 1, pause_ms: PAUSE_MS }).stop
      },
      async end() {
        seen.push(await stop())
        await open?.()
      },
    }
  }

  const cap_id = await first(cap, 'caps')
  const setCap = (requests: number) => call('PATCH', cap, `caps/${cap_id}`, { limits: { requests } })
  let key_id = await first(key, 'keys')
  const loweredTo = (requests: number) =>
    shutting(
      `cap at ${requests}`,
      async () => {
        await setCap(requests)
        return cap
      },
      () => {
        limit += RAISED_BY
        return setCap(limit)
      },
    )
  const revoked = shutting('key revoked', async () => {
    const old = { ...key, key_id }
    const fresh = await call('POST', key, 'keys', { name: 'test' })
    key.key = fresh.key
    key_id = fresh.id
    await call('DELETE', key, `keys/${old.key_id}`)
    return old
  })
  const suspended = shutting(
    'user suspended',
    async () => {
      await call('POST', status, 'suspend')
      return status
    },
    () => call('POST', status, 'activate'),
  )
  return {
    tracks: [[loweredTo(0), loweredTo(1)], [revoked], [suspended]].map((troubles) => ({
      troubles,
      quiet_ms: 4_000,
      lasts_ms: 2_000,
    })),
    seen,
    /** Once the admin has the answer, no call that begins then gets through. Returns how many were refused. */
    check() {
      const forwarded = new Set(stage.record.forwarded.map(({ marker }) => marker))
      const { latencies_ms: _, refused, ...others } = seen.reduce(merged, nothingSeen())
      const through = [refused, ...Object.values(others)].flat().filter(({ marker }) => forwarded.has(marker))
      must(through.length === 0, 'who is shut out is so from the answer to the admin on', through)
      return refused.length
    },
  }
}

/** Repeats the change until the answer is that it is in force. */
async function insist<T>(change: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + IN_FORCE_WITHIN_MS
  for (;;) {
    try {
      return await change()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await sleep(PAUSE_MS)
    }
  }
}
