// A restart with a stale snapshot: a cap was lowered and a key revoked in Postgres, and everything died before the ledger
// heard of it. What holds then, and until when:
//
// - the change was never confirmed, so it need not be in force yet: the earlier caps and keys hold, and no others;
// - repeating the change brings it into force before the answer is there;
// - without that, the first call after the snapshot's five minutes makes the ledger fetch the new one, also where Postgres
//   went back to an older state, of a lower version. While Postgres is down it goes on with what it has.

import { statusOf } from '../../support/books.ts'
import { eventually } from '../../support/gateway.ts'
import { audit, type Counted, must } from '../audit.ts'
import { callOnce, merged, nothingSeen, sendTo, startLoad, type User } from '../load.ts'
import { fourUsers, openStage, type Stage } from '../stage.ts'

const OLD_LIMIT = 40
const LOWERED = 10
const FRESH_MS = 5 * 60_000
const CALLS_BETWEEN = 30

export async function staleSnapshot(tell: (part: string, counted: Counted) => void): Promise<void> {
  const stage = await openStage()
  try {
    const load = startLoad(sendTo(stage), await fourUsers(stage.admin))
    await load.more(CALLS_BETWEEN)
    const seen = nothingSeen()
    const call = async (user: User) => {
      const refused = seen.refused.length
      await callOnce(sendTo(stage), user, seen.answered.length, {}, seen)
      return seen.refused.length === refused
    }

    const lowered = await cappedUser(stage)
    const revoked = await cappedUser(stage)
    for (let made = 0; made < LOWERED; made++) must((await call(lowered)) && (await call(revoked)), 'calls go through')
    await killBeforePush(stage, () => changeCap(stage, lowered))
    await killBeforePush(stage, () => revokeKey(stage, revoked))

    must((await call(lowered)) && (await call(revoked)), 'what was never confirmed is not yet in force')
    const limit = async (of = lowered) => (await statusOf(stage, of.id)).data[0]?.limits.requests
    must((await limit()) === OLD_LIMIT, 'the old cap holds', await limit())

    const restored = await cappedUser(stage)
    await call(restored)
    for (const requests of [OLD_LIMIT + 1, OLD_LIMIT + 2]) await changeCap(stage, restored, requests)
    await restore(stage, restored)

    await revokeKey(stage, revoked)
    must(!(await call(revoked)), 'repeating the change brings it into force before the answer is there')

    stage.postgres.server.pause()
    await stage.moveClock(FRESH_MS + 1_000)
    for (let made = 0; made < 3; made++) must(await call(lowered), 'while Postgres is down the ledger goes on')
    must((await limit()) === OLD_LIMIT, 'with what it has', await limit())
    stage.postgres.server.resume()
    await stage.moveClock(2 * (FRESH_MS + 1_000))
    await call(lowered)
    // A stale snapshot is fetched with the next call.
    await eventually(limit, (now) => now === LOWERED)
    must(!(await call(lowered)), 'from then on the lowered cap holds')
    must((await limit(restored)) === OLD_LIMIT + 2, 'a restored state is not known yet', await limit(restored))
    await call(restored)
    // A restored state is fetched, too.
    await eventually(
      () => limit(restored),
      (now) => now === LOWERED,
    )

    await load.more(CALLS_BETWEEN)
    const others = await load.stop()
    await changeCap(stage, lowered, OLD_LIMIT)
    const all = merged(others, seen)
    const { counted } = await audit(stage, [...load.users, lowered, revoked, restored], all)
    tell('restart with a stale snapshot', { kills: 2, ...counted })
  } finally {
    await stage.close()
  }
}

interface CappedUser extends User {
  cap_id: string
  key_id: string
}

async function cappedUser({ admin }: Stage): Promise<CappedUser> {
  const user = await admin.user([{ cap_type: 'total', limits: { requests: OLD_LIMIT } }])
  const first = async (what: string) => {
    const { data } = await admin.call<{ data: { id: string }[] }>('GET', `/admin/users/${user.id}/${what}`)
    return data[0]?.id ?? ''
  }
  return { ...user, cap_id: await first('caps'), key_id: await first('keys') }
}

const changeCap = ({ admin }: Stage, { id, cap_id }: CappedUser, requests = LOWERED) =>
  admin.call('PATCH', `/admin/users/${id}/caps/${cap_id}`, { limits: { requests } })
const revokeKey = ({ admin }: Stage, { id, key_id }: CappedUser) =>
  admin.call('DELETE', `/admin/users/${id}/keys/${key_id}`)

/** As a backup would bring it back: an older version, with another cap. */
async function restore({ postgres: { database } }: Stage, { id, cap_id }: CappedUser): Promise<void> {
  await database.query({ query: 'update users set version = 1 where id = $1', params: [id] })
  const query = 'update caps set limit_requests = $1 where id = $2'
  await database.query({ query, params: [String(LOWERED), cap_id] })
}

/** The change commits in Postgres; before the worker hears of it, it dies. */
async function killBeforePush(stage: Stage, change: () => Promise<unknown>): Promise<void> {
  const { promise: never } = Promise.withResolvers<void>()
  const { promise: committed, resolve } = Promise.withResolvers<void>()
  stage.postgres.server.hooks.afterQuery = async (queries) => {
    if (!queries.some(({ query }) => /update "(caps|api_keys)"/.test(query))) return
    resolve()
    await never
  }
  const answer = change().then(
    () => 'answered',
    () => 'broken off',
  )
  await Promise.race([committed, answer])
  await stage.restart()
  delete stage.postgres.server.hooks.afterQuery
  must((await answer) === 'broken off', 'the change was not confirmed')
}
