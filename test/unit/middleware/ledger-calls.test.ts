import { afterEach, expect, test, vi } from 'vitest'
import type { LedgerOf, LedgerRpc } from '../../../durable-objects/ledger/types.ts'
import { conclude, mayGoOn, requestModels, reserve, settle } from '../../../src/middleware/ledger-calls.ts'
import { amount, ask, DRAFT, ledgerOfOnly, settlement } from '../../support/ledger-fixtures.ts'

/** Stubs that stay broken, as a Durable Object's do; each asking gives the next one. */
function stubs(...list: Partial<LedgerRpc>[]): { ledgerOf: LedgerOf; asked: () => number } {
  let asked = 0
  const ledgerOf: LedgerOf = () => ledgerOfOnly(list[Math.min(asked++, list.length - 1)] ?? {})
  return { ledgerOf, asked: () => asked }
}

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const never = () => Promise.resolve(false)

test('a stub that broke is not used again: the next try asks for a new one', async () => {
  const decision = { admitted: false, refusal: { reason: 'suspended' }, tightest: null } as const
  const reserving = stubs({}, { reserve: async () => decision })
  expect(await reserve(reserving.ledgerOf, ask('a'), never)).toEqual(decision)

  const settled: string[] = []
  const settling = stubs({}, {}, { settle: async ({ request_id }) => void settled.push(request_id) })
  await settle(settling.ledgerOf, Promise.resolve(settlement('a', 0)))
  expect(settled).toEqual(['a'])
  expect(settling.asked()).toBe(3)

  const asking = stubs({}, { requestModels: async () => ['gpt-5'] })
  expect(await requestModels(asking.ledgerOf, DRAFT.user_id, ['a'])).toEqual(['gpt-5'])
  await expect(requestModels(stubs({}).ledgerOf, DRAFT.user_id, ['a'])).rejects.toThrow()
})

test('a ledger that does not answer refuses, but cuts off no call that it has admitted', async () => {
  const logs = (['warn', 'error'] as const).map((level) => vi.spyOn(console, level).mockImplementation(() => undefined))
  const { ledgerOf } = stubs({})
  const admitted = { granted_output_tokens: null, clamped: false, hold: amount({}), reserved_at: 0, epoch: 0 }
  expect(await mayGoOn(ledgerOf, { ...ask('a'), ...admitted })).toBeNull()
  expect(await reserve(ledgerOf, ask('a'), never)).toMatchObject({
    admitted: false,
    refusal: { reason: 'unreachable' },
  })
  for (const log of logs) {
    expect(JSON.parse(String(log.mock.calls[0]))).toMatchObject({ request_id: 'a' })
    log.mockRestore()
  }
})

test('a ledger that cannot even be found is one that does not answer', async () => {
  vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const lost: LedgerOf = () => {
    throw new Error('there is no binding')
  }
  expect(await reserve(lost, ask('a'), never)).toMatchObject({ admitted: false, refusal: { reason: 'unreachable' } })
})

test('a ledger that does not know its user is asked again once it was told', async () => {
  const unknown = { admitted: false, refusal: { reason: 'no_config' }, tightest: null } as const
  const admitted = { admitted: false, refusal: { reason: 'deleted' }, tightest: null } as const
  const { ledgerOf } = stubs({ reserve: async () => unknown }, { reserve: async () => admitted })
  expect(await reserve(ledgerOf, ask('a'), () => Promise.resolve(true))).toEqual(admitted)
})

test('nobody is asked to tell a ledger of a user whom it knows, or that cannot be reached', async () => {
  const provision = vi.fn(never)
  const suspended = { admitted: false, refusal: { reason: 'suspended' }, tightest: null } as const
  const admitted = {
    admitted: true,
    granted_output_tokens: null,
    clamped: false,
    hold: amount({}),
    reserved_at: 0,
    epoch: 0,
    tightest: null,
  } as const
  for (const decision of [suspended, admitted]) {
    const { ledgerOf, asked } = stubs({ reserve: async () => decision })
    expect(await reserve(ledgerOf, ask('a'), provision)).toEqual(decision)
    expect(asked()).toBe(1)
  }
  await reserve(stubs({}).ledgerOf, ask('a'), provision)
  expect(provision).not.toHaveBeenCalled()
})

test('what no try could tell its ledger is said to be not on record, and whoever waits for that is told within ten seconds', async () => {
  vi.useFakeTimers()
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  const { ledgerOf, asked } = stubs({})
  const settling = settle(ledgerOf, Promise.resolve(settlement('a', 0)))
  const concluding = conclude(ledgerOf, DRAFT.user_id, [])
  await vi.advanceTimersByTimeAsync(10_000)
  expect(await Promise.all([settling, concluding])).toEqual([false, false])
  expect(asked()).toBe(10)
})

test('a ledger that an older version still runs, and that has no such method, does not know what was asked for', async () => {
  // As workerd says it.
  const missing = () => Promise.reject(new TypeError('The RPC receiver does not implement the method "requestModels".'))
  const { ledgerOf } = stubs({ requestModels: missing })
  expect(await requestModels(ledgerOf, DRAFT.user_id, ['a', 'b'])).toEqual([])
})

test('a ledger that is overloaded is asked once: it has taken nothing, so nothing is to be released', async () => {
  const overloaded = Object.assign(new Error('Durable Object is overloaded.'), { overloaded: true })
  const { ledgerOf, asked } = stubs({ reserve: () => Promise.reject(overloaded) })
  expect(await reserve(ledgerOf, ask('a'), never)).toMatchObject({ admitted: false })
  expect(asked()).toBe(1)
})

test('a ledger that is overloaded only when it is asked again may hold the call: it is told to release it', async () => {
  const overloaded = Object.assign(new Error('Durable Object is overloaded.'), { overloaded: true })
  const { ledgerOf, asked } = stubs({}, { reserve: () => Promise.reject(overloaded) })
  expect(await reserve(ledgerOf, ask('a'), never)).toMatchObject({ refusal: { reason: 'unreachable' } })
  expect(asked()).toBe(2)
})
