// The ledger's verbs, repeated in real workerd as a network that loses answers repeats them.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Ask, Decision } from '../../durable-objects/ledger/types.ts'
import { checkBooks } from '../support/books.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { admitted, amount, ask, DRAFT, settlement } from '../support/ledger-fixtures.ts'

let gateway: Gateway

beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway.close())

const newCall = () => crypto.randomUUID()

/** What a stub of Miniflare answers is a stub itself, and ends with a restart. */
const reserve = async (asked: Ask): Promise<Decision> => {
  const ledger = await gateway.ledgerOf(asked.draft.user_id)
  return JSON.parse(JSON.stringify(await ledger.reserve(asked)))
}

test('a reserve and a settle that are repeated, also after a restart, count once and leave one event', async () => {
  const { id: user_id } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 5, tokens: 1_000 } }])
  const id = newCall()
  const draft = { ...DRAFT, user_id }
  const asked = ask(id, { draft, input_tokens: 100 })

  const first = admitted(await reserve(asked))
  await gateway.restart()
  const ledger = await gateway.ledgerOf(user_id)
  expect(await reserve(asked)).toEqual(first)

  const end = settlement(id, first.reserved_at, { draft, usage: amount({ requests: 1, input_tokens: 40 }) })
  await Promise.all([ledger.settle(end), ledger.settle(end)])
  await gateway.restart()
  await (await gateway.ledgerOf(user_id)).settle(end)
  expect(await reserve(asked)).toMatchObject({ admitted: true, reserved_at: first.reserved_at })

  const { events } = await checkBooks(gateway, [user_id], [id])
  expect(events).toMatchObject([{ id, requests: 1, tokens: 40, revision: 0 }])
})

test('a release for a call that a ledger never heard of leaves no event and no usage', async () => {
  const { id: user_id } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 5 } }])
  const draft = { ...DRAFT, user_id }
  const ledger = await gateway.ledgerOf(user_id)
  const id = newCall()
  await ledger.settle(settlement(id, Date.now(), { draft, outcome: 'released' }))
  const { events } = await checkBooks(gateway, [user_id], [])
  expect(events).toEqual([])
})

test('a settlement that its ledger cannot take fails alone, not with those that came at the same time', async () => {
  const { id: user_id } = await gateway.admin.user([{ cap_type: 'total', limits: { requests: 50 } }])
  const draft = { ...DRAFT, user_id }
  const ledger = await gateway.ledgerOf(user_id)
  const ids = Array.from({ length: 40 }, newCall)
  // Of a Worker of another version, say: a field is not what it is here.
  const unfit = { ...settlement(newCall(), Date.now(), { draft }), hold: null } as never
  const ended = ids.map((id) => settlement(id, Date.now(), { draft, usage: amount({ requests: 1 }) }))
  const settling = ended.map((one, at) =>
    at === 20 ? [ledger.settle(unfit), ledger.settle(one)] : [ledger.settle(one)],
  )
  const answers = await Promise.allSettled(settling.flat())
  expect(answers.filter(({ status }) => status === 'rejected')).toHaveLength(1)
  await checkBooks(gateway, [user_id], ids)
})
