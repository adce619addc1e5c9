// What an admin withdraws while an answer flows: the stream ends with an error that the SDK throws, and its hold is charged.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { charged, isApiError, streamWithSdk, tell } from '../support/accidents.ts'
import { capOf, failure, GENEROUS, type Provider } from '../support/client-calls.ts'
import { eventually, type Gateway, startGateway } from '../support/gateway.ts'

let gateway: Gateway
beforeAll(async () => {
  gateway = await startGateway()
})
afterAll(() => gateway.close())

/** After its first two events an answer pauses until it is told to go on. */
const PAUSES = 60

const withdrawn: [Provider, string, (id: string) => Promise<unknown>][] = [
  ['openai', 'a suspended user', (id) => gateway.admin.call('POST', `/admin/users/${id}/suspend`)],
  [
    'anthropic',
    'a cap lowered to nothing',
    async (id) => {
      const { data } = await gateway.admin.call<{ data: { id: string }[] }>('GET', `/admin/users/${id}/caps`)
      const [cap] = data
      return gateway.admin.call('PATCH', `/admin/users/${id}/caps/${cap?.id}`, { limits: { requests: 0 } })
    },
  ],
]

test.concurrent.each(withdrawn)('%s: a stream of %s ends with its SDK error', async (provider, _, withdraw) => {
  const { id, key } = await gateway.admin.user(GENEROUS)
  tell(gateway, (usual) => {
    const [first = '', ...rest] = usual.steps
    const drip = Array.from({ length: PAUSES }, () => [{ delay_ms: 500 }, ': still there\n\n'])
    return { ...usual, steps: [first, ...drip.flat(), ...rest] }
  })
  const outcome = failure(streamWithSdk(gateway, provider, key))
  await eventually(
    () => capOf(gateway, id),
    ({ held }) => held.requests === 1,
  )
  await withdraw(id)
  const error = await outcome
  expect(error).toSatisfy(isApiError)
  expect(String(error)).toContain('withdrawn')
  expect(await charged(gateway, id)).toMatchObject({ error_class: 'no_longer_allowed', usage_source: 'hold' })
})
