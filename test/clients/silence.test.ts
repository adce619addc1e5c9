// A provider that is down or falls silent: the client hears of it once, and only what cannot have been billed is free.

import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { afterSteps, HANG, SEND_HEADERS, type Step } from '../../src/local/fake-script.ts'
import { charged, chargedHold, isApiError, jsonWithSdk, STREAM, streamWithSdk, tell } from '../support/accidents.ts'
import { failure, GENEROUS, type Provider } from '../support/client-calls.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'

let impatient: Gateway
let providerDown: Gateway
beforeAll(async () => {
  const down = `http://127.0.0.1:${await freePort()}`
  const onLog = () => undefined
  impatient = await startGateway({ onLog, vars: { FIRST_BYTE_TIMEOUT_SECONDS: '1', IDLE_TIMEOUT_SECONDS: '1' } })
  providerDown = await startGateway({ onLog, vars: { OPENAI_BASE_URL: down, ANTHROPIC_BASE_URL: down } })
})
afterAll(() => Promise.all([impatient.close(), providerDown.close()]))

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}

describe.each(['openai', 'anthropic'] satisfies Provider[])('%s', (provider) => {
  test('a provider that is down is a 502, raised once, and released: nothing charged', async () => {
    const { id, key } = await providerDown.admin.user(GENEROUS)
    const { attempts, error } = await jsonWithSdk(providerDown, provider, key)
    expect(error).toMatchObject({ status: 502 })
    expect(attempts).toHaveLength(1)
    expect(await charged(providerDown, id)).toMatchObject({
      outcome: 'released',
      requests: 0,
      cost_nano_usd: 0,
      error_class: 'upstream_unreachable',
      overrun: false,
    })
  })

  test('silence before the first byte is a 504, raised once, and charged its hold', async () => {
    const { id, key } = await impatient.admin.user(GENEROUS)
    tell(impatient, () => ({ steps: [HANG] }))
    const { attempts, error } = await jsonWithSdk(impatient, provider, key)
    expect(error).toMatchObject({ status: 504 })
    expect(attempts).toHaveLength(1)
    expect(await chargedHold(impatient, id, provider, {})).toMatchObject({ error_class: 'upstream_timeout' })
  })

  test.each([
    ['after the headers', [SEND_HEADERS, HANG], 0],
    ['between two chunks', [HANG], 5],
  ] satisfies [string, Step[], number][])(
    'silence %s ends the stream with an error that the SDK throws',
    async (_, steps, after) => {
      const { id, key } = await impatient.admin.user(GENEROUS)
      tell(impatient, (usual) => afterSteps(usual, after, ...steps))
      expect(await failure(streamWithSdk(impatient, provider, key))).toSatisfy(isApiError)
      expect(await impatient.provider.requests.at(-1)?.outcome).toBe('client_gone')
      expect(await chargedHold(impatient, id, provider, STREAM)).toMatchObject({ error_class: 'upstream_timeout' })
    },
  )
})
